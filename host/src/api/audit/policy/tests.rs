use super::*;

fn policy(rules: &str) -> Policy {
    let text = format!("apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n{rules}");
    Policy::read(&text).unwrap_or_else(|problems| panic!("{text}\n{problems:?}")).policy
}

fn user(name: &str, groups: &[&str]) -> User {
    User { name: name.to_owned(), groups: groups.iter().map(|group| (*group).to_owned()).collect(), ..User::default() }
}

fn path(verb: &'static str, path: &str) -> Attributes {
    Attributes { verb, path: path.to_owned(), resource: None }
}

/// `namespace/resource/name/subresource` of `metrics.k8s.io`.
fn resource(verb: &'static str, text: &str) -> Attributes {
    let parts: Vec<String> = text.split('/').map(str::to_owned).collect();
    let part = |index: usize| parts.get(index).cloned().unwrap_or_default();
    let resource = ResourceAttributes {
        group: "metrics.k8s.io".to_owned(),
        version: "v1beta1".to_owned(),
        namespace: part(0),
        resource: part(1),
        name: part(2),
        subresource: part(3),
        ..ResourceAttributes::default()
    };
    Attributes { verb, path: String::new(), resource: Some(resource) }
}

/// Whether a policy with this one rule records the request of alice, who is in `dev`.
fn records(rule: &str, attributes: &Attributes) -> bool {
    let policy = policy(&format!("- {{level: Metadata, {rule}}}"));
    policy.judge(Some(&user("alice", &["dev", "system:authenticated"])), attributes) != Verdict::None
}

#[test]
fn a_rule_fits_what_all_of_its_lists_fit() {
    let (nodes, pods) = (resource("list", "/nodes"), resource("get", "shop/pods/web-0"));
    let (log, health) = (resource("get", "shop/pods/web-0/log"), path("get", "/healthz/ping"));
    let metrics = "group: metrics.k8s.io";
    let cases: Vec<(String, [bool; 4])> = vec![
        // rule, then: nodes, pods, pods/log, /healthz/ping
        (String::new(), [true, true, true, true]),
        ("users: [alice, bob]".into(), [true, true, true, true]),
        ("users: [bob]".into(), [false, false, false, false]),
        ("userGroups: [ops, dev]".into(), [true, true, true, true]),
        ("userGroups: [ops]".into(), [false, false, false, false]),
        ("users: [alice], userGroups: [ops]".into(), [false, false, false, false]),
        ("verbs: [get]".into(), [false, true, true, true]),
        ("namespaces: [shop]".into(), [false, true, true, false]),
        ("namespaces: ['']".into(), [true, false, false, false]),
        (format!("resources: [{{{metrics}}}]"), [true, true, true, false]),
        ("resources: [{group: ''}]".into(), [false, false, false, false]),
        ("resources: [{}]".into(), [false, false, false, false]),
        (format!("resources: [{{{metrics}, resources: [pods]}}]"), [false, true, false, false]),
        (format!("resources: [{{{metrics}, resources: [pods/log]}}]"), [false, false, true, false]),
        (format!("resources: [{{{metrics}, resources: ['pods/*']}}]"), [false, true, true, false]),
        (format!("resources: [{{{metrics}, resources: ['*/log']}}]"), [false, false, true, false]),
        (format!("resources: [{{{metrics}, resources: ['*']}}]"), [true, true, true, false]),
        (format!("resources: [{{{metrics}, resources: [pods], resourceNames: [web-0]}}]"), [false, true, false, false]),
        (format!("resources: [{{{metrics}, resources: [pods], resourceNames: [web-1]}}]"), [false; 4]),
        (format!("namespaces: [other], resources: [{{{metrics}}}]"), [false; 4]),
        ("nonResourceURLs: ['/healthz*']".into(), [false, false, false, true]),
        ("nonResourceURLs: ['/healthz']".into(), [false; 4]),
        ("nonResourceURLs: ['*']".into(), [false, false, false, true]),
        ("nonResourceURLs: [/healthz/ping], verbs: [post]".into(), [false; 4]),
    ];
    for (rule, expected) in cases {
        let found = [&nodes, &pods, &log, &health].map(|attributes| records(&rule, attributes));
        assert_eq!(found, expected, "{rule}");
    }
}

#[test]
fn the_first_rule_that_fits_decides() {
    let policy = policy(
        "- {level: None, users: [system:kube-aggregator]}\n\
         - {level: Metadata, verbs: [get], omitStages: [RequestReceived]}\n\
         - {level: None, resources: [{group: metrics.k8s.io, resources: [nodes]}]}\n\
         - {level: Metadata, nonResourceURLs: ['/api*']}\n",
    );
    let judged = |name: &str, attributes: &Attributes| policy.judge(Some(&user(name, &[])), attributes);
    assert_eq!(judged("system:kube-aggregator", &path("get", "/apis")), Verdict::None);
    let Verdict::Metadata(omitted) = judged("alice", &path("get", "/apis")) else { panic!("the second rule records") };
    assert!(omitted.contain(Stage::RequestReceived) && !omitted.contain(Stage::ResponseComplete));
    assert_eq!(judged("alice", &resource("list", "/nodes")), Verdict::None);
    assert_eq!(judged("alice", &path("post", "/apis")), Verdict::Metadata(Stages::default()));
    assert_eq!(judged("alice", &resource("list", "/pods")), Verdict::None, "no rule fits");
}

#[test]
fn who_could_not_be_identified_is_no_rules_user() {
    let some = policy("- {level: Metadata, users: ['']}\n- {level: Metadata, userGroups: [system:unauthenticated]}\n");
    assert_eq!(some.judge(None, &path("get", "/")), Verdict::None);
    let all = policy("- {level: Metadata}\n");
    assert_eq!(all.judge(None, &path("get", "/")), Verdict::Metadata(Stages::default()));
}

#[test]
fn stages_that_the_policy_omits_are_omitted_by_every_rule() {
    let text = "apiVersion: audit.k8s.io/v1\nkind: Policy\nomitStages: [RequestReceived]\n\
                rules: [{level: Metadata, omitStages: [Panic]}]";
    let read = Policy::read(text).unwrap();
    let Verdict::Metadata(omitted) = read.policy.judge(None, &path("get", "/")) else { panic!("it records all") };
    let stages = Stage::ALL.map(|stage| omitted.contain(stage));
    assert_eq!(stages, [true, false, false, true]);
    assert_eq!(read.warnings, [""; 0]);
}

#[test]
fn higher_levels_and_unknown_keys_are_warned_of() {
    let text = "apiVersion: audit.k8s.io/v1\nkind: Policy\nmetadata: {name: audit}\nomitManagedFields: true\nextra: 1\n\
                rules:\n- {level: RequestResponse, user: [alice]}\n- {level: Request, resources: [{groups: x}]}\n";
    let read = Policy::read(text).unwrap();
    let expected = [
        "the policy: unknown, and ignored: \"extra\"",
        "rules[0]: unknown, and ignored: \"user\"",
        "rules[0].level: \"RequestResponse\" is taken for \"Metadata\": bodies are not recorded here",
        "rules[1].level: \"Request\" is taken for \"Metadata\": bodies are not recorded here",
        "rules[1].resources[0]: unknown, and ignored: \"groups\"",
    ];
    assert_eq!(read.warnings, expected);
    assert_eq!(read.policy.judge(None, &path("get", "/")), Verdict::Metadata(Stages::default()));
}

#[test]
fn json_is_read_as_well() {
    let text = r#"{"apiVersion":"audit.k8s.io/v1","kind":"Policy","rules":[{"level":"Metadata"}]}"#;
    assert_eq!(Policy::read(text).unwrap().policy.rules.len(), 1);
}

#[test]
fn everything_that_is_wrong_is_told_at_once_with_its_rule() {
    let text = "apiVersion: audit.k8s.io/v1beta1\nkind: Policy\nomitStages: [Received]\nrules:\n\
                - {level: metadata}\n\
                - {users: [alice]}\n\
                - {level: None, nonResourceURLs: [healthz, '/a*b'], namespaces: [shop]}\n\
                - {level: None, resources: [{group: apps/v1, resourceNames: [x]}], omitStages: [Done]}\n\
                - {level: None, verbs: get}\n";
    let problems = Policy::read(text).unwrap_err();
    let expected = [
        "unknown group version field \"audit.k8s.io/v1beta1\", kind \"Policy\" in policy",
        "omitStages[0]: Invalid value: \"Received\": allowed stages are \
         RequestReceived,ResponseStarted,ResponseComplete,Panic",
        "rules[0].level: Unsupported value: \"metadata\": supported values: \"None\", \"Metadata\", \"Request\", \
         \"RequestResponse\"",
        "rules[1].level: Required value",
        "rules[2].nonResourceURLs[0]: Invalid value: \"healthz\": non-resource URL rules must begin with a '/' character",
        "rules[2].nonResourceURLs[1]: Invalid value: \"/a*b\": non-resource URL wildcards '*' must be the final \
         character of the rule",
        "rules[2].nonResourceURLs: Invalid value: [\"healthz\", \"/a*b\"]: rules cannot apply to both regular resources \
         and non-resource URLs",
        "rules[3].omitStages[0]: Invalid value: \"Done\": allowed stages are \
         RequestReceived,ResponseStarted,ResponseComplete,Panic",
        "rules[3].resources[0].group: Invalid value: \"apps/v1\": a group's name has no version in it",
        "rules[3].resources[0].resourceNames: Invalid value: [\"x\"]: using resourceNames requires at least one resource",
        "rules[4]: invalid type: string \"get\", expected a sequence",
        "rules[4].level: Required value",
    ];
    assert_eq!(problems, expected);
}

#[test]
fn files_that_are_no_policy_are_refused_in_one_line() {
    let cases = [
        ("", "the file is empty"),
        ("  \n", "the file is empty"),
        ("apiVersion: audit.k8s.io/v1\nkind: Policy\n", "loaded illegal policy with 0 rules"),
        ("- a\n", "the policy: "),
        ("a: [b\n", ""),
    ];
    for (text, start) in cases {
        let problems = Policy::read(text).unwrap_err();
        assert!(problems[0].starts_with(start) && !problems[0].contains('\n'), "{text:?}: {problems:?}");
    }
}
