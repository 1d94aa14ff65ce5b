use super::*;
use crate::model::policy::{NoUsage, Opinions};
use crate::model::units::CpuNanoseconds;
use crate::model::units::{Bytes, Nanocores};
use crate::model::{ContainerUsage, NodeName, Sample};
use crate::report::explanation::NodeScrape;
use crate::store::{Absent, Note, Readings};
use crate::tick::{NodeRecord, Trouble};

const SECOND: u64 = 1_000_000_000;

fn opinions(said: &[Opinion]) -> Opinions {
    let mut opinions = Opinions::default();
    said.iter().enumerate().for_each(|(filter, opinion)| opinions.note(filter, *opinion));
    opinions
}

#[test]
fn only_what_can_be_a_name_is_put_into_a_path() {
    for good in ["a", "web-0", "10.0.0.1", &"a".repeat(253)] {
        assert!(is_name(good), "{good:?}");
    }
    for bad in ["", ".", "..", "a/b", "a?b", "a%2fb", "A", "a b", "ä", &"a".repeat(254)] {
        assert!(!is_name(bad), "{bad:?}");
    }
}

#[test]
fn the_filter_that_leaves_nothing_is_named_also_where_two_withhold_a_half_each() {
    use Opinion::{ByValue, CpuOnly, Drop, FellBackToDrop, Keep, MemoryOnly, NotAsked};
    let dropped = |classified: &[Opinion], screened: &[Opinion]| {
        let note = Note { classified: opinions(classified), screened: opinions(screened), ..Note::default() };
        reason::dropped_by(note, classified.len())
    };
    assert_eq!(dropped(&[Keep, Drop, NotAsked], &[]), Some(1));
    assert_eq!(dropped(&[CpuOnly, Keep, MemoryOnly], &[]), Some(2));
    assert_eq!(dropped(&[FellBackToDrop], &[]), Some(0));
    assert_eq!(dropped(&[Keep, ByValue], &[NotAsked, Drop]), Some(1));
    assert_eq!(dropped(&[Keep, ByValue], &[NotAsked, Keep]), None);
    assert_eq!(dropped(&[], &[]), None);
}

/// A running pod of node `n`, which answers, and what its history says.
struct Case {
    found: Found,
    node: NodeScrape,
    look: Option<PodLook>,
    record: NodeRecord,
}

impl Case {
    fn new(outcome: Option<Result<(), Absent>>) -> Self {
        let say = Say { node: NodeName::new("n"), seen_at: UnixNanos(100 * SECOND), usage: None };
        let facts = PodFacts { phase: "Running".into(), node: Some("n".into()), is_terminating: false };
        let container = ContainerLook {
            name: "app".into(),
            readings: Readings::default(),
            note: Note::default(),
            last_two: Err(NoUsage::TooFew),
        };
        let look = PodLook {
            first_seen_at: UnixNanos(SECOND),
            seen_at: UnixNanos(100 * SECOND),
            outcome,
            is_judged: false,
            containers: vec![container],
            more_containers: 0,
        };
        let next = Some("then".to_owned());
        Self {
            found: Found { say: Some(say), is_running: true, facts: Some(Ok(Some(facts))) },
            node: NodeScrape { name: "n".into(), state: "answering".into(), next, ..NodeScrape::default() },
            look: outcome.map(|_| look),
            record: NodeRecord { answered_at: Some(UnixNanos(100 * SECOND)), ..NodeRecord::default() },
        }
    }

    fn evidence(&self) -> Evidence<'_> {
        Evidence {
            found: &self.found,
            node: Some(&self.node),
            look: self.look.as_ref(),
            incomplete: None,
            filters: &[],
            window: None,
            hold: Duration::from_secs(45),
            record: Some(self.record.clone()),
        }
    }

    fn missing(&self) -> &'static str {
        self.evidence().missing().reason
    }
}

#[test]
fn what_lies_nearest_to_the_object_is_the_reason() {
    let waiting = || Case::new(Some(Err(Absent::NoUsage(NoUsage::TooFew))));
    assert_eq!(waiting().missing(), "waiting");
    let text = waiting().evidence().missing().text;
    assert_eq!(text, "container \"app\" waits for a second sample; its node is asked next at then");

    let mut failing = waiting();
    (failing.node.state, failing.node.reason) = ("failing".into(), Some("timeout".into()));
    assert_eq!(failing.missing(), "node-failing");
    failing.found.facts = Some(Ok(None));
    assert_eq!(failing.missing(), "no-such-pod");

    let mut pending = waiting();
    pending.found.facts = Some(Ok(Some(PodFacts { phase: "Pending".into(), ..PodFacts::default() })));
    assert_eq!(pending.missing(), "not-running");

    let mut untold = waiting();
    untold.found.is_running = false;
    assert_eq!(untold.missing(), "not-told");
    untold.found.facts = Some(Err("away".into()));
    assert_eq!(untold.missing(), "not-told");

    let reason = |outcome| Case::new(outcome).missing();
    assert_eq!(reason(Some(Err(Absent::NoUsage(NoUsage::CounterFell)))), "counter-fell");
    assert_eq!(reason(Some(Err(Absent::NoUsage(NoUsage::Withheld)))), "withheld");
    assert_eq!(reason(Some(Err(Absent::Elsewhere))), "on-another-node");
    assert_eq!(reason(Some(Err(Absent::Dropped))), "dropped");
    assert_eq!(reason(Some(Err(Absent::Unknown))), "unknown");
    assert_eq!(reason(None), "not-in-answer");
}

#[test]
fn an_incomplete_pod_is_told_with_its_container_whatever_its_history_says() {
    let case = Case::new(Some(Err(Absent::NoUsage(NoUsage::TooFew))));
    let incomplete = crate::model::Incomplete {
        namespace: "shop".into(),
        pod: "web".into(),
        container: "side".into(),
        lacks_cpu: true,
        lacks_memory: false,
    };
    let missing = Evidence { incomplete: Some(&incomplete), ..case.evidence() }.missing();
    assert_eq!(missing.reason, "incomplete");
    assert!(missing.text.starts_with("container \"side\" reports no CPU (or zero)"), "{}", missing.text);
}

#[test]
fn a_pod_is_held_while_its_node_fails_or_leaves_it_out_and_until_the_hold_is_over() {
    let mut case = Case::new(Some(Ok(())));
    assert_eq!(case.evidence().held(), None, "it is in the latest answer");
    case.record.answered_at = Some(UnixNanos(110 * SECOND));
    let (missing, until) = case.evidence().held().expect("the latest answer came without it");
    assert_eq!((missing.reason, until), ("not-in-answer", UnixNanos(145 * SECOND)));
    case.record.trouble = Some(Trouble { reason: "dns", text: "?".into(), since: UnixNanos(1), times: 1 });
    case.node.state = "failing".into();
    assert_eq!(case.evidence().held().map(|(missing, _)| missing.reason), Some("node-failing"));
}

#[test]
fn figures_times_and_samples_are_written_as_the_api_writes_them() {
    let usage = ContainerUsage::new("app".into(), Some(Nanocores(250_000_000)), None);
    let figures = words::figures(&usage);
    assert_eq!((figures.cpu.as_deref(), figures.memory), (Some("250m"), None));
    let sample = Sample {
        taken_at: UnixNanos(1_795_212_472_677_000_000),
        started_at: UnixNanos::ZERO,
        cpu: CpuNanoseconds(7),
        memory: Bytes(1024),
    };
    let readings = Readings { count: 3, since: sample.taken_at, latest: vec![sample] };
    let told = words::samples(&readings, UnixNanos(1_795_212_476_999_000_000));
    assert_eq!((told.count, &*told.latest[0].taken_at), (3, "2026-11-20T22:07:52.677Z"));
    assert_eq!((&*told.latest[0].age, &told.latest[0].started_at), ("4.3s", &None));
}
