//! The reviewers of real life: one POST each to the API server, answers bounded and never logged.

use std::error::Error as StdError;
use std::io::ErrorKind;
use std::time::Duration;

use http::{HeaderMap, Request, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec, TokenReviewStatus};
use k8s_openapi::api::authorization::v1::{SubjectAccessReview, SubjectAccessReviewSpec, SubjectAccessReviewStatus};
use kube::client::Body;

use super::{AccessReviewer, Again, Attempt, ReviewError, TokenReviewer};

/// Asks the API server. The client's own repetition should be off (`kube::Config::default_retry`): repetitions multiply.
#[derive(Clone)]
pub struct KubeReviews {
    client: kube::Client,
}

impl KubeReviews {
    /// Asks with the credentials of `client`, which the ClusterRole `system:auth-delegator` allows to ask.
    pub fn new(client: kube::Client) -> Self {
        Self { client }
    }

    async fn post(&self, uri: &str, review: Vec<u8>) -> Result<bytes::Bytes, ReviewError> {
        let request = Request::post(uri)
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::ACCEPT, "application/json, */*")
            .body(Body::from(review))
            .map_err(|error| never(format!("the request could not be built: {error}")))?;
        let response = self.client.send(request).await.map_err(|error| transport(&error))?;
        let (head, body) = response.into_parts();
        let body = Limited::new(body, LONGEST_ANSWER).collect().await.map_err(|error| transport(&*error))?.to_bytes();
        if head.status.is_success() { Ok(body) } else { Err(unsuccessful(head.status, &head.headers, &body)) }
    }
}

/// An answer repeats the question (headers of at most 1 MiB) and adds a user.
const LONGEST_ANSWER: usize = 4 << 20;

impl TokenReviewer for KubeReviews {
    fn review_token<'a>(&'a self, token: &'a str) -> Attempt<'a, TokenReviewStatus> {
        Box::pin(async move {
            let spec = TokenReviewSpec { token: token.to_owned(), audiences: None };
            let review = TokenReview { spec, ..TokenReview::default() };
            let body = serde_json::to_vec(&review).map_err(|error| never(error.to_string()))?;
            let answer = self.post("/apis/authentication.k8s.io/v1/tokenreviews", body).await?;
            let answer: TokenReview = serde_json::from_slice(&answer).map_err(|error| unreadable(&error))?;
            answer.status.ok_or_else(|| never("the API server's answer has no status".to_owned()))
        })
    }
}

impl AccessReviewer for KubeReviews {
    fn review_access<'a>(&'a self, question: &'a SubjectAccessReviewSpec) -> Attempt<'a, SubjectAccessReviewStatus> {
        Box::pin(async move {
            let review = SubjectAccessReview { spec: question.clone(), ..SubjectAccessReview::default() };
            let body = serde_json::to_vec(&review).map_err(|error| never(error.to_string()))?;
            let uri = "/apis/authorization.k8s.io/v1/subjectaccessreviews?timeout=10s";
            let answer = self.post(uri, body).await?;
            let answer: SubjectAccessReview = serde_json::from_slice(&answer).map_err(|error| unreadable(&error))?;
            answer.status.ok_or_else(|| never("the API server's answer has no status".to_owned()))
        })
    }
}

fn never(text: String) -> ReviewError {
    ReviewError { text, again: Again::Never }
}

/// Says where the answer breaks off, not what stands there: it may be the token.
fn unreadable(error: &serde_json::Error) -> ReviewError {
    let (line, column) = (error.line(), error.column());
    never(format!("the API server's answer could not be read (line {line}, column {column})"))
}

/// The API server answered, but not with a review. Which of these answers may pass is the reference's rule.
fn unsuccessful(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> ReviewError {
    let retry_after = headers.get(header::RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
    let may_pass = [500, 504, 429].contains(&status.as_u16());
    let again = match retry_after {
        Some(seconds) => Again::After(Duration::from_secs(seconds)),
        None if may_pass => Again::Soon,
        None => Again::Never,
    };
    let message = serde_json::from_slice::<kube::core::Status>(body).map(|status| status.message).unwrap_or_default();
    let message: String = message.chars().take(LONGEST_MESSAGE).collect();
    let separator = if message.is_empty() { "" } else { ": " };
    ReviewError { text: format!("the API server answered {status}{separator}{message}"), again }
}

/// Enough for what the API server says about missing rights, too little to fill a log.
const LONGEST_MESSAGE: usize = 300;

/// No answer came. Connections that broke are tried again, ones that were refused are not.
fn transport(error: &(dyn StdError + 'static)) -> ReviewError {
    let mut text = String::new();
    let mut again = Again::Never;
    let mut cause = Some(error);
    while let Some(error) = cause {
        if broke(error) {
            again = Again::Soon;
        }
        text = error.to_string();
        cause = error.source();
    }
    ReviewError { text: format!("the API server could not be reached: {text}"), again }
}

fn broke(error: &(dyn StdError + 'static)) -> bool {
    const BROKEN: [ErrorKind; 4] =
        [ErrorKind::ConnectionReset, ErrorKind::ConnectionAborted, ErrorKind::BrokenPipe, ErrorKind::UnexpectedEof];
    let io = error.downcast_ref::<std::io::Error>();
    let hyper = error.downcast_ref::<hyper::Error>();
    io.is_some_and(|error| BROKEN.contains(&error.kind()))
        || hyper.is_some_and(|error| error.is_incomplete_message() || error.is_closed() || error.is_canceled())
}
