use std::cell::Cell;
use std::time::Duration;

use super::*;
use crate::authoring::question::{Choice, Code, Target};
use crate::model::Usage;
use crate::model::policy::last_two;

/// What a native stand-in for a plugin does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Vice {
    None,
    Remembers,
    CountsRows,
    TrapsOnNothing,
    TrapsOnGarbage,
    RefusesNothing,
    Grows,
    Echoes,
    EatsFuel,
    Loops,
    Random,
}

struct Fake {
    vice: Vice,
    hook: Hook,
    calls: Cell<u64>,
}

struct FakeInstance<'a> {
    of: &'a Fake,
    settings: String,
    life: Life,
    calls: Cell<u64>,
}

impl Plugin for Fake {
    fn hooks(&self) -> Vec<Hook> {
        vec![self.hook]
    }

    fn with(&self, settings: &str, life: Life) -> Box<dyn Ask + '_> {
        Box::new(FakeInstance { of: self, settings: settings.to_owned(), life, calls: Cell::new(0) })
    }
}

impl Ask for FakeInstance<'_> {
    fn configure(&self) -> Result<Called<()>, Failed> {
        match self.of.vice {
            Vice::TrapsOnGarbage if self.settings.is_empty() => failed(PluginError::Trap("unreachable".to_owned())),
            Vice::RefusesNothing if self.settings == "{}" => {
                failed(PluginError::Refused("half_life is missing".to_owned()))
            }
            _ => Ok(called((), 0, 0)),
        }
    }

    fn ask(&self, question: &Question) -> Result<Called<Answer>, Failed> {
        self.of.calls.set(self.of.calls.get() + 1);
        if self.life == Life::AllCalls {
            self.calls.set(self.calls.get() + 1);
        }
        let (rows, vice) = (question.rows(), self.of.vice);
        if vice == Vice::TrapsOnNothing && rows == 0 {
            return failed(PluginError::Trap("out of bounds".to_owned()));
        }
        if vice == Vice::Loops && rows > 0 {
            return failed(PluginError::Cpu { budget: Duration::from_millis(20) });
        }
        let odd = match vice {
            Vice::Remembers => self.calls.get() > 1,
            Vice::Random => self.of.calls.get().is_multiple_of(2),
            _ => false,
        };
        let memory = if vice == Vice::Grows { 1_000_000 + 200 * self.calls.get() as usize } else { 1_000_000 };
        let fuel = if vice == Vice::EatsFuel { 1_001 } else { 1_000 } * rows as u64;
        answer_of(question, vice, odd).map(|answer| called(answer, memory, fuel))
    }
}

fn answer_of(question: &Question, vice: Vice, odd: bool) -> Result<Answer, Failed> {
    Ok(match question {
        Question::Address(node) => {
            let host = node.addresses.first().map(|address| address.address.to_string());
            match host {
                Some(host) if vice == Vice::Echoes && host.is_empty() => {
                    return failed(PluginError::BadOutput("host \"\"".to_owned()));
                }
                Some(host) => Answer::Address(Choice::Dial(vec![Target { host, ..Target::default() }])),
                None => Answer::Address(Choice::Pass),
            }
        }
        Question::Filter(_) | Question::FilterByValue(_) => {
            let code = |row| if odd || (vice == Vice::CountsRows && row >= 5) { Code::Drop } else { Code::Keep };
            Answer::Verdicts((0..question.rows()).map(code).collect())
        }
        Question::Window(histories) => {
            let usage = |(row, history): (usize, &crate::authoring::question::History)| -> Option<Usage> {
                last_two(&history.samples).ok().filter(|_| !(odd || (vice == Vice::CountsRows && row >= 5)))
            };
            Answer::Usages(histories.series.iter().enumerate().map(usage).collect())
        }
    })
}

fn called<T>(answer: T, memory: usize, fuel: u64) -> Called<T> {
    Called { answer, cpu: Duration::ZERO, memory, fuel: Some(fuel) }
}

fn failed<T>(error: PluginError) -> Result<T, Failed> {
    Err(Failed { error, cpu: Duration::ZERO, memory: 0 })
}

fn examined(vice: Vice, hook: Hook, terms: &Terms) -> Vec<Finding> {
    examine(&Fake { vice, hook, calls: Cell::new(0) }, terms)
}

/// The names of what failed, with what is said of it.
fn failures(findings: &[Finding]) -> Vec<(&str, String)> {
    let failed = |finding: &'_ Finding| match &finding.outcome {
        Outcome::Failed(lines) => Some(lines.join("\n")),
        _ => None,
    };
    findings.iter().filter_map(|finding| Some((finding.name.as_str(), failed(finding)?))).collect()
}

#[track_caller]
fn check_fails(vice: Vice, hook: Hook, expected: &[(&str, &str)]) {
    let findings = examined(vice, hook, &Terms::default());
    let failures = failures(&findings);
    assert_eq!(failures.len(), expected.len(), "{failures:#?}");
    for ((name, lines), (expected_name, part)) in failures.iter().zip(expected) {
        assert!(
            name == expected_name && lines.contains(part),
            "{name}: {lines}\nwhere {expected_name}: {part} was expected"
        );
    }
}

const HOOKS: [Hook; 4] = [Hook::Address, Hook::Filter, Hook::FilterByValue, Hook::Window];

#[test]
fn a_good_plugin_passes_everything_at_every_hook() {
    for hook in HOOKS {
        check_fails(Vice::None, hook, &[]);
    }
}

#[test]
fn what_a_plugin_remembers_of_earlier_calls_is_found() {
    let name = "the same from an instance that answered others";
    check_fails(Vice::Remembers, Hook::Window, &[(name, "then none\n")]);
    check_fails(Vice::Remembers, Hook::Filter, &[(name, "keep, then drop\n")]);
}

#[test]
fn a_plugin_that_answers_at_random_is_found() {
    let findings = examined(Vice::Random, Hook::FilterByValue, &Terms::default());
    let names: Vec<&str> = failures(&findings).iter().map(|(name, _)| *name).collect();
    assert!(names.contains(&"the same from another fresh instance"), "{names:?}");
}

#[test]
fn a_window_must_not_depend_on_the_order_and_a_filter_may_unless_told_otherwise() {
    let name = "the same of each row in another order";
    check_fails(Vice::CountsRows, Hook::Window, &[(name, "and 5 more")]);
    let lenient = examined(Vice::CountsRows, Hook::Filter, &Terms::default());
    assert!(failures(&lenient).is_empty());
    let noted = lenient.iter().find(|finding| finding.name == name).expect("it is examined");
    assert!(matches!(&noted.outcome, Outcome::Noted(text) if text.contains("by the order")), "{noted:?}");
    let strict = Terms { permutation: Permutation::Strict, ..Terms::default() };
    assert_eq!(failures(&examined(Vice::CountsRows, Hook::Filter, &strict))[0].0, name);
}

#[test]
fn a_trap_names_the_question_and_the_settings_that_led_to_it() {
    check_fails(Vice::TrapsOnNothing, Hook::Filter, &[("no pods", "out of bounds")]);
    check_fails(Vice::TrapsOnGarbage, Hook::Filter, &[("settings that are none", "nothing: it trapped: unreachable")]);
}

#[test]
fn a_plugin_that_loops_is_given_up_after_three_calls_of_thousands() {
    let fake = Fake { vice: Vice::Loops, hook: Hook::Window, calls: Cell::new(0) };
    let findings = examine(&fake, &Terms::default());
    assert_eq!(fake.calls.get(), 4, "one of them about no rows at all");
    let last = findings.last().expect("there are some");
    assert_eq!((last.name.as_str(), last.outcome.is_failure()), ("all other built-in cases", true));
}

#[test]
fn a_plugin_that_refuses_the_settings_is_not_asked_and_its_author_told_what_to_do() {
    check_fails(
        Vice::RefusesNothing,
        Hook::Window,
        &[(
            "the settings of the built-in cases",
            "with the settings {} it refuses its settings: half_life is missing; give others",
        )],
    );
    let mut terms = Terms::default();
    terms.settings.insert(Hook::Window, "{\"half_life\":\"60s\"}".to_owned());
    assert_eq!(failures(&examined(Vice::RefusesNothing, Hook::Window, &terms)), []);
}

#[test]
fn growth_is_a_failure_of_plugins_that_are_meant_for_reuse_and_else_a_note() {
    let name = "as large after 2,000 calls as after 1,000";
    let findings = examined(Vice::Grows, Hook::Window, &Terms::default());
    assert_eq!(failures(&findings), []);
    let noted = findings.iter().find(|finding| finding.name == name).expect("it is examined");
    assert!(matches!(&noted.outcome, Outcome::Noted(text) if text.ends_with("; leave `reuse` off")), "{noted:?}");
    let reused = Terms { reuse: Reuse::On, ..Terms::default() };
    let findings = examined(Vice::Grows, Hook::Window, &reused);
    let grew = "an instance grew from 1200000 to 1400000 bytes of memory, by more than 10 per cent";
    assert_eq!(failures(&findings), [(name, grew.to_owned())]);
}

#[test]
fn an_answer_that_cannot_be_believed_to_a_question_that_cannot_be_asked_is_a_note() {
    let findings = examined(Vice::Echoes, Hook::Address, &Terms::default());
    assert_eq!(failures(&findings), []);
    let noted: Vec<&str> = findings
        .iter()
        .filter(|finding| matches!(finding.outcome, Outcome::Noted(_)))
        .map(|finding| finding.name.as_str())
        .collect();
    assert_eq!(noted, ["texts that are all empty"]);
}

#[test]
fn fuel_is_told_per_question_and_bounded_per_row() {
    let terms = Terms { max_fuel_per_row: Some(1_000), ..Terms::default() };
    let of_full_node = |findings: &[Finding]| findings.iter().find(|f| f.name == "the fuel of a full node").cloned();
    let good = of_full_node(&examined(Vice::None, Hook::Filter, &terms)).expect("it is examined");
    assert_eq!((good.fuel, good.rows, good.outcome), (Some(110_000), Some(110), Outcome::Passed));
    let greedy = of_full_node(&examined(Vice::EatsFuel, Hook::Filter, &terms)).expect("it is examined");
    assert_eq!(greedy.outcome, Outcome::failed("takes 110110 of fuel, and may take 110 times 1000"));
}

#[test]
fn garbage_is_made_from_every_property_of_the_schema() {
    let schema = r#"{"properties":{"half_life":{"type":"string"},"a\"b":{}}}"#;
    let all = garbage(schema);
    assert_eq!(all.len(), garbage("").len() + 2 * WRONG.len());
    assert!(all.contains(&("\"half_life\" is -1".to_owned(), "{\"half_life\":-1}".to_owned())), "{all:?}");
    let json = all.iter().filter(|(name, _)| name.contains("a\\\"b")).all(|(_, text)| text.starts_with("{\"a\\\"b\":"));
    assert!(json, "{all:?}");
    assert!(all.iter().all(|(_, text)| text.len() <= 66 << 10));
}

#[test]
fn rows_that_were_turned_are_turned_back() {
    for hook in [Hook::Filter, Hook::FilterByValue, Hook::Window] {
        let question = typical::question(hook, 10, 2);
        let (turned, order) = turn(&question).expect("it has rows");
        for (row, old) in order.iter().enumerate() {
            assert_eq!(turned.subject(row), question.subject(*old), "{hook:?}");
        }
        let numbers = Answer::Usages(order.iter().map(|old| Some(numbered(*old))).collect());
        let back = Answer::Usages((0..10).map(|row| Some(numbered(row))).collect());
        assert_eq!(turn_back(&numbers, &order), back, "{hook:?}");
    }
}

fn numbered(row: usize) -> Usage {
    let mut usage = last_two(&typical::readings(0, 2)).expect("two readings");
    usage.memory.0 = row as u64;
    usage
}
