use super::*;

fn read(text: &str) -> RawConfig {
    let (raw, problems) = RawConfig::read("gateway.toml", text);
    assert_eq!(problems, [], "{text}");
    raw
}

fn problems(text: &str) -> Vec<String> {
    RawConfig::read("gateway.toml", text).1.iter().map(Problem::to_string).collect()
}

/// One problem, in a file whose first line is the section.
fn problem(section: &str, line: &str) -> String {
    let found = problems(&format!("[{section}]\n{line}\n"));
    assert_eq!(found.len(), 1, "{found:?}");
    found[0].clone()
}

fn written<T>(located: Option<Located<T>>) -> T {
    located.expect("the key is in the file").value
}

#[test]
fn every_key_is_read() {
    let raw = read(
        r#"
        [scrape]
        concurrency = 1_000
        max_body = "16MiB"
        gzip = false
        try_all_addresses = false
        [history]
        hold = "1m30s"
        falling_counter = "omit-container"
        pod_on_two_nodes = "first-answer"
        timestamp = "last-line"
        [api]
        container_order = "as-reported"
        resource_metrics = true
        [serving]
        max_connections = 0x10
        "#,
    );
    assert_eq!((written(raw.scrape.concurrency), written(raw.scrape.max_body)), (1000, 16 << 20));
    assert_eq!((written(raw.scrape.gzip), written(raw.scrape.try_all_addresses)), (false, false));
    assert_eq!(written(raw.history.hold), Duration::from_secs(90));
    assert_eq!(written(raw.history.falling_counter), FallingCounter::OmitContainer);
    assert_eq!(written(raw.history.pod_on_two_nodes), PodOnTwoNodes::FirstAnswer);
    assert_eq!(written(raw.history.timestamp), TimestampOf::LastLine);
    assert_eq!(written(raw.api.container_order), ContainerOrder::AsReported);
    assert!(written(raw.api.resource_metrics));
    assert_eq!(written(raw.serving.max_connections), 16);
}

#[test]
fn the_other_choices_are_read_too() {
    let raw = read(
        r#"
        history = { falling_counter = "omit-pod", pod_on_two_nodes = "newest-start", timestamp = "cpu" }
        api.container_order = "by-name"
        "#,
    );
    assert_eq!(written(raw.history.falling_counter), FallingCounter::OmitPod);
    assert_eq!(written(raw.history.pod_on_two_nodes), PodOnTwoNodes::NewestStart);
    assert_eq!(written(raw.history.timestamp), TimestampOf::Cpu);
    assert_eq!(written(raw.api.container_order), ContainerOrder::ByName);
}

#[test]
fn an_empty_file_says_nothing() {
    assert_eq!(read(""), RawConfig::default());
    assert_eq!(read("# only a comment\n[history]\n"), RawConfig::default());
}

#[test]
fn values_of_another_type_are_named_with_their_line_and_what_to_write() {
    let cases = [
        ("history", "hold = \"5 parsecs\"", r#"history.hold: "5 parsecs" is no duration (write for example "45s")"#),
        ("history", "hold = 45", r#"history.hold: 45 is no duration (write for example "45s")"#),
        ("history", "hold = \"-1s\"", r#"history.hold: "-1s" is negative"#),
        ("history", "timestamp = \"memory\"", r#"history.timestamp: "memory" is none of "cpu", "last-line""#),
        ("scrape", "max_body = \"16 megs\"", r#"scrape.max_body: "16 megs" is no size (write for example "16MiB")"#),
        ("scrape", "max_body = 16", r#"scrape.max_body: 16 is no size (write for example "16MiB")"#),
        ("scrape", "concurrency = -1", "scrape.concurrency: -1 is no whole number (write for example 100)"),
        ("scrape", "concurrency = 1.5", "scrape.concurrency: 1.5 is no whole number (write for example 100)"),
        ("scrape", "gzip = \"yes\"", r#"scrape.gzip: "yes" is neither true nor false"#),
        ("api", "resource_metrics = 1", "api.resource_metrics: 1 is neither true nor false"),
        ("api", "container_order = []", r#"api.container_order: a list is none of "by-name", "as-reported""#),
    ];
    for (section, line, message) in cases {
        assert_eq!(problem(section, line), format!("gateway.toml:2: {message}"));
    }
    assert_eq!(problems("history = 3"), ["gateway.toml:1: history: 3 is no section (write for example [history])"]);
}

#[test]
fn an_unknown_key_is_told_the_nearest_known_one() {
    assert_eq!(
        problem("history", "hodl = \"45s\""),
        "gateway.toml:2: history.hodl: unknown key, did you mean \"hold\"?"
    );
    assert_eq!(
        problem("scrape", "concurency = 5"),
        "gateway.toml:2: scrape.concurency: unknown key, did you mean \"concurrency\"?"
    );
    assert_eq!(problems("[scrap]\n"), ["gateway.toml:1: scrap: unknown key, did you mean \"scrape\"?"]);
    assert_eq!(
        problem("serving", "colour = \"blue\""),
        "gateway.toml:2: serving.colour: unknown key, known are \"max_connections\""
    );
}

#[test]
fn all_problems_come_at_once() {
    let found = problems("[scrape]\ngzip = 1\nspeed = 9\n\n[history]\nhold = \"x\"\n[apis]\n");
    assert_eq!(
        found,
        [
            "gateway.toml:2: scrape.gzip: 1 is neither true nor false",
            "gateway.toml:3: scrape.speed: unknown key, known are \"concurrency\", \"max_body\", \"gzip\", \"try_all_addresses\"",
            "gateway.toml:6: history.hold: \"x\" is no duration (write for example \"45s\")",
            "gateway.toml:7: apis: unknown key, did you mean \"api\"?",
        ]
    );
}

#[test]
fn broken_toml_is_reported_by_line_and_alone() {
    let found = problems("[history]\nhold = \nunknown = 1\n[scrape\ngzip = 7\n");
    assert!(found.len() >= 2, "{found:?}");
    assert!(found[0].starts_with("gateway.toml:2: "), "{found:?}");
    assert!(found.iter().all(|line| !line.contains("gzip") && !line.contains("unknown key")), "{found:?}");
    let twice = problems("[api]\ncontainer_order = \"by-name\"\ncontainer_order = \"by-name\"\n");
    assert_eq!(twice, ["gateway.toml:3: duplicate key"]);
}

#[test]
fn sizes_have_a_unit_and_do_not_overflow() {
    assert_eq!(parse_size("1B"), Some(1));
    assert_eq!(parse_size("3 KiB"), Some(3 << 10));
    assert_eq!(parse_size("2GiB"), Some(2 << 30));
    for text in ["", "5", "MiB", "1MB", "1.5MiB", "-1MiB", "18446744073709551615GiB"] {
        assert_eq!(parse_size(text), None, "{text}");
    }
}
