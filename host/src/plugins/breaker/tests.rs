use proptest::prelude::*;

use super::*;

/// A breaker and a time that only tests move.
struct Bench {
    breaker: Breaker,
    now: Instant,
}

impl Bench {
    fn new() -> Self {
        Self { breaker: Breaker::default(), now: Instant::now() }
    }

    fn wait(&mut self, seconds: u64) {
        self.now += Duration::from_secs(seconds);
    }

    /// Makes a call that ends at once; None: it was not admitted.
    fn call(&mut self, end: End) -> Option<Option<Change>> {
        let ticket = self.breaker.admit(self.now)?;
        Some(self.breaker.report(ticket, end, self.now))
    }

    fn fail(&mut self, times: usize) -> Vec<Option<Change>> {
        (0..times).filter_map(|_| self.call(End::Badly)).collect()
    }
}

fn opened(seconds: u64) -> Option<Change> {
    Some(Change::Opened(Duration::from_secs(seconds)))
}

#[test]
fn the_fifth_failure_within_a_minute_opens_it_and_the_fourth_does_not() {
    let mut bench = Bench::new();
    assert_eq!(bench.fail(4), [None; 4]);
    assert_eq!(bench.breaker.position(), Position::Closed);
    assert_eq!(bench.fail(1), [opened(30)]);
    assert_eq!(bench.breaker.position(), Position::Open);
    assert_eq!(bench.call(End::Well), None, "it is open");
}

#[test]
fn four_failures_a_minute_never_open_it() {
    let mut bench = Bench::new();
    for failure in 0..200 {
        assert_eq!(bench.fail(1), [None], "failure {failure}");
        bench.wait(15);
    }
}

#[test]
fn successes_between_failures_do_not_hide_them() {
    let mut bench = Bench::new();
    for _ in 0..4 {
        assert_eq!(bench.fail(1), [None]);
        assert_eq!(bench.call(End::Well), Some(None));
    }
    assert_eq!(bench.fail(1), [opened(30)]);
}

#[test]
fn a_trial_that_goes_well_closes_it() {
    let mut bench = Bench::new();
    bench.fail(5);
    bench.wait(29);
    assert_eq!(bench.call(End::Well), None);
    bench.wait(1);
    assert_eq!(bench.call(End::Well), Some(Some(Change::Closed)));
    assert_eq!(bench.fail(4), [None; 4], "failures from before it opened are forgotten");
}

#[test]
fn each_failed_trial_doubles_the_pause_up_to_ten_minutes() {
    let mut bench = Bench::new();
    bench.fail(5);
    let mut pause = 30;
    for expected in [60, 120, 240, 480, 600, 600] {
        bench.wait(pause - 1);
        assert_eq!(bench.call(End::Badly), None, "after {pause} s less one");
        bench.wait(1);
        assert_eq!(bench.call(End::Badly), Some(opened(expected)));
        pause = expected;
    }
}

#[test]
fn one_that_opens_soon_after_it_closed_goes_on_where_it_was() {
    let mut bench = Bench::new();
    bench.fail(5);
    bench.wait(30);
    assert_eq!(bench.call(End::Well), Some(Some(Change::Closed)));
    bench.wait(599);
    assert_eq!(bench.fail(5).last(), Some(&opened(60)));
    bench.wait(60);
    assert_eq!(bench.call(End::Well), Some(Some(Change::Closed)));
    bench.wait(600);
    assert_eq!(bench.fail(5).last(), Some(&opened(30)), "ten good minutes are a new beginning");
}

#[test]
fn only_one_call_is_tried_at_a_time() {
    let mut bench = Bench::new();
    bench.fail(5);
    bench.wait(30);
    let trial = bench.breaker.admit(bench.now).expect("the pause is over");
    assert_eq!(bench.breaker.position(), Position::HalfOpen);
    assert!(bench.breaker.admit(bench.now).is_none());
    assert_eq!(bench.breaker.report(trial, End::Well, bench.now), Some(Change::Closed));
}

#[test]
fn a_trial_that_never_reports_is_replaced_after_a_minute_and_has_no_say_any_more() {
    let mut bench = Bench::new();
    bench.fail(5);
    bench.wait(30);
    let lost = bench.breaker.admit(bench.now).expect("the pause is over");
    bench.wait(59);
    assert!(bench.breaker.admit(bench.now).is_none());
    bench.wait(1);
    let second = bench.breaker.admit(bench.now).expect("the first one is given up");
    assert_eq!(bench.breaker.report(lost, End::Well, bench.now), None);
    assert_eq!(bench.breaker.position(), Position::HalfOpen);
    assert_eq!(bench.breaker.report(second, End::Badly, bench.now), opened(60));
}

#[test]
fn calls_that_began_before_it_opened_do_not_decide_the_trial() {
    let mut bench = Bench::new();
    let early: Vec<Ticket> = (0..3).filter_map(|_| bench.breaker.admit(bench.now)).collect();
    bench.fail(5);
    bench.wait(30);
    let trial = bench.breaker.admit(bench.now).expect("the pause is over");
    for ticket in early {
        assert_eq!(bench.breaker.report(ticket, End::Badly, bench.now), None);
    }
    assert_eq!(bench.breaker.report(trial, End::Well, bench.now), Some(Change::Closed));
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Wait(u64),
    Begin,
    /// Of the calls under way, the one at this place (modulo their number).
    End(usize, bool),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        2 => (0..100_u64).prop_map(Step::Wait),
        4 => Just(Step::Begin),
        4 => (any::<usize>(), any::<bool>()).prop_map(|(place, is_well)| Step::End(place, is_well)),
    ];
    prop::collection::vec(step, 0..400)
}

proptest! {
    #[test]
    fn whatever_happens_it_opens_for_a_reason_and_never_for_good(steps in steps()) {
        let mut bench = Bench::new();
        let mut under_way = Vec::new();
        let mut failures = Vec::new();
        let mut open_until = None;
        for step in steps {
            match step {
                Step::Wait(seconds) => bench.wait(seconds),
                Step::Begin => {
                    let before = bench.breaker.position();
                    if let Some(ticket) = bench.breaker.admit(bench.now) {
                        prop_assert!(open_until.is_none_or(|until| bench.now >= until));
                        under_way.push(ticket);
                    } else {
                        prop_assert_ne!(before, Position::Closed);
                    }
                }
                Step::End(_, _) if under_way.is_empty() => {}
                Step::End(place, is_well) => {
                    let ticket = under_way.swap_remove(place % under_way.len());
                    let was = bench.breaker.position();
                    let end = if is_well { End::Well } else { failures.push(bench.now); End::Badly };
                    match bench.breaker.report(ticket, end, bench.now) {
                        Some(Change::Opened(pause)) => {
                            prop_assert!((FIRST_PAUSE..=LONGEST_PAUSE).contains(&pause));
                            let recent = failures.iter().filter(|at| bench.now - **at < WITHIN).count();
                            prop_assert!(was == Position::HalfOpen || recent >= FAILURES);
                            open_until = Some(bench.now + pause);
                        }
                        Some(Change::Closed) => prop_assert_eq!(was, Position::HalfOpen),
                        None => prop_assert_eq!(bench.breaker.position(), was),
                    }
                }
            }
        }
        // Whatever it was left in, ten quiet minutes and one good answer bring it back.
        bench.wait(600);
        if bench.breaker.position() != Position::Closed {
            prop_assert_eq!(bench.call(End::Well), Some(Some(Change::Closed)));
        }
        prop_assert_eq!(bench.breaker.position(), Position::Closed);
    }
}
