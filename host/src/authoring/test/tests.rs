use super::*;
use crate::authoring::question::Hook;

fn finding(name: &str, outcome: Outcome) -> Finding {
    Finding { name: name.to_owned(), hook: Some(Hook::Window), outcome, fuel: Some(1_001), rows: Some(10) }
}

fn report() -> Report {
    let info = Info {
        name: "ewma".to_owned(),
        version: "1.2.0".to_owned(),
        description: String::new(),
        settings_schema: String::new(),
    };
    let failed = Outcome::Failed(vec!["shop/cart-1/app: cpu: expected 250m, got <b>".to_owned(), "second".to_owned()]);
    let built_in =
        vec![finding("no series", Outcome::Passed), finding("an order", Outcome::Noted("by rows".to_owned()))];
    Report { info, of_author: vec![finding("a \"spike\"", failed)], built_in }
}

#[test]
fn a_refusal_must_say_the_words_that_were_expected() {
    let refused = |text: &str| Err::<(), _>(PluginError::Refused(text.to_owned()));
    assert_eq!(refuses(refused("`half_life` is zero"), "half_life"), Outcome::Passed);
    let lines = |outcome| match outcome {
        Outcome::Failed(lines) => lines.join("\n"),
        other => panic!("{other:?}"),
    };
    let other = lines(refuses(refused("no"), "half_life"));
    assert_eq!(other, "expected a refusal with \"half_life\", got one with \"no\"");
    let taken = lines(refuses(Ok(()), "half_life"));
    assert_eq!(taken, "expected a refusal with \"half_life\", but it takes the settings");
    let trapped = lines(refuses(Err::<(), _>(PluginError::Trap("unreachable".to_owned())), "half_life"));
    assert_eq!(trapped, "expected a refusal with \"half_life\", but it trapped: unreachable");
}

#[test]
fn fuel_beyond_its_bound_fails_a_case_that_is_right_otherwise() {
    assert_eq!(within_fuel(Outcome::Passed, Some(100), Some(100)), Outcome::Passed);
    let one = Outcome::Failed(vec!["takes 101 of fuel, and may take 100".to_owned()]);
    assert_eq!(within_fuel(Outcome::Passed, Some(101), Some(100)), one);
    let two = Outcome::Failed(vec!["wrong".to_owned(), "takes 101 of fuel, and may take 100".to_owned()]);
    assert_eq!(within_fuel(Outcome::Failed(vec!["wrong".to_owned()]), Some(101), Some(100)), two);
}

#[test]
fn a_report_has_a_line_per_case_with_what_is_wrong_below_it() {
    let text = report().text();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], "ewma 1.2.0");
    assert!(lines[2].starts_with("FAILED   a \"spike\""), "{text}");
    assert_eq!(lines[3].trim(), "shop/cart-1/app: cpu: expected 250m, got <b>");
    assert_eq!(lines[4].trim(), "second");
    assert!(lines[5].starts_with("ok ") && lines[5].contains("1001") && lines[5].trim_end().ends_with("100"), "{text}");
    assert_eq!(lines.last(), Some(&"2 of 3 passed, 1 failed"));
}

#[test]
fn json_and_junit_say_the_same() {
    let report = report();
    let json = report.json();
    assert_eq!((json["failed"].as_u64(), json["cases"][0]["result"].as_str()), (Some(1), Some("FAILED")));
    assert_eq!(json["cases"][2]["remarks"][0], "by rows");
    let junit = report.junit();
    assert!(junit.starts_with("<testsuite name=\"ewma\" tests=\"3\" failures=\"1\">"), "{junit}");
    assert!(
        junit.contains(
            "name=\"a &quot;spike&quot;\"><failure>shop/cart-1/app: cpu: expected 250m, got &lt;b&gt;\nsecond</failure>"
        ),
        "{junit}"
    );
}
