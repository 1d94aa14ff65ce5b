use super::*;

const QUIET: Duration = Duration::from_secs(60);

#[test]
fn a_plugin_that_fails_for_one_node_in_every_tick_is_told_of_once() {
    let (mut condition, start) = (Condition::default(), Instant::now());
    let mut told = 0;
    for tick in 0..1000 {
        let now = start + Duration::from_secs(15) * tick;
        told += usize::from(condition.fail(now));
        told += usize::from(condition.answer(now + Duration::from_secs(1), QUIET).is_some());
    }
    assert_eq!(told, 1);
}

#[test]
fn it_is_well_again_with_the_first_answer_after_a_quiet_time() {
    let (mut condition, start) = (Condition::default(), Instant::now());
    assert!(condition.fail(start));
    let last = start + Duration::from_secs(40);
    assert!(!condition.fail(last));
    assert_eq!(condition.answer(last + QUIET - Duration::from_millis(1), QUIET), None);
    let recovery = Recovery { lasted: Duration::from_secs(40), times: 2 };
    assert_eq!(condition.answer(last + QUIET, QUIET), Some(recovery));
    assert_eq!(condition.answer(last + QUIET, QUIET), None, "it is said once");
    assert!(condition.fail(last + QUIET), "and the next failure is a new one");
}
