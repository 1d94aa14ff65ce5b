//! Deployments that Events may be about, and the Events that are created.
//!
//! Of a Deployment there is its metadata alone. Events are checked as far as a real API server checks them: about an object
//! of their own namespace, a note of at most a kilobyte, and none twice.

use std::collections::BTreeSet;

use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use parking_lot::Mutex;
use serde_json::{Value, json};

use super::{body, json_body, not_found, refuse};
use crate::body::Body;

/// As long as a note may be.
const LONGEST_NOTE: usize = 1024;

#[derive(Default)]
pub(super) struct Events {
    deployments: Mutex<BTreeSet<(String, String)>>,
    created: Mutex<Vec<Value>>,
}

impl Events {
    pub(super) fn add_deployment(&self, namespace: &str, name: &str) {
        self.deployments.lock().insert((namespace.to_owned(), name.to_owned()));
    }

    pub(super) fn created(&self) -> Vec<Value> {
        self.created.lock().clone()
    }

    pub(super) fn deployment(&self, namespace: &str, name: &str) -> Response<Body> {
        if !self.deployments.lock().contains(&(namespace.to_owned(), name.to_owned())) {
            return not_found(&format!("deployments.apps {name:?} not found"));
        }
        let metadata = json!({"namespace": namespace, "name": name, "uid": format!("uid-of-{namespace}-{name}")});
        let deployment = json!({"kind": "Deployment", "apiVersion": "apps/v1", "metadata": metadata});
        json_body(StatusCode::OK, deployment.to_string())
    }

    pub(super) async fn create(&self, namespace: &str, request: Request<Incoming>) -> Response<Body> {
        let text = body::read(request.into_body()).await.unwrap_or_default();
        let event: Value = serde_json::from_slice(&text).unwrap_or_default();
        if let Some(fault) = fault(namespace, &event) {
            return refuse(StatusCode::UNPROCESSABLE_ENTITY, "Invalid", fault);
        }
        let mut created = self.created.lock();
        if created.iter().any(|known| known["metadata"]["name"] == event["metadata"]["name"]) {
            return refuse(StatusCode::CONFLICT, "AlreadyExists", "there is an Event of that name");
        }
        created.push(event.clone());
        json_body(StatusCode::CREATED, event.to_string())
    }
}

fn fault(namespace: &str, event: &Value) -> Option<&'static str> {
    let text = |pointer: &str| event.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let needed = ["/metadata/name", "/reason", "/action", "/reportingController", "/reportingInstance", "/eventTime"];
    if needed.iter().any(|pointer| text(pointer).is_empty()) {
        return Some("a field is missing");
    }
    if text("/metadata/namespace") != namespace || text("/regarding/namespace") != namespace {
        return Some("it is about another namespace");
    }
    (text("/note").len() > LONGEST_NOTE).then_some("the note is longer than a kilobyte")
}
