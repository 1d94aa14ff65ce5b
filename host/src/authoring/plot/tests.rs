use super::figure::{Curve, draw};
use super::*;
use crate::authoring::scenario::at;
use crate::model::Usage;
use crate::model::units::{Bytes, Nanocores, WindowNanos};

/// A mean over the latest usages, for something to look at beside upstream's rule.
fn mean(name: &str, of: usize, scenario: &Scenario) -> Curve {
    let latest = last_two(scenario).served;
    let served = (0..latest.len()).map(|row| {
        let known: Vec<&Usage> = latest[row.saturating_sub(of - 1)..=row].iter().flatten().collect();
        let mean = known.iter().map(|usage| usage.cpu.0).sum::<u64>() / known.len().max(1) as u64;
        Some(Usage { cpu: Nanocores(mean), ..latest[row]? })
    });
    Curve { name: name.to_owned(), served: served.collect() }
}

fn figure(kind: Kind) -> String {
    let scenario = scenario(kind);
    let curves = [last_two(&scenario), mean("mean of 4", 4, &scenario), mean("mean of 12", 12, &scenario)];
    draw(&scenario, &curves)
}

/// `GOLDEN=write cargo test` writes the picture that is there now, to be looked at in review.
#[track_caller]
fn check_golden(kind: Kind) {
    let name = kind.name();
    let path =
        PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures/plots")).join(name).with_extension("svg");
    let drawn = figure(kind);
    if std::env::var("GOLDEN").is_ok_and(|value| value == "write") {
        std::fs::write(&path, &drawn).expect("the fixtures can be written");
    }
    let golden = std::fs::read_to_string(&path).expect("there is such a picture");
    assert!(drawn == golden, "{name} is no longer drawn as in {}", path.display());
}

#[test]
fn a_gap_is_drawn_as_it_was() {
    check_golden(Kind::Gap);
}

#[test]
fn a_restart_is_drawn_as_it_was() {
    check_golden(Kind::Restart);
}

#[test]
fn a_picture_is_the_same_bytes_every_time_and_needs_nothing_from_elsewhere() {
    for (name, kind, title) in Kind::ALL {
        let drawn = figure(kind);
        assert_eq!(drawn, figure(kind), "{name}");
        assert!(drawn.contains(title) && drawn.starts_with("<svg ") && drawn.ends_with("</svg>\n"), "{name}");
        let links = drawn.matches("http").count();
        assert!(links == 1 && !drawn.contains("NaN") && !drawn.contains("inf"), "{name}: {links} links");
    }
}

#[test]
fn names_from_the_command_line_cannot_add_elements() {
    let scenario = scenario(Kind::Spike);
    let curves = [Curve { name: "<script>&\"\u{1b}".to_owned(), served: vec![None; scenario.samples.len()] }];
    let drawn = draw(&scenario, &curves);
    assert!(drawn.contains("&lt;script&gt;&amp;&quot;\u{fffd}"), "{drawn}");
    assert!(!drawn.contains("<script"), "{drawn}");
}

#[test]
fn absurd_usages_are_drawn_without_an_endless_axis() {
    let scenario = scenario(Kind::Spike);
    let absurd = Usage {
        taken_at: at(7),
        window: WindowNanos(1),
        cpu: Nanocores(1_000_000_000_000_000),
        memory: Bytes(1 << 60),
    };
    let drawn = draw(&scenario, &[Curve { name: "absurd".to_owned(), served: vec![Some(absurd); 39] }]);
    assert!(drawn.matches("class=\"tick\"").count() < 40, "{drawn}");
    assert!(drawn.contains(">1000000<"), "{drawn}");
}

#[test]
fn a_policy_is_a_name_and_a_file_and_perhaps_settings() {
    let read = |text: &str| policy(text).map(|policy| (policy.name, policy.file, policy.settings));
    let expected =
        |name: &str, file: &str, settings: &str| Ok((name.to_owned(), PathBuf::from(file), settings.to_owned()));
    assert_eq!(read("fast=ewma.wasm"), expected("fast", "ewma.wasm", "{}"));
    assert_eq!(
        read("a b=x,y.wasm,{\"half_life\":\"30s\",\"c\":1}"),
        expected("a b", "x,y.wasm", "{\"half_life\":\"30s\",\"c\":1}")
    );
    assert_eq!(read("a=b.wasm,@s.json"), expected("a", "b.wasm", "@s.json"));
    for wrong in ["ewma.wasm", "=ewma.wasm", "fast=", "fast=,{}"] {
        assert!(read(wrong).is_err_and(|text| text.contains("is no policy")), "{wrong}");
    }
}

#[test]
fn a_curve_is_named_by_its_file_and_settings() {
    assert_eq!(named_by("ewma", "{}"), "ewma");
    assert_eq!(named_by("ewma", "{\"half_life\":\"30s\",\"warm\":3}"), "ewma, half_life 30s, warm 3");
}
