use prometheus::{IntCounterVec, Opts};

use super::*;

fn family() -> IntCounterVec {
    IntCounterVec::new(Opts::new("calls", "Calls"), &["plugin", "tenant"]).unwrap()
}

/// The values of all series, sorted.
fn values(family: &IntCounterVec) -> Vec<u64> {
    let families = family.collect();
    let mut values: Vec<u64> =
        families[0].get_metric().iter().map(|metric| metric.get_counter().get_value() as u64).collect();
    values.sort_unstable();
    values
}

#[test]
fn a_series_goes_with_its_last_holder() {
    let (rows, family) = (Rows::default(), family());
    let (kept, gone) = (rows.row(&family, &["ewma", "shop"]), rows.row(&family, &["ewma", "payments"]));
    kept.inc_by(3);
    gone.inc_by(7);
    drop(gone);
    assert_eq!(values(&family), [3]);
}

#[test]
fn a_series_that_is_taken_again_before_it_goes_keeps_its_count() {
    let (rows, family) = (Rows::default(), family());
    let old = rows.row(&family, &["ewma", "shop"]);
    old.inc_by(3);
    let new = rows.row(&family, &["ewma", "shop"]);
    drop(old);
    new.inc();
    assert_eq!(values(&family), [4]);
    drop(new);
    assert!(values(&family).is_empty());
}

#[test]
fn however_threads_take_and_drop_it_a_series_exists_while_it_is_held() {
    let (rows, family) = (Rows::default(), family());
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..1000 {
                    let row = rows.row(&family, &["ewma", "shop"]);
                    row.inc();
                    assert!(family.with_label_values(&["ewma", "shop"]).get() > 0, "it is the one that is reported");
                }
            });
        }
    });
    assert!(values(&family).is_empty());
}
