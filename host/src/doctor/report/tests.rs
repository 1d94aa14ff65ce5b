use super::{Finding, Remedy, Report};
use crate::doctor::cause::Cause;

fn node(name: &str) -> Finding {
    let remedy = Remedy::commands("start the kubelet", vec!["systemctl start kubelet".to_owned()]);
    Finding::failed("node", name, Cause::NodeRefused, "connection refused", remedy)
}

#[test]
fn warnings_do_not_fail_it_and_failures_do() {
    let warning = Finding::warning("x", "", Cause::VersionNotTried, "old", Remedy::text("wait"));
    let report = |findings, is_blind| Report { findings, is_blind };
    assert_eq!(report(vec![warning.clone(), Finding::skipped("y", "", "why")], false).exit_code(), 0);
    assert_eq!(report(vec![warning, node("a")], false).exit_code(), 1);
    assert_eq!(report(vec![node("a")], true).exit_code(), 2);
}

#[test]
fn a_thousand_equal_failures_are_a_few_lines_and_one_remedy() {
    let findings = (0..1000).map(|index| node(&format!("node-{index}"))).collect();
    let report = Report { findings, is_blind: false };
    let text = report.to_text();
    assert_eq!(text.lines().count(), 5 + 2 + 1 + 1, "{text}");
    assert_eq!(text.matches("systemctl start kubelet").count(), 1, "{text}");
    assert!(text.contains("and 995 more like the last: node-5 "), "{text}");
    assert_eq!(report.to_json()["checks"].as_array().map(Vec::len), Some(1000));
}

#[test]
fn the_document_has_the_fields_that_programs_read() {
    let report = Report { findings: vec![node("a"), Finding::ok("api-server", "", "fine")], is_blind: false };
    let expected = serde_json::json!({
        "version": 1,
        "checks": [
            {"id": "node", "subject": "a", "verdict": "failed", "cause": "node-refused", "message": "connection refused",
             "remedy": "start the kubelet", "commands": ["systemctl start kubelet"]},
            {"id": "api-server", "subject": "", "verdict": "ok", "cause": null, "message": "fine", "remedy": null,
             "commands": []},
        ],
        "summary": {"ok": 1, "warning": 0, "failed": 1, "skipped": 0},
    });
    assert_eq!(report.to_json(), expected);
}
