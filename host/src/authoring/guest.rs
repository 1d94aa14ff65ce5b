//! A plugin's file, run as the gateway runs it: the production engine, the production limits, the production checks.
//!
//! In: a path, settings, a [`Question`]. Out: an [`Answer`], or why there is none, in the words of the gateway's log. The
//! only difference is that fuel can be counted ([`Counting::Fuel`]), for figures that are the same on every machine.
//!
//! Absent on purpose: breakers, fallbacks, allowances; an author wants to see the failure itself.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use parking_lot::Mutex;

use super::properties::{Ask, Life, Plugin};
use super::question::{Answer, Choice, Code, HOOKS, Hook, Question, Target, with_identities};
use crate::args::values::GoDuration;
use crate::config::policies::{CpuBudgets, PluginLimits, Reuse};
use crate::plugins::artifact::{Artifact, Inspection, inspect};
use crate::plugins::binding::BadAnswer;
use crate::plugins::call::{Called, Caller, Failed, Level, Log, PluginError};
use crate::plugins::columns::columns;
use crate::plugins::engine::{Engine, EngineOptions};
use crate::plugins::wit::exports::metrics_gateway::policy::{address as wit_address, plugin as wit_plugin};
use crate::plugins::{address, filter, window};

/// The kubelet's port, where neither plugin nor node says one.
const KUBELET_PORT: u16 = 10_250;
/// An instance that is kept is kept for all calls of a test.
const FOR_ALL_CALLS: Reuse = Reuse { calls: u32::MAX, age: Duration::from_secs(3_600) };

/// How often a question is put again on a machine that is busy with other things.
const PATIENCE: usize = 4;

/// How much longer a call may take where fuel is counted, so that a slow machine does not fail a plugin that a fast one
/// passes; an endless loop is still ended.
const SLOWNESS: u32 = 5;

/// What an engine counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counting {
    /// CPU time alone, as in production.
    Time,
    /// Fuel, too. Calls take longer, and are given [`SLOWNESS`] times the largest budget: what they cost is told in fuel,
    /// which is the same on every machine and in every build.
    Fuel,
}

/// A plugin, compiled.
pub struct Guest {
    engine: Arc<Engine>,
    artifact: Arc<Artifact>,
    limits: PluginLimits,
}

impl Guest {
    /// Reads, checks and compiles a file.
    ///
    /// # Errors
    /// What makes that impossible, with the file's name.
    pub fn load(file: &Path, limits: PluginLimits, counting: Counting) -> Result<Self> {
        let limits = match counting {
            Counting::Time => limits,
            Counting::Fuel => {
                let cpu = limits.cpu.unwrap_or(CpuBudgets::WINDOW) * SLOWNESS;
                PluginLimits { cpu: Some(cpu), ..limits }
            }
        };
        let (_, inspection) = look_at(file, &limits)?;
        let options = EngineOptions { workers: 1, cache: None };
        let engine = match counting {
            Counting::Time => Engine::try_new(options)?,
            Counting::Fuel => Engine::with_fuel(options)?,
        };
        let artifact = engine.compile(&inspection).with_context(|| format!("cannot compile {}", file.display()))?;
        let guest = Self { engine, artifact, limits };
        guest
            .bind("{}", Life::OneCall)
            .caller
            .check_exports()
            .with_context(|| format!("cannot use {}", file.display()))?;
        Ok(guest)
    }

    /// The plugin with its settings.
    pub fn bind(&self, settings: &str, life: Life) -> Bound {
        let reuse = (life == Life::AllCalls).then_some(FOR_ALL_CALLS);
        let lines = Arc::new(Lines::default());
        let log: Arc<dyn Log> = lines.clone();
        let caller = Caller::new(&self.engine, self.artifact.clone(), settings, self.limits.clone(), reuse, log);
        Bound { caller, lines }
    }

    /// Who the plugin says it is.
    ///
    /// # Errors
    /// Where it cannot say.
    pub fn describe(&self) -> Result<wit_plugin::Info> {
        let called = self.bind("{}", Life::OneCall).caller.describe().context("the plugin cannot describe itself")?;
        Ok(called.answer)
    }

    /// The least memory that an instance has: that of one which has only said who it is.
    ///
    /// # Errors
    /// Where it cannot say.
    pub fn smallest_memory(&self) -> Result<usize> {
        let called = self.bind("{}", Life::OneCall).caller.describe().context("the plugin cannot describe itself")?;
        Ok(called.memory)
    }

    /// Whether it answers a hook.
    pub fn answers(&self, hook: Hook) -> bool {
        self.artifact.answers(hook)
    }
}

impl Plugin for Guest {
    fn hooks(&self) -> Vec<Hook> {
        HOOKS.into_iter().map(|(_, hook)| hook).filter(|hook| self.answers(*hook)).collect()
    }

    fn with(&self, settings: &str, life: Life) -> Box<dyn Ask + '_> {
        Box::new(self.bind(settings, life))
    }
}

/// The bytes of a file, and what they are.
///
/// # Errors
/// Where the file cannot be read, or is no plugin.
pub fn look_at(file: &Path, limits: &PluginLimits) -> Result<(Vec<u8>, Inspection)> {
    let cannot = || format!("cannot read {}", file.display());
    let opened = std::fs::File::open(file).with_context(cannot)?;
    // One byte more than is allowed is enough to know.
    let most = u64::try_from(limits.size).unwrap_or(u64::MAX).saturating_add(1);
    let mut bytes = Vec::new();
    opened.take(most).read_to_end(&mut bytes).with_context(cannot)?;
    let inspection = inspect(&bytes, limits).with_context(|| format!("{} cannot be run", file.display()))?;
    Ok((bytes, inspection))
}

/// A plugin with its settings.
pub struct Bound {
    caller: Caller,
    lines: Arc<Lines>,
}

impl Bound {
    /// How far back the plugin wants samples.
    ///
    /// # Errors
    /// Where it cannot say.
    pub fn history(&self) -> Result<Duration, Failed> {
        let called = self.caller.history()?;
        Ok(Duration::from_nanos(called.answer).min(window::LONGEST_HISTORY))
    }

    /// The lines that it logged since this was asked last.
    pub fn take_lines(&self) -> Vec<String> {
        std::mem::take(&mut *self.lines.0.lock())
    }

    fn candidates(&self, node: &crate::model::Node) -> Result<Called<Answer>, Failed> {
        let called = self.caller.candidates(&address::to_wit(node))?;
        let said = choice(&called.answer);
        self.checked(called, |answer| {
            Ok(match address::check(answer, KUBELET_PORT)? {
                // The gateway fills in the port and cuts the reason; what the author is shown is what the plugin left out.
                address::Decision::Skip(reason) => Answer::Address(Choice::Skip(reason.into())),
                address::Decision::Dial(_) | address::Decision::Pass => Answer::Address(said),
            })
        })
    }

    fn classify(&self, question: &Question, pods: &[super::question::Pod]) -> Result<Called<Answer>, Failed> {
        let pods = with_identities(pods, |pods| pods.iter().map(filter::to_wit).collect::<Vec<_>>());
        let called = self.caller.classify(&pods)?;
        let by_value = self.caller.answers(Hook::FilterByValue);
        let may = if by_value { filter::Codes::ByValueToo } else { filter::Codes::Final };
        self.verdicts(called, question, may)
    }

    fn screen(&self, question: &Question, histories: &super::question::Histories) -> Result<Called<Answer>, Failed> {
        let called = self.caller.screen(&columns(&histories.batch()))?;
        self.verdicts(called, question, filter::Codes::Final)
    }

    fn verdicts(
        &self,
        called: Called<Vec<u8>>,
        question: &Question,
        may: filter::Codes,
    ) -> Result<Called<Answer>, Failed> {
        self.checked(called, |codes| {
            let codes = filter::check(codes, question.rows(), may, |row| question.subject(row))?;
            Ok(Answer::Verdicts(codes.into_iter().filter_map(Code::numbered).collect()))
        })
    }

    fn measure(&self, histories: &super::question::Histories) -> Result<Called<Answer>, Failed> {
        let batch = histories.batch();
        let called = self.caller.measure(&columns(&batch))?;
        self.checked(called, |usages| {
            let usages = window::check(&usages, &batch)?;
            Ok(Answer::Usages(usages.into_iter().map(Result::ok).collect()))
        })
    }

    fn checked<T>(
        &self,
        called: Called<T>,
        check: impl FnOnce(T) -> Result<Answer, BadAnswer>,
    ) -> Result<Called<Answer>, Failed> {
        let Called { answer, cpu, memory, fuel } = called;
        match check(answer) {
            Ok(answer) => Ok(Called { answer, cpu, memory, fuel }),
            Err(BadAnswer(text)) => {
                self.caller.forget_instances();
                Err(Failed { error: PluginError::BadOutput(text), cpu, memory })
            }
        }
    }
}

impl Ask for Bound {
    fn configure(&self) -> Result<Called<()>, Failed> {
        self.caller.configure()
    }

    fn ask(&self, question: &Question) -> Result<Called<Answer>, Failed> {
        // A guest computes and cannot wait: one that is out of time but not of CPU time was kept from its core by others.
        for _ in 0..PATIENCE {
            match self.ask_once(question) {
                Err(Failed { error: PluginError::Wall { .. }, .. }) => {}
                asked => return asked,
            }
        }
        self.ask_once(question)
    }
}

impl Bound {
    fn ask_once(&self, question: &Question) -> Result<Called<Answer>, Failed> {
        match question {
            Question::Address(node) => self.candidates(node),
            Question::Filter(pods) => self.classify(question, pods),
            Question::FilterByValue(histories) => self.screen(question, histories),
            Question::Window(histories) => self.measure(histories),
        }
    }
}

fn choice(choice: &wit_address::Choice) -> Choice {
    match choice {
        wit_address::Choice::Pass => Choice::Pass,
        wit_address::Choice::Skip(reason) => Choice::Skip(reason.clone()),
        wit_address::Choice::Dial(candidates) => {
            let target = |candidate: &wit_address::Candidate| Target {
                host: candidate.host.clone(),
                port: candidate.port,
                path: candidate.path.clone(),
                server_name: candidate.server_name.clone(),
            };
            Choice::Dial(candidates.iter().map(target).collect())
        }
    }
}

/// Keeps what a plugin logs.
#[derive(Default)]
struct Lines(Mutex<Vec<String>>);

impl Log for Lines {
    fn log(&self, level: Level, message: &str) {
        let level = match level {
            Level::Error => "error",
            Level::Warn => "warn",
            Level::Info => "info",
            Level::Debug => "debug",
            Level::Trace => "trace",
        };
        self.0.lock().push(format!("{level}: {message}"));
    }
}

/// A plugin and how it is run, as commands take it.
#[derive(Clone, Debug, clap::Args)]
pub struct GuestArgs {
    /// The .wasm file.
    pub file: PathBuf,
    #[command(flatten)]
    pub limits: LimitArgs,
}

/// What a plugin may use up, where it is not the default of gateway.toml.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct LimitArgs {
    /// `limits.memory` of the plugin, for example 64MiB.
    #[arg(long, value_name = "SIZE", value_parser = memory)]
    memory: Option<usize>,
    /// `limits.cpu` of the plugin, for example 20ms; otherwise each hook has its own.
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    cpu: Option<Duration>,
    /// `limits.instances` of the plugin: core instances in its component.
    #[arg(long, value_name = "NUMBER")]
    instances: Option<usize>,
}

impl LimitArgs {
    /// With the defaults where nothing is said.
    pub fn limits(&self) -> PluginLimits {
        let defaults = PluginLimits::default();
        PluginLimits {
            memory: self.memory.unwrap_or(defaults.memory),
            instances: self.instances.unwrap_or(defaults.instances),
            cpu: self.cpu,
            ..defaults
        }
    }
}

/// Reads a size with its unit.
fn memory(text: &str) -> Result<usize, String> {
    let size = super::cases::parse_bytes(text).and_then(|size| usize::try_from(size).ok());
    size.filter(|size| *size > 0).ok_or_else(|| format!("{text:?} is no size (write for example 64MiB)"))
}

/// Reads a duration above zero.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let parsed: Option<GoDuration> = text.parse().ok();
    let above_zero = parsed.and_then(GoDuration::unsigned).filter(|duration| !duration.is_zero());
    above_zero.ok_or_else(|| format!("{text:?} is no duration above zero (write for example 20ms)"))
}

/// Settings from the command line: JSON, or `@` and the name of a file that holds it.
///
/// # Errors
/// Where the file cannot be read, or what it says is no JSON object.
pub fn settings(text: &str) -> Result<String> {
    let json = match text.strip_prefix('@') {
        Some(file) => std::fs::read_to_string(file).with_context(|| format!("cannot read the settings in {file}"))?,
        None => text.to_owned(),
    };
    let object: serde_json::Map<String, serde_json::Value> =
        serde_json::from_str(&json).with_context(|| format!("the settings {json:?} are no JSON object"))?;
    Ok(serde_json::Value::Object(object).to_string())
}
