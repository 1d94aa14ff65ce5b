//! Get, list and watch of the double's objects.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Response, StatusCode};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use super::objects::{Gone, News, Object, Objects, Page, Place, Projection, Resource, Signals};
use super::selection::Selection;
use super::{json_body, json_response, not_found, refuse, status_object};
use crate::body::Body;

/// How many objects are rendered into one chunk of a list.
const CHUNK: usize = 500;

/// What is asked for, as path and query say it.
pub(super) struct Question<'a> {
    pub(super) resource: Resource,
    pub(super) namespace: Option<&'a str>,
    pub(super) name: Option<&'a str>,
    pub(super) query: &'a BTreeMap<String, String>,
    pub(super) accept: &'a str,
}

pub(super) fn answer(objects: &Arc<Objects>, tasks: &TaskTracker, question: &Question<'_>) -> Response<Body> {
    let Some(projection) = projection(question.accept) else {
        return refuse(StatusCode::NOT_ACCEPTABLE, "NotAcceptable", "only application/json is served");
    };
    if let Some(name) = question.name {
        return match objects.get(question.resource, question.namespace.unwrap_or_default(), name) {
            Some(object) => json_body(StatusCode::OK, rendered(&object, projection)),
            None => not_found(&format!("{} {name:?} not found", question.resource.plural())),
        };
    }
    let selection = match Selection::parse(question.namespace, question.query) {
        Ok(selection) => selection,
        Err(reason) => return refuse(StatusCode::BAD_REQUEST, "BadRequest", &reason),
    };
    if question.query.get("watch").is_some_and(|value| value != "0" && value != "false") {
        watch(objects, tasks, question, selection, projection)
    } else {
        list(objects, tasks, question, &selection, projection)
    }
}

/// The first form in `Accept` that the double can give. Tables it leaves to kubectl, which can make its own.
fn projection(accept: &str) -> Option<Projection> {
    let form = |clause: &str| {
        let mut parts = clause.split(';').map(str::trim);
        let media_type = parts.next().unwrap_or_default();
        let form = parts.find_map(|part| part.strip_prefix("as="));
        match (media_type, form) {
            ("application/json" | "application/*" | "*/*" | "", None) => Some(Projection::Whole),
            ("application/json", Some("PartialObjectMetadata" | "PartialObjectMetadataList")) => {
                Some(Projection::Metadata)
            }
            _ => None,
        }
    };
    accept.split(',').map(str::trim).find_map(form)
}

fn rendered(object: &Object, projection: Projection) -> String {
    let mut text = String::new();
    object.render(projection, Place::Alone, &mut text);
    text
}

fn list(
    objects: &Arc<Objects>,
    tasks: &TaskTracker,
    question: &Question<'_>,
    selection: &Selection,
    projection: Projection,
) -> Response<Body> {
    let number = |key: &str| question.query.get(key).and_then(|value| value.parse::<usize>().ok());
    // From the watch cache ("any version") the real one returns everything, whatever the limit says.
    let from_cache = question.query.get("resourceVersion").is_some_and(|version| version == "0");
    let limit = number("limit").filter(|limit| *limit > 0 && !from_cache).unwrap_or(usize::MAX);
    let start = match question.query.get("continue").filter(|token| !token.is_empty()).map(|token| read_token(token)) {
        Some(None) => return refuse(StatusCode::BAD_REQUEST, "BadRequest", "continue key is not valid"),
        start => start.flatten(),
    };
    match objects.page(question.resource, selection, limit, start) {
        Ok(page) => send_page(page, tasks, question.resource, projection),
        Err(Gone) => refuse(StatusCode::GONE, "Expired", "The provided continue parameter is too old"),
    }
}

type Start = (u64, (Arc<str>, Arc<str>));

fn read_token(token: &str) -> Option<Start> {
    let mut parts = token.splitn(3, '/');
    let version = parts.next()?.strip_prefix('v')?.parse().ok()?;
    Some((version, (parts.next()?.into(), parts.next()?.into())))
}

fn send_page(page: Page, tasks: &TaskTracker, resource: Resource, projection: Projection) -> Response<Body> {
    let (kind, group) = match projection {
        Projection::Whole => (resource.kind(), "v1"),
        Projection::Metadata => ("PartialObjectMetadata", "meta.k8s.io/v1"),
    };
    let mut text =
        format!(r#"{{"kind":"{kind}List","apiVersion":"{group}","metadata":{{"resourceVersion":"{}""#, page.version);
    if let Some(((namespace, name), remaining)) = &page.next {
        let token = format!("v{}/{namespace}/{name}", page.version);
        let _ = write!(text, r#","continue":"{token}","remainingItemCount":{remaining}"#);
    }
    text.push_str(r#"},"items":["#);
    if page.objects.len() <= CHUNK {
        render_items(&page.objects, true, projection, &mut text);
        text.push_str("]}\n");
        return json_body(StatusCode::OK, text);
    }
    let (chunks, body) = mpsc::channel(2);
    tasks.spawn(async move {
        for (index, objects) in page.objects.chunks(CHUNK).enumerate() {
            render_items(objects, index == 0, projection, &mut text);
            // The client has gone: nobody wants the rest.
            let Ok(()) = chunks.send(Bytes::from(std::mem::take(&mut text))).await else { return };
        }
        let _ = chunks.send(Bytes::from_static(b"]}\n")).await;
    });
    json_response(StatusCode::OK, Body::Chunks(body))
}

fn render_items(objects: &[Arc<Object>], is_first: bool, projection: Projection, out: &mut String) {
    for (index, object) in objects.iter().enumerate() {
        if index > 0 || !is_first {
            out.push(',');
        }
        object.render(projection, Place::Item, out);
    }
}

fn watch(
    objects: &Arc<Objects>,
    tasks: &TaskTracker,
    question: &Question<'_>,
    selection: Selection,
    projection: Projection,
) -> Response<Body> {
    let text = |key: &str| question.query.get(key).map(String::as_str);
    let Ok(version) = text("resourceVersion").unwrap_or("0").parse::<u64>().or_else(|_| "0".parse()) else {
        return refuse(StatusCode::BAD_REQUEST, "BadRequest", "invalid resource version");
    };
    let (events, body) = mpsc::channel(2);
    let watcher = Watcher {
        objects: objects.clone(),
        resource: question.resource,
        selection,
        projection,
        allows_bookmarks: text("allowWatchBookmarks") == Some("true"),
        wants_initial_events: text("sendInitialEvents") == Some("true"),
        deadline: text("timeoutSeconds").and_then(|seconds| seconds.parse().ok()).map(Duration::from_secs),
        events,
    };
    tasks.spawn(async move {
        // It ends when the client has gone, or when the client has been told why.
        let _ = watcher.run(version).await;
    });
    json_response(StatusCode::OK, Body::Chunks(body))
}

struct Watcher {
    objects: Arc<Objects>,
    resource: Resource,
    selection: Selection,
    projection: Projection,
    allows_bookmarks: bool,
    wants_initial_events: bool,
    deadline: Option<Duration>,
    events: mpsc::Sender<Bytes>,
}

/// The client has gone.
struct ClientGone;

impl Watcher {
    async fn run(self, version: u64) -> Result<(), ClientGone> {
        let mut changed = self.objects.subscribe();
        let mut seen = self.objects.signals();
        let mut version = version;
        if version == 0 || self.wants_initial_events {
            version = self.send_initial().await?;
        }
        let deadline = self.deadline.map(|after| Instant::now() + after);
        loop {
            let Ok(news) = self.objects.since(self.resource, version) else { return self.send_gone().await };
            if news.signals.expiries != seen.expiries {
                return self.send_gone().await;
            }
            self.send_news(&news, seen).await?;
            (version, seen) = (news.version, news.signals);
            tokio::select! {
                () = self.events.closed() => return Ok(()),
                () = until(deadline) => return self.send_bookmark(version, "").await,
                _ = changed.changed() => {}
            }
        }
    }

    /// Everything that exists as if it had just been added; then, for those who ask so, a bookmark that says "all".
    async fn send_initial(&self) -> Result<u64, ClientGone> {
        let Ok(page) = self.objects.page(self.resource, &self.selection, usize::MAX, None) else { return Ok(0) };
        for objects in page.objects.chunks(CHUNK) {
            let mut lines = String::new();
            for object in objects {
                self.line("ADDED", object, &mut lines);
            }
            self.send(lines).await?;
        }
        if self.wants_initial_events {
            self.send_bookmark(page.version, r#","annotations":{"k8s.io/initial-events-end":"true"}"#).await?;
        }
        Ok(page.version)
    }

    async fn send_news(&self, news: &News, seen: Signals) -> Result<(), ClientGone> {
        let mut lines = String::new();
        for (kind, object) in news.changes.iter().filter_map(|change| change.event(&self.selection)) {
            self.line(kind, &object, &mut lines);
        }
        if !lines.is_empty() {
            self.send(lines).await?;
        }
        if news.signals.bookmarks != seen.bookmarks {
            self.send_bookmark(news.version, "").await?;
        }
        Ok(())
    }

    fn line(&self, kind: &str, object: &Object, out: &mut String) {
        let _ = write!(out, r#"{{"type":"{kind}","object":"#);
        object.render(self.projection, Place::Alone, out);
        out.push_str("}\n");
    }

    async fn send_bookmark(&self, version: u64, more: &str) -> Result<(), ClientGone> {
        if !self.allows_bookmarks {
            return Ok(());
        }
        let (kind, group) = match self.projection {
            Projection::Whole => (self.resource.kind(), "v1"),
            Projection::Metadata => ("PartialObjectMetadata", "meta.k8s.io/v1"),
        };
        let metadata = format!(r#"{{"resourceVersion":"{version}","creationTimestamp":null{more}}}"#);
        // Typed clients decode bookmarks of pods and nodes as such, so the fields that those need are there.
        let rest = if self.projection == Projection::Whole { r#","spec":{"containers":[]},"status":{}"# } else { "" };
        let object = format!(r#"{{"kind":"{kind}","apiVersion":"{group}","metadata":{metadata}{rest}}}"#);
        self.send(format!("{{\"type\":\"BOOKMARK\",\"object\":{object}}}\n")).await
    }

    async fn send_gone(&self) -> Result<(), ClientGone> {
        let status = status_object(StatusCode::GONE, "Expired", "too old resource version");
        self.send(format!("{{\"type\":\"ERROR\",\"object\":{status}}}\n")).await
    }

    async fn send(&self, lines: String) -> Result<(), ClientGone> {
        self.events.send(Bytes::from(lines)).await.map_err(|_| ClientGone)
    }
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
