use std::cell::Cell;
use std::time::Duration;

use k8s_openapi::api::authorization::v1::{NonResourceAttributes, SubjectAccessReviewSpec, SubjectAccessReviewStatus};
use tokio::time::Instant;

use super::{AccessReviewer, Again, KubeReviews, ReviewError, TokenReviewer, persist};
use crate::auth::tests::{answer, served, while_served};

fn failure(again: Again) -> ReviewError {
    ReviewError { text: "failed".to_owned(), again }
}

/// Attempts until one succeeds; how many were made, and for how long.
async fn attempts(outcomes: &[Result<(), Again>], patience: Duration) -> (Result<(), ReviewError>, usize, Duration) {
    let (made, begin) = (Cell::new(0), Instant::now());
    let outcome = persist(patience, || {
        let outcome = outcomes[made.get().min(outcomes.len() - 1)].map_err(failure);
        made.set(made.get() + 1);
        Box::pin(async move { outcome })
    });
    (outcome.await, made.get(), begin.elapsed())
}

#[tokio::test(start_paused = true)]
async fn only_what_may_pass_is_tried_again_and_at_most_five_times() {
    const LONG: Duration = Duration::from_secs(60);
    let (ok, soon, never) = (Ok(()), Err(Again::Soon), Err(Again::Never));
    assert_eq!(attempts(&[ok], LONG).await.1, 1);
    assert_eq!(attempts(&[never], LONG).await.1, 1);
    let (outcome, made, _) = attempts(&[soon, soon, ok], LONG).await;
    assert_eq!((outcome, made), (Ok(()), 3));
    let (outcome, made, took) = attempts(&[soon], LONG).await;
    assert_eq!((outcome, made), (Err(failure(Again::Soon)), 5));
    assert!((4.0..5.0).contains(&took.as_secs_f64()), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_pause_that_the_server_asks_for_is_made_unless_patience_ends() {
    let after = Err(Again::After(Duration::from_secs(7)));
    let (_, made, took) = attempts(&[after, Ok(())], Duration::from_secs(10)).await;
    assert_eq!((made, took.as_secs()), (2, 7));
    let (outcome, made, took) = attempts(&[after], Duration::from_secs(10)).await;
    assert_eq!((outcome.unwrap_err().text, made, took.as_secs()), ("no answer within 10s".to_owned(), 2, 10));
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_hangs_is_given_up_after_ten_seconds() {
    let begin = Instant::now();
    let outcome: Result<(), _> = persist(Duration::from_secs(30), || Box::pin(std::future::pending())).await;
    assert_eq!((outcome.unwrap_err().again, begin.elapsed().as_secs()), (Again::Never, 10));
}

#[tokio::test]
async fn a_token_review_holds_the_token_and_nothing_else() {
    let body = r#"{"kind":"TokenReview","apiVersion":"authentication.k8s.io/v1","metadata":{"creationTimestamp":null},"spec":{"token":"t"},"status":{"authenticated":true,"user":{"username":"u","groups":null}}}"#;
    let (client, received, serve) = served(answer(201, body)).await;
    let reviews = KubeReviews::new(client);
    let status = while_served(serve, reviews.review_token("t")).await.unwrap();
    assert_eq!((status.authenticated, status.user.unwrap().username.as_deref()), (Some(true), Some("u")));
    let expected = serde_json::json!({
        "kind": "TokenReview", "apiVersion": "authentication.k8s.io/v1", "metadata": {}, "spec": {"token": "t"},
    });
    assert_eq!(*received.lock(), [("POST /apis/authentication.k8s.io/v1/tokenreviews".to_owned(), expected)]);
}

#[tokio::test]
async fn an_access_review_leaves_out_what_is_empty() {
    let body = r#"{"kind":"SubjectAccessReview","apiVersion":"authorization.k8s.io/v1","metadata":{},"spec":{},"status":{"allowed":false,"reason":"no"}}"#;
    let (client, received, serve) = served(answer(201, body)).await;
    let reviews = KubeReviews::new(client);
    let path = NonResourceAttributes { path: Some("/metrics".to_owned()), verb: Some("get".to_owned()) };
    let question = SubjectAccessReviewSpec {
        user: Some("carol".to_owned()),
        non_resource_attributes: Some(path),
        ..SubjectAccessReviewSpec::default()
    };
    let status = while_served(serve, reviews.review_access(&question)).await.unwrap();
    assert_eq!(
        status,
        SubjectAccessReviewStatus { reason: Some("no".to_owned()), ..SubjectAccessReviewStatus::default() }
    );
    let expected = serde_json::json!({
        "kind": "SubjectAccessReview", "apiVersion": "authorization.k8s.io/v1", "metadata": {},
        "spec": {"user": "carol", "nonResourceAttributes": {"path": "/metrics", "verb": "get"}},
    });
    let line = "POST /apis/authorization.k8s.io/v1/subjectaccessreviews?timeout=10s".to_owned();
    assert_eq!(*received.lock(), [(line, expected)]);
}

#[tokio::test]
async fn the_server_says_whether_another_attempt_makes_sense() {
    let forbidden = r#"{"kind":"Status","message":"may not create tokenreviews","code":403}"#;
    let mut patient = answer(503, "");
    patient.headers_mut().insert("retry-after", http::HeaderValue::from_static("3"));
    let rows = [
        (answer(403, forbidden), Again::Never, "403 Forbidden: may not create tokenreviews"),
        (answer(500, "no JSON"), Again::Soon, "500 Internal Server Error"),
        (answer(504, ""), Again::Soon, "504 Gateway Timeout"),
        (answer(429, ""), Again::Soon, "429 Too Many Requests"),
        (answer(503, ""), Again::Never, "503 Service Unavailable"),
        (patient, Again::After(Duration::from_secs(3)), "503 Service Unavailable"),
        (answer(201, r#"{"spec":{"token":"secret"#), Again::Never, "could not be read (line 1, column 24)"),
    ];
    for (response, again, text) in rows {
        let (client, _, serve) = served(response).await;
        let reviews = KubeReviews::new(client);
        let error = while_served(serve, reviews.review_token("secret")).await.unwrap_err();
        assert_eq!(error.again, again, "{error}");
        assert!(error.text.ends_with(text) || error.text.contains(text), "{error}");
        assert!(!error.text.contains("secret"), "{error}");
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_is_not_tried_again() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let config = kube::Config::new(format!("http://127.0.0.1:{port}").parse().unwrap());
    let error = KubeReviews::new(kube::Client::try_from(config).unwrap()).review_token("t").await.unwrap_err();
    assert_eq!(error.again, Again::Never, "{error}");
    assert!(error.text.contains("could not be reached"), "{error}");
}
