use super::*;

#[test]
fn a_deployment_is_named_by_namespace_and_name_and_by_nothing_else() {
    let target: Target = "kube-system/metrics-server".parse().unwrap();
    assert_eq!((&*target.namespace, &*target.name), ("kube-system", "metrics-server"));
    for bad in ["", "metrics-server", "/", "a/", "/b", "a/b/c", "a/..", "a/b?x=1", "A/b", "a/b c"] {
        assert!(bad.parse::<Target>().is_err(), "{bad:?}");
    }
}

#[test]
fn a_note_fits_the_api_server_and_one_line_whatever_the_problems_hold() {
    let problems = "gateway.toml:1: ä\n\u{1b}[2J".repeat(500);
    let note = Note::of(News::GenerationRefused { number: 7, problems });
    assert!(note.text.len() <= LONGEST_NOTE && !note.text.contains(char::is_control), "{}", note.text);
    assert!(note.text.starts_with("generation 7 stays in force: gateway.toml:1: ä"), "{}", note.text);
    let policy = "window policy \"p95\" of tenant \"shop\"".to_owned();
    let (failure, fallback) = ("trapped: unreachable".to_owned(), "serving nothing".to_owned());
    let opened = Note::of(News::BreakerOpened { policy, pause: Duration::from_secs(30), failure, fallback });
    let expected = "window policy \"p95\" of tenant \"shop\" keeps failing and is not asked for 30 s, falling back to \
                    serving nothing; it trapped: unreachable";
    assert_eq!((opened.kind, opened.reason, &*opened.text), ("Warning", "BreakerOpened", expected));
}

#[tokio::test(start_paused = true)]
async fn a_burst_passes_and_then_one_in_a_while() {
    let mut pace = Pace::new();
    let admitted = |pace: &mut Pace| (0..100).filter(|_| pace.admits(Instant::now())).count();
    assert_eq!(admitted(&mut pace), BURST as usize);
    tokio::time::advance(PACE * 3 / 2).await;
    assert_eq!(admitted(&mut pace), 1);
    tokio::time::advance(PACE / 2).await;
    assert_eq!(admitted(&mut pace), 1, "half of the time had passed before");
    tokio::time::advance(PACE * 1000).await;
    assert_eq!(admitted(&mut pace), BURST as usize, "and never more than a burst");
}
