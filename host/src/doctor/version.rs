//! The API server: whether it answers, as whom it knows us, and whether its version is one that was tried.

use serde_json::json;

use super::cause::Cause;
use super::kubectl::Kubectl;
use super::report::{Finding, Remedy};
use super::server::{Server, text};

/// The minor versions of Kubernetes 1 whose API the gateway is written for. It was run in 1.20; of the others it is known
/// that they have what it asks for.
const WRITTEN_FOR: std::ops::RangeInclusive<u32> = 19..=36;

/// The finding, and whether nothing else can be looked at.
pub(super) async fn examine(server: &Server, url: &str, kubectl: Kubectl) -> (Finding, bool) {
    let id = "api-server";
    let version = match server.get("/version").await {
        Ok(version) => version,
        // Whoever may not even ask for the version may still be allowed what matters.
        Err(unread) if unread.is_forbidden() => {
            return (Finding::skipped(id, url, format!("you may not ask for its version: {unread}")), false);
        }
        Err(unread) => {
            let refused = unread.status == Some(401);
            let cause = if refused { Cause::CredentialsRefused } else { Cause::ApiServerUnreachable };
            let remedy = Remedy::commands(cause.mend(), vec![kubectl.line(&["version"])]);
            return (Finding::failed(id, url, cause, unread.to_string(), remedy), true);
        }
    };
    let who = who_am_i(server).await;
    // Whoever is refused here would be refused everywhere; /version answers everybody.
    let who = match who {
        Who::Refused(why) => {
            let cause = Cause::CredentialsRefused;
            let remedy = Remedy::commands(cause.mend(), vec![kubectl.line(&["auth", "can-i", "--list"])]);
            return (Finding::failed(id, url, cause, why, remedy), true);
        }
        Who::Known(name) => format!("you are {name:?}"),
        Who::Unsaid => "it is too old to say who you are".to_owned(),
    };
    let git = text(&version, "/gitVersion");
    let message = format!("{git}, {who}");
    let digits: String = text(&version, "/minor").chars().take_while(char::is_ascii_digit).collect();
    match digits.parse::<u32>() {
        Ok(minor) if text(&version, "/major") == "1" && !WRITTEN_FOR.contains(&minor) => {
            let range = format!("1.{} to 1.{}", WRITTEN_FOR.start(), WRITTEN_FOR.end());
            let remedy = Remedy::text(format!("nothing needs mending: the gateway is written for {range}"));
            (Finding::warning(id, url, Cause::VersionNotTried, message, remedy), false)
        }
        _ => (Finding::ok(id, url, message), false),
    }
}

enum Who {
    Known(String),
    /// The API server has no such question.
    Unsaid,
    Refused(String),
}

async fn who_am_i(server: &Server) -> Who {
    for version in ["v1", "v1beta1"] {
        let path = format!("/apis/authentication.k8s.io/{version}/selfsubjectreviews");
        let review = json!({"apiVersion": format!("authentication.k8s.io/{version}"), "kind": "SelfSubjectReview"});
        match server.post(&path, &review).await {
            Ok(answer) => match text(&answer, "/status/userInfo/username") {
                // A client certificate of another CA is not refused, but passed over.
                "system:anonymous" => return Who::Refused("the API server takes you for system:anonymous".to_owned()),
                name => return Who::Known(name.to_owned()),
            },
            Err(unread) if unread.status == Some(401) => return Who::Refused(unread.to_string()),
            Err(_) => {}
        }
    }
    Who::Unsaid
}
