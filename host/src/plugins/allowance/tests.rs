use std::sync::atomic::{AtomicU64, Ordering};

use proptest::prelude::*;

use super::*;

const TICK: Duration = Duration::from_secs(15);

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

#[test]
fn what_is_used_up_comes_back_with_the_next_tick() {
    let start = Instant::now();
    let allowance = Allowance::new(millis(100), TICK);
    assert!(allowance.is_left(start));
    allowance.charge(millis(99), start);
    assert!(allowance.is_left(start));
    allowance.charge(millis(1), start + millis(14_000));
    assert!(!allowance.is_left(start + millis(14_999)));
    assert!(allowance.is_left(start + TICK));
}

#[test]
fn what_was_taken_too_much_is_missing_in_the_ticks_after() {
    let start = Instant::now();
    let allowance = Allowance::new(millis(10), TICK);
    allowance.charge(millis(50), start);
    let is_left: Vec<bool> = (0..7).map(|tick| allowance.is_left(start + TICK * tick)).collect();
    assert_eq!(is_left, [false, false, false, false, false, true, true]);
}

#[test]
fn what_was_not_used_is_not_saved() {
    let start = Instant::now();
    let allowance = Allowance::new(millis(10), TICK);
    assert!(allowance.is_left(start));
    let later = start + TICK * 1000;
    allowance.charge(millis(10), later);
    assert!(!allowance.is_left(later));
}

#[test]
fn without_an_allowance_nothing_begins() {
    assert!(!Allowance::new(Duration::ZERO, TICK).is_left(Instant::now()));
}

#[test]
fn many_threads_together_take_their_share_and_one_call_each_at_most() {
    let allowance = Allowance::new(millis(100), TICK);
    let (start, taken) = (Instant::now(), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..100 {
                    if allowance.is_left(start) {
                        allowance.charge(millis(3), start);
                        taken.fetch_add(3, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    let taken = taken.into_inner();
    assert!((100..100 + 8 * 3).contains(&taken), "{taken} ms");
}

proptest! {
    #[test]
    fn over_any_time_at_most_the_allowance_and_one_call_are_taken(
        calls in prop::collection::vec((0..20_000_u64, 0..500_u64), 1..200),
        per_tick in 1..300_u64,
    ) {
        let (start, allowance) = (Instant::now(), Allowance::new(millis(per_tick), TICK));
        let (mut now, mut taken, mut longest) = (start, 0, 0);
        for (pause, cpu) in calls {
            now += millis(pause);
            if allowance.is_left(now) {
                allowance.charge(millis(cpu), now);
                (taken, longest) = (taken + cpu, longest.max(cpu));
            }
            // Ticks count from the first call, and the one under way counts whole.
            let ticks = (now - start).as_millis() / TICK.as_millis() + 1;
            let most = u128::from(per_tick) * ticks + u128::from(longest);
            prop_assert!(u128::from(taken) <= most, "{taken} ms of {most} ms");
        }
    }
}
