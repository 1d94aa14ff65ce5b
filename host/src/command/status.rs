//! `metrics-gateway status`: how a running gateway fares, at a glance; live, or once.
//!
//! In: the gateway's own account, asked for again and again. Out: a screen that is drawn anew each time, or one that is
//! printed. Each question goes over a connection of its own, so that with several replicas now one answers and now
//! another: the screen shows the one that answered last, and of the others a line each.
//!
//! Where standard output is no terminal there is nothing to draw on, and it is as with `--once`. While a question is not
//! answered the last screen stays, with the reason above it.

mod terminal;
mod view;

use std::collections::BTreeMap;
use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::{Args as ClapArgs, ValueEnum};
use serde_json::Value;
use tokio::time::Instant;

use super::cluster::ClusterOptions;
use super::gateway::{ask, read};
use crate::report::status::{Gateway as Told, GatewayList, LIST};
use terminal::Screen;
use view::{Colours, Replicas, Seen, Size};

/// With --once, as many questions are asked; each may find another replica.
const QUESTIONS: u32 = 3;
/// A replica that has not answered for so long is shown no more.
const FORGOTTEN: Duration = Duration::from_secs(120);

/// `metrics-gateway status`
#[derive(Debug, ClapArgs)]
pub(super) struct StatusCommand {
    #[command(flatten)]
    cluster: ClusterOptions,
    /// Prints it once instead of drawing it again and again.
    #[arg(long)]
    once: bool,
    /// How often it is drawn: 2s, 500ms.
    #[arg(long, value_name = "TIME", default_value = "2s")]
    interval: Interval,
    /// For people, or for programs (once).
    #[arg(short, long, value_enum, default_value = "text")]
    output: Output,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Output {
    Text,
    Json,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Interval(Duration);

impl FromStr for Interval {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const WRONG: &str = "write a time from 200ms to 1h, as 2s or 500ms";
        let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
        let number: u64 = number.parse().map_err(|_| WRONG)?;
        let time = match unit {
            "ms" => Duration::from_millis(number),
            "s" => Duration::from_secs(number),
            "m" => Duration::from_secs(number.saturating_mul(60)),
            _ => return Err(WRONG),
        };
        let range = Duration::from_millis(200)..=Duration::from_secs(3600);
        if range.contains(&time) { Ok(Self(time)) } else { Err(WRONG) }
    }
}

/// Does it.
///
/// # Errors
/// With what stands in the way.
#[tokio::main(flavor = "current_thread")]
pub(super) async fn run(command: StatusCommand) -> Result<ExitCode> {
    let cluster = &command.cluster;
    if command.output == Output::Json || command.once || !std::io::stdout().is_terminal() {
        print_once(cluster, command.output).await?;
    } else {
        draw(cluster, command.interval.0).await?;
    }
    Ok(ExitCode::SUCCESS)
}

async fn print_once(cluster: &ClusterOptions, output: Output) -> Result<()> {
    let mut replicas = Known::default();
    let mut first: Option<Value> = None;
    for number in 0..QUESTIONS {
        match question(cluster).await {
            Ok((document, told)) => {
                first.get_or_insert(document);
                replicas.note(told);
            }
            // The first says it all; of the others nothing was promised.
            Err(error) if number == 0 => return Err(error),
            Err(_) => break,
        }
        if output == Output::Json {
            break;
        }
    }
    if output == Output::Json {
        println!("{:#}", first.unwrap_or_default());
        return Ok(());
    }
    let is_terminal = std::io::stdout().is_terminal();
    let columns = if is_terminal { terminal::size().columns } else { usize::MAX };
    let lines = view::screen(&replicas.seen(), None);
    print!("{}", view::fitted(&lines, Size { columns, lines: usize::MAX }, colours(is_terminal)));
    Ok(())
}

async fn draw(cluster: &ClusterOptions, interval: Duration) -> Result<()> {
    let mut screen = Screen::take()?;
    let mut stop = terminal::Stop::listen()?;
    let mut replicas = Known::default();
    loop {
        let answer = tokio::select! {
            () = stop.told() => return Ok(()),
            answer = question(cluster) => answer,
        };
        let trouble = match answer {
            Ok((_, told)) => {
                replicas.note(told);
                None
            }
            Err(error) => Some(format!("{error:#}")),
        };
        let lines = view::screen(&replicas.seen(), trouble.as_deref());
        screen.draw(&view::fitted(&lines, terminal::size(), colours(true)))?;
        tokio::select! {
            () = stop.told() => return Ok(()),
            () = tokio::time::sleep(interval) => {}
        }
    }
}

/// Asks once; the document, and what it says.
async fn question(cluster: &ClusterOptions) -> Result<(Value, Told)> {
    let document = ask(cluster, "gateways").await?;
    let list: GatewayList = read(document.clone(), LIST)?;
    let told = list.items.into_iter().next().context("the answer names no gateway")?;
    Ok((document, told))
}

/// Colours are for terminals, and for those who have not said that they want none (no-color.org).
fn colours(is_terminal: bool) -> Colours {
    let is_unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    if is_terminal && !is_unwanted { Colours::On } else { Colours::Off }
}

/// What the replicas said last.
#[derive(Default)]
struct Known {
    replicas: BTreeMap<String, (Instant, Told)>,
    latest: String,
}

impl Known {
    fn note(&mut self, told: Told) {
        let now = Instant::now();
        self.replicas.retain(|_, (at, _)| now.saturating_duration_since(*at) < FORGOTTEN);
        self.latest.clone_from(&told.name);
        self.replicas.insert(told.name.clone(), (now, told));
    }

    fn seen(&self) -> Replicas<'_> {
        let now = Instant::now();
        let seconds_ago = |known: &(Instant, Told)| now.saturating_duration_since(known.0).as_secs();
        let others = self.replicas.iter().filter(|(name, _)| **name != self.latest);
        Replicas {
            latest: self.replicas.get(&self.latest).map(|(_, told)| told),
            others: others.map(|(_, known)| Seen { told: &known.1, seconds_ago: seconds_ago(known) }).collect(),
        }
    }
}

/// Flushes what was printed; nobody is left to tell where the output is closed.
fn flush() {
    let _ = std::io::stdout().flush();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_has_a_unit_and_bounds() {
        let read = |text: &str| text.parse::<Interval>().ok().map(|interval| interval.0);
        assert_eq!(read("2s"), Some(Duration::from_secs(2)));
        assert_eq!(read("500ms"), Some(Duration::from_millis(500)));
        for bad in ["", "2", "0s", "100ms", "2h", "-1s", "1.5s", "99999999999999999999s", "18446744073709551615m"] {
            assert_eq!(read(bad), None, "{bad:?}");
        }
    }
}
