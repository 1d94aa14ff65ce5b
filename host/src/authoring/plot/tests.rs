use super::figure::{Curve, draw};
use crate::authoring::replay::Replay;
use crate::authoring::scenario::{Kind, Scenario, scenario};

fn last_two(scenario: &Scenario) -> Curve {
    let mut replay = Replay::default();
    let served = scenario.samples.iter().map(|sample| {
        replay.push(*sample);
        replay.last_two().ok()
    });
    Curve { name: "last-two".to_owned(), served: served.collect() }
}

/// A mean over all that is known, for something to look at beside the other.
fn mean(name: &str, of: usize, scenario: &Scenario) -> Curve {
    let latest = last_two(scenario).served;
    let served = (0..latest.len()).map(|at| {
        let known: Vec<_> = latest[at.saturating_sub(of - 1)..=at].iter().flatten().collect();
        let newest = latest[at]?;
        let mean = known.iter().map(|usage| usage.cpu.0).sum::<u64>() / known.len() as u64;
        Some(crate::model::Usage { cpu: crate::model::units::Nanocores(mean), ..newest })
    });
    Curve { name: name.to_owned(), served: served.collect() }
}

#[test]
fn write_them() {
    for (name, kind, _) in Kind::ALL {
        let scenario = scenario(kind);
        let curves =
            [last_two(&scenario), mean("sliding-mean 60s", 4, &scenario), mean("sliding-mean 3m", 12, &scenario)];
        std::fs::write(format!("/tmp/{name}.svg"), draw(&scenario, &curves)).unwrap();
    }
}
