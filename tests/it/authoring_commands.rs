//! What authors learn of a plugin: what it is, what it says to a real cluster, what it costs, and what it looks like.

use std::path::Path;

use harness::author::{Author, Ran};
use metrics_gateway::config::policies::PluginLimits;
use metrics_gateway::plugins::artifact::inspect;
use serde_json::Value;

fn author_of(guests: &[&str]) -> Author {
    let author = Author::new().expect("there is room, and a binary");
    for guest in guests {
        author.build(guest).expect("it is built");
    }
    author
}

fn run(author: &Author, words: &[&str]) -> Ran {
    let ran = author.plugin(words).expect("it starts");
    assert_eq!(ran.code, Some(0), "{words:?}: {}{}", ran.output, ran.complaint);
    ran
}

fn json(author: &Author, words: &[&str]) -> Value {
    let ran = run(author, words);
    serde_json::from_str(&ran.output).unwrap_or_else(|error| panic!("{error}: {}", ran.output))
}

/// What a real kubelet said, in the order of time.
fn captures() -> Vec<String> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/kubelet");
    ["resource-1.txt", "resource-2.txt", "resource-3.txt"]
        .map(|name| directory.join(name).display().to_string())
        .to_vec()
}

fn with_captures<'a>(words: &[&'a str], captures: &'a [String]) -> Vec<&'a str> {
    words.iter().copied().chain(["--input"]).chain(captures.iter().map(String::as_str)).collect()
}

#[test]
fn inspect_says_what_a_file_is_and_its_digest_is_the_gateways() {
    let author = author_of(&["drop-idle"]);
    let digest = inspect(&harness::guest::load("drop-idle"), &PluginLimits::default()).expect("it is a plugin").sha256;
    let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    let text = run(&author, &["inspect", "drop-idle.wasm"]).output;
    for line in
        ["a-guest 1.0.0", "value-filter-policy", "filter, filter-by-value", "metrics-gateway:policy 1.0.0", "takes {}"]
    {
        assert!(text.contains(line), "{line}, in\n{text}");
    }
    assert!(text.contains(&format!("sha256 = \"{digest}\"")), "{text}");
    let json = json(&author, &["inspect", "drop-idle.wasm", "-o", "json"]);
    assert_eq!(
        (json["sha256"].as_str(), json["instances"].as_u64().map(|count| count > 0)),
        (Some(digest.as_str()), Some(true))
    );
    assert_eq!(json["memory"].as_u64(), Some(65_536));
}

#[test]
fn what_is_no_plugin_is_refused_with_the_reason_and_the_file() {
    let author = author_of(&["memory-at-start"]);
    author.write("notes.txt", "a plugin, some day").expect("it is written");
    for (file, reason) in
        [("notes.txt", "notes.txt"), ("nothing.wasm", "cannot read nothing.wasm"), ("memory-at-start.wasm", "`memory`")]
    {
        let ran = author.plugin(&["inspect", file]).expect("it starts");
        assert_eq!((ran.code, ran.output.as_str()), (Some(1), ""), "{file}");
        assert!(ran.complaint.contains(reason), "{file}: {}", ran.complaint);
    }
}

#[test]
fn run_shows_a_window_beside_last_two_for_a_real_kubelet() {
    let (author, captures) = (author_of(&["constant-window", "echo-window"]), captures());
    let words = with_captures(&["run", "constant-window.wasm", "--node", "node1"], &captures);
    let text = run(&author, &words).output;
    assert_eq!(text.matches("SUBJECT").count(), 3, "{text}");
    let line = text.lines().rfind(|line| line.starts_with("default/twins/large")).expect("it is in the last capture");
    assert!(line.contains(" 250m ") && line.contains(" 128MiB "), "{line}");
    let words = with_captures(&["run", "echo-window.wasm", "--history", "1m", "-o", "json"], &captures);
    let json = json(&author, &words);
    let usages = json["captures"][2]["usages"].as_array().expect("there are rows");
    let large = usages.iter().find(|row| row["subject"] == "default/twins/large").expect("it is there");
    assert_eq!((large["samples"].as_u64(), large["usage"]["nanocores"].as_u64()), (Some(3), Some(3)), "{large}");
    assert!(large["last_two"]["nanocores"].as_u64() > Some(1_000_000), "{large}");
    assert!(usages.iter().any(|row| row["subject"] == "node"), "{json}");
}

#[test]
fn run_shows_which_containers_a_filter_keeps_by_name_and_by_value() {
    let (author, captures) = (author_of(&["drop-named", "drop-idle"]), captures());
    let settings = r#"{"name":"large"}"#;
    let text = run(&author, &with_captures(&["run", "drop-named.wasm", "--settings", settings], &captures)).output;
    let verdict = |name: &str| text.lines().rfind(|line| line.starts_with(name)).expect("it is listed").to_owned();
    assert!(verdict("default/twins/large").ends_with("drop"), "{text}");
    assert!(verdict("default/twins/small").ends_with("keep"), "{text}");
    let json = json(&author, &with_captures(&["run", "drop-idle.wasm", "--hook", "filter", "-o", "json"], &captures));
    let row = &json["captures"][0]["verdicts"][0];
    assert_eq!((row["verdict"].as_str(), row["served"].as_str()), (Some("by-value"), Some("keep")), "{row}");
}

#[test]
fn run_shows_where_nodes_are_dialled_beside_the_built_in_order() {
    let author = author_of(&["dial-name"]);
    let node = r#"{"kind":"List","items":[{"kind":"Node","metadata":{"name":"n1"},
        "status":{"addresses":[{"type":"InternalIP","address":"10.0.0.7"}],"daemonEndpoints":{"kubeletEndpoint":{"Port":10255}}}}]}"#;
    author.write("nodes.json", node).expect("it is written");
    let text = run(&author, &["run", "dial-name.wasm", "--input", "nodes.json"]).output;
    let line = text.lines().nth(1).unwrap_or_default();
    assert_eq!(line.split_whitespace().collect::<Vec<_>>(), ["n1", "dial", "n1", "dial", "10.0.0.7:10255"], "{text}");
}

#[test]
fn run_asks_which_hook_only_where_there_is_a_choice() {
    let (author, captures) = (author_of(&["keep-all"]), captures());
    let ran =
        author.plugin(&with_captures(&["run", "keep-all.wasm", "--hook", "window"], &captures)).expect("it starts");
    assert_eq!(ran.code, Some(1));
    assert!(ran.complaint.contains("does not answer the hook window, but filter"), "{}", ran.complaint);
    let ran =
        author.plugin(&with_captures(&["run", "keep-all.wasm", "--hook", "windows"], &captures)).expect("it starts");
    assert_eq!(ran.code, Some(2));
    assert!(ran.complaint.contains("there is no hook \"windows\""), "{}", ran.complaint);
}

#[test]
fn bench_measures_every_hook_fresh_and_reused_against_its_limits() {
    let author = author_of(&["drop-idle"]);
    let words = ["bench", "drop-idle.wasm", "--subjects", "110", "--memory", "16MiB", "-o", "json"];
    let json = json(&author, &words);
    let all = json["measured"].as_array().expect("there are rows");
    let kinds: Vec<(&str, u64, &str)> = all
        .iter()
        .map(|row| {
            (
                row["hook"].as_str().unwrap_or(""),
                row["rows"].as_u64().unwrap_or(0),
                row["instance"].as_str().unwrap_or(""),
            )
        })
        .collect();
    let expected: Vec<(&str, u64, &str)> = ["filter", "filter-by-value"]
        .into_iter()
        .flat_map(|hook| [30, 110].into_iter().flat_map(move |rows| ["fresh", "reused"].map(|life| (hook, rows, life))))
        .collect();
    assert_eq!(kinds, expected);
    for row in all {
        let number = |key: &str| row[key].as_f64().unwrap_or_else(|| panic!("{key} is no number in {row}"));
        assert!(number("median_ns") > 0.0 && number("median_ns") <= number("p99_ns"), "{row}");
        assert!(number("memory_bytes") > 0.0 && number("fuel") > 0.0, "{row}");
        assert_eq!((number("memory_limit_bytes"), number("cpu_budget_ns")), (f64::from(16 << 20), 20e6), "{row}");
        assert_eq!(row["fleet_percent_of_core"].is_number(), row["rows"] == 30, "{row}");
    }
    let text = run(&author, &["bench", "drop-idle.wasm", "--subjects", "1"]).output;
    assert!(text.starts_with("HOOK") && text.contains("1000 nodes with 30 pods"), "{text}");
}

#[test]
fn plot_draws_several_policies_and_the_same_picture_twice() {
    let author = author_of(&["constant-window", "echo-window"]);
    let words = |output| {
        [
            "plot",
            "constant-window.wasm",
            "--policy",
            "what it sees=echo-window.wasm,{\"a\":1}",
            "--scenario",
            "restart",
            "-o",
            output,
        ]
    };
    run(&author, &words("first.svg"));
    run(&author, &words("second.svg"));
    let first = author.read("first.svg").expect("it is written");
    assert_eq!(first, author.read("second.svg").expect("it is written"));
    for name in [">last-two<", ">constant-window<", ">what it sees<", ">restart<"] {
        assert!(first.contains(name), "{name}");
    }
    assert_eq!(first.matches("class=\"curve c2\"").count(), 3, "one in the legend, one in each panel");
}

#[test]
fn plot_of_a_policy_that_fails_is_the_failure_and_no_picture() {
    let author = author_of(&["trap-in-measure", "keep-all"]);
    let ran = author.plugin(&["plot", "trap-in-measure.wasm", "-o", "p.svg"]).expect("it starts");
    assert_eq!(ran.code, Some(1));
    assert!(ran.complaint.contains("\"trap-in-measure\"") && ran.complaint.contains("trapped"), "{}", ran.complaint);
    assert!(author.read("p.svg").is_err());
    let ran = author.plugin(&["plot", "keep-all.wasm", "-o", "p.svg"]).expect("it starts");
    assert!(ran.complaint.contains("it is no window policy"), "{}", ran.complaint);
}
