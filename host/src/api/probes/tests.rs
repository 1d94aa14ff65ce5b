use super::*;

fn checks_of(probe: Probe, failing: &[&str]) -> Vec<Check<'static>> {
    let outcome = |name: &&str| if failing.contains(name) { Err("no metrics to serve".to_owned()) } else { Ok(()) };
    probe.checks().iter().map(|name| (*name, outcome(name))).collect()
}

fn question(verbosity: Verbosity, exclude: &[&str]) -> Question {
    Question { verbosity, exclude: exclude.iter().map(|name| (*name).to_owned()).collect() }
}

#[track_caller]
fn check(probe: Probe, question: &Question, failing: &[&str], expected: (u16, &str)) {
    let answer = answer(probe, question, &checks_of(probe, failing));
    assert_eq!((answer.code.as_u16(), &*answer.body), expected);
}

#[test]
fn the_verbose_texts_are_those_that_upstreams_suite_compares() {
    let verbose = question(Verbosity::Verbose, &[]);
    check(
        Probe::Readyz,
        &verbose,
        &[],
        (
            200,
            "[+]ping ok\n[+]log ok\n[+]poststarthook/max-in-flight-filter ok\n\
             [+]poststarthook/storage-object-count-tracker-hook ok\n[+]metric-storage-ready ok\n\
             [+]metric-informer-sync ok\n[+]metadata-informer-sync ok\n[+]shutdown ok\nreadyz check passed\n",
        ),
    );
    check(
        Probe::Livez,
        &verbose,
        &[],
        (
            200,
            "[+]ping ok\n[+]log ok\n[+]poststarthook/max-in-flight-filter ok\n\
             [+]poststarthook/storage-object-count-tracker-hook ok\n[+]metric-collection-timely ok\n\
             [+]metadata-informer-sync ok\nlivez check passed\n",
        ),
    );
    check(
        Probe::Healthz,
        &verbose,
        &[],
        (
            200,
            "[+]ping ok\n[+]log ok\n[+]poststarthook/max-in-flight-filter ok\n\
             [+]poststarthook/storage-object-count-tracker-hook ok\n[+]metadata-informer-sync ok\nhealthz check passed\n",
        ),
    );
}

#[test]
fn a_healthy_server_says_ok_and_no_more() {
    check(Probe::Livez, &Question::default(), &[], (200, "ok"));
    check(Probe::Livez, &question(Verbosity::Terse, &["nosuch"]), &[], (200, "ok"));
}

#[test]
fn a_failure_is_always_told_check_by_check_and_never_why() {
    let answer = answer(Probe::Readyz, &Question::default(), &checks_of(Probe::Readyz, &["metric-storage-ready"]));
    assert_eq!(answer.code, 500);
    assert!(answer.body.contains("\n[-]metric-storage-ready failed: reason withheld\n[+]metric-informer-sync ok\n"));
    assert!(answer.body.ends_with("\nreadyz check failed\n"), "{}", answer.body);
    assert!(!answer.body.contains("no metrics to serve"));
}

#[test]
fn an_excluded_check_does_not_count() {
    let exclude = question(Verbosity::Terse, &["metric-storage-ready"]);
    check(Probe::Readyz, &exclude, &["metric-storage-ready"], (200, "ok"));
    let verbose = question(Verbosity::Verbose, &["ping", "zz", "a\"b", "zz"]);
    let answer = answer(Probe::Healthz, &verbose, &checks_of(Probe::Healthz, &[]));
    assert!(answer.body.starts_with("[+]ping excluded: ok\n[+]log ok\n"));
    assert!(answer.body.ends_with(
        "warn: some health checks cannot be excluded: no matches for \"a\\\"b\",\"zz\"\nhealthz check passed\n"
    ));
}

#[test]
fn a_check_that_is_asked_for_by_name_says_why_it_fails() {
    assert_eq!(answer_one(&Ok(())), Answer { code: StatusCode::OK, body: "ok".to_owned() });
    let failed = answer_one(&Err("no metrics to serve".to_owned()));
    assert_eq!((failed.code.as_u16(), &*failed.body), (500, "internal server error: no metrics to serve\n"));
}
