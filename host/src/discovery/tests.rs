use std::collections::BTreeSet;
use std::convert::Infallible;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::FutureExt as _;
use futures_util::stream::{self, StreamExt as _};
use http::{HeaderMap, Request, Response, header};
use http_body_util::StreamBody;
use hyper::body::{Body, Frame, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use kube::runtime::watcher::Event;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::namespaces::{self, LabelledNamespace};
use super::nodes::{self, TrimmedNode};
use super::pods::{self, RunningPod};
use super::{Cluster, client};
use crate::model::{Identities as _, Labels, Node, NodeAddress, PodRef};

fn pod(namespace: &str, name: &str, labels: &[(&str, &str)]) -> RunningPod {
    serde_json::from_value(pod_json(namespace, name, "1", labels)).unwrap()
}

fn pod_json(namespace: &str, name: &str, version: &str, labels: &[(&str, &str)]) -> Value {
    let labels: serde_json::Map<_, _> =
        labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).into())).collect();
    json!({
        "kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1",
        "metadata": {"namespace": namespace, "name": name, "resourceVersion": version, "labels": labels},
    })
}

fn captured_node() -> Value {
    let list: Value = serde_json::from_str(include_str!("../../../tests/fixtures/api/nodes.json")).unwrap();
    list["items"][0].clone()
}

fn decoded(node: &Value) -> TrimmedNode {
    serde_json::from_value(node.clone()).unwrap()
}

/// All pods as `namespace/name`.
fn pods_of(cluster: &Cluster) -> BTreeSet<String> {
    let names = |namespace: Arc<super::Namespace>| -> Vec<String> {
        namespace.read().keys().map(|pod| format!("{}/{pod}", namespace.name)).collect()
    };
    cluster.namespaces().into_iter().flat_map(names).collect()
}

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn a_relist_removes_what_is_gone_and_never_shows_an_empty_cluster() {
    let cluster = Arc::new(Cluster::new());
    let mut writer = pods::Writer::new(Arc::clone(&cluster));
    let list = [("shop", "cart"), ("shop", "till"), ("old", "relic")];
    writer.apply(Event::Init);
    list.iter().for_each(|(namespace, name)| writer.apply(Event::InitApply(pod(namespace, name, &[]))));
    assert!(!cluster.pods_synced(), "half a list is not the cluster");
    writer.apply(Event::InitDone);
    assert!(cluster.pods_synced());
    assert_eq!(pods_of(&cluster), set(&["old/relic", "shop/cart", "shop/till"]));

    // A list that fails half-way begins again, and takes nothing out.
    for _ in 0..2 {
        writer.apply(Event::Init);
        assert_eq!(pods_of(&cluster).len(), 3);
        writer.apply(Event::InitApply(pod("shop", "cart", &[])));
        assert_eq!(pods_of(&cluster).len(), 3);
    }
    writer.apply(Event::InitDone);
    assert_eq!(pods_of(&cluster), set(&["shop/cart"]));
    assert!(cluster.namespace("old").is_none(), "a namespace goes with its last pod");
}

#[test]
fn a_relist_of_nodes_removes_what_is_gone_and_tells_so() {
    let cluster = Arc::new(Cluster::new());
    let mut writer = nodes::Writer::new(Arc::clone(&cluster));
    let named = |name: &str| {
        let mut node = captured_node();
        node["metadata"]["name"] = name.into();
        decoded(&node)
    };
    writer.apply(Event::Init);
    ["b", "a"].iter().for_each(|name| writer.apply(Event::InitApply(named(name))));
    writer.apply(Event::InitDone);
    let names = || -> Vec<String> { cluster.nodes().iter().map(|node| node.name.to_string()).collect() };
    assert_eq!(names(), ["a", "b"], "sorted by name");
    assert!(cluster.nodes_synced() && !cluster.pods_synced());

    let mut changed = cluster.nodes_changed();
    writer.apply(Event::Init);
    writer.apply(Event::InitApply(named("a")));
    assert!(!changed.has_changed().unwrap(), "a node that is listed as it was is no change");
    writer.apply(Event::InitDone);
    assert!(changed.has_changed().unwrap());
    assert_eq!(names(), ["a"]);
    changed.mark_unchanged();
    writer.apply(Event::Delete(named("a")));
    writer.apply(Event::Delete(named("a")));
    assert!(changed.has_changed().unwrap() && names().is_empty());
}

#[test]
fn a_heartbeat_changes_nothing() {
    let cluster = Arc::new(Cluster::new());
    let mut writer = nodes::Writer::new(Arc::clone(&cluster));
    let mut node = captured_node();
    writer.apply(Event::Apply(decoded(&node)));
    let mut changed = cluster.nodes_changed();
    changed.mark_unchanged();
    let known = cluster.node("node1").unwrap();

    node["metadata"]["resourceVersion"] = "304".into();
    node["status"]["images"] = json!([]);
    for condition in node["status"]["conditions"].as_array_mut().unwrap() {
        condition["lastHeartbeatTime"] = "2026-11-20T22:12:34Z".into();
    }
    writer.apply(Event::Apply(decoded(&node)));
    assert!(!changed.has_changed().unwrap());
    assert!(Arc::ptr_eq(&known, &cluster.node("node1").unwrap()));

    node["status"]["addresses"][0]["address"] = "10.200.0.12".into();
    writer.apply(Event::Apply(decoded(&node)));
    assert!(changed.has_changed().unwrap());
    assert_eq!(&*cluster.node("node1").unwrap().addresses[0].address, "10.200.0.12");
}

#[test]
fn a_captured_node_is_decoded_to_what_the_scraper_needs() {
    let node = decoded(&captured_node()).node;
    assert_eq!(node.name.as_str(), "node1");
    assert_eq!((node.labels.get("kubernetes.io/hostname"), node.labels.iter().len()), (Some("node1"), 5));
    let address = |kind: &str, address: &str| NodeAddress { kind: kind.into(), address: address.into() };
    assert_eq!(*node.addresses, [address("InternalIP", "10.200.0.11"), address("Hostname", "node1")]);
    assert_eq!((node.kubelet_port, node.resource_metrics_path, node.ready), (Some(10250), None, true));
}

#[test]
fn what_a_node_does_not_say_or_says_wrongly_is_left_out() {
    let node = |value: Value| serde_json::from_value::<TrimmedNode>(value).unwrap().node;
    let bare = node(json!({"metadata": {"name": "n"}}));
    assert!(bare.addresses.is_empty() && bare.labels.is_empty() && bare.kubelet_port.is_none() && !bare.ready);
    let odd = node(json!({
        "metadata": {"name": "n", "labels": null, "annotations": {"metrics.k8s.io/resource-metrics-path": ""}},
        "status": {
            "addresses": null,
            "conditions": [{"type": "Ready", "status": "Unknown"}],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": 70000}},
        },
    }));
    assert_eq!(odd.annotations.get("metrics.k8s.io/resource-metrics-path"), Some(""));
    assert_eq!(Node { annotations: Labels::default(), ..odd }, bare);
    let annotated = node(json!({
        "metadata": {"name": "n", "annotations": {"metrics.k8s.io/resource-metrics-path": "/v2", "other": "x"}},
        "status": {"daemonEndpoints": {"kubeletEndpoint": {"Port": 0}}},
    }));
    assert_eq!((annotated.resource_metrics_path.as_deref(), annotated.kubelet_port), (Some("/v2"), None));
}

#[test]
fn annotations_and_the_provider_are_kept_but_for_long_documents() {
    let copy = "kubectl.kubernetes.io/last-applied-configuration";
    let (just, long) = ("x".repeat(4096), "x".repeat(4097));
    let node: TrimmedNode = serde_json::from_value(json!({
        "metadata": {"name": "n", "annotations": {"pool": "edge", "just": just, "long": long, copy: "{}", "odd": null}},
        "spec": {"providerID": "aws:///eu-west-1a/i-0abc", "unschedulable": true},
    }))
    .unwrap();
    let keys: Vec<&str> = node.node.annotations.iter().map(|(key, _)| key).collect();
    assert_eq!(keys, ["just", "pool"]);
    assert_eq!(node.node.provider_id.as_deref(), Some("aws:///eu-west-1a/i-0abc"));
    let empty = json!({"metadata": {"name": "n"}, "spec": {"providerID": ""}});
    assert_eq!(serde_json::from_value::<TrimmedNode>(empty).unwrap().node.provider_id, None);
}

#[test]
fn labels_of_namespaces_are_those_told_last() {
    let cluster = Arc::new(Cluster::new());
    let mut writer = namespaces::Writer::new(Arc::clone(&cluster));
    let namespace = |name: &str, team: &str| -> LabelledNamespace {
        let metadata = json!({"name": name, "resourceVersion": "1", "labels": {"team": team}});
        serde_json::from_value(json!({"kind": "PartialObjectMetadata", "metadata": metadata})).unwrap()
    };
    let team = |name: &str| Some(cluster.namespace_labels(name)?.get("team")?.to_owned());
    writer.apply(Event::Init);
    writer.apply(Event::InitApply(namespace("shop", "blue")));
    writer.apply(Event::InitApply(namespace("till", "blue")));
    assert!(cluster.until_namespace_labels_synced().now_or_never().is_none(), "half a list");
    writer.apply(Event::InitDone);
    assert!(cluster.until_namespace_labels_synced().now_or_never().is_some());
    assert_eq!((team("shop").as_deref(), team("none")), (Some("blue"), None));
    let known = cluster.namespace_labels("shop").unwrap();
    writer.apply(Event::Apply(namespace("shop", "blue")));
    assert!(Arc::ptr_eq(&known, &cluster.namespace_labels("shop").unwrap()), "nothing has changed");
    writer.apply(Event::Apply(namespace("shop", "green")));
    writer.apply(Event::Delete(namespace("till", "blue")));
    assert_eq!((team("shop").as_deref(), team("till")), (Some("green"), None));
    writer.apply(Event::Init);
    writer.apply(Event::InitDone);
    assert_eq!(team("shop"), None, "gone while nobody watched");
}

#[test]
fn identities_are_those_of_running_pods() {
    let cluster = Cluster::new();
    cluster.put_pod("shop", "cart", &Labels::from_iter([("app", "cart")]));
    let labels = |namespace, name| cluster.pod_labels(PodRef { namespace, name });
    assert_eq!(labels("shop", "cart").unwrap().get("app"), Some("cart"));
    assert_eq!((labels("shop", "till"), labels("none", "cart")), (None, None));
}

#[test]
fn captured_pods_are_decoded_to_name_namespace_and_labels() {
    let list: Value = serde_json::from_str(include_str!("../../../tests/fixtures/api/pods.json")).unwrap();
    let cluster = Arc::new(Cluster::new());
    let mut writer = pods::Writer::new(Arc::clone(&cluster));
    for item in list["items"].as_array().unwrap() {
        writer.apply(Event::Apply(serde_json::from_value(item.clone()).unwrap()));
    }
    let expected = ["default/busy-6f8b898f67-5hflb", "default/busy-6f8b898f67-rc4v8", "default/twins"];
    assert_eq!(pods_of(&cluster), set(&expected));
    let namespace = cluster.namespace("default").unwrap();
    assert_eq!(*namespace.labels("twins").unwrap(), Labels::from_iter([("app", "twins")]));
    let [first, second] = ["busy-6f8b898f67-5hflb", "busy-6f8b898f67-rc4v8"].map(|pod| namespace.labels(pod).unwrap());
    assert_eq!(first.get("pod-template-hash"), Some("6f8b898f67"));
    assert!(Arc::ptr_eq(&first, &second), "replicas share one set");
}

#[test]
fn equal_label_sets_are_shared_and_those_of_no_pod_are_dropped() {
    let cluster = Cluster::new();
    let labels_of = |pod: &str| cluster.namespace("shop").unwrap().labels(pod).unwrap();
    let cart = Labels::from_iter([("app", "cart")]);
    cluster.put_pod("shop", "cart-1", &cart);
    cluster.put_pod("shop", "cart-2", &cart);
    cluster.put_pod("shop", "till", &Labels::from_iter([("app", "till")]));
    assert!(Arc::ptr_eq(&labels_of("cart-1"), &labels_of("cart-2")));
    assert_eq!(labels_of("till").get("app"), Some("till"));

    let last = Arc::downgrade(&labels_of("cart-1"));
    cluster.remove_pod("shop", "cart-1");
    assert!(last.upgrade().is_some(), "another pod bears it");
    cluster.remove_pod("shop", "cart-2");
    assert!(last.upgrade().is_none());

    for job in 0..10_000 {
        let name = format!("job-{job}");
        cluster.put_pod("shop", &name, &Labels::from_iter([("job-name", name.as_str())]));
        cluster.remove_pod("shop", &name);
    }
    let kept = cluster.label_sets.lock().len();
    assert!(kept <= 64, "{kept} sets are kept for one pod");
}

#[test]
fn a_pod_that_changes_its_labels_keeps_its_place() {
    let cluster = Cluster::new();
    cluster.put_pod("shop", "cart", &Labels::from_iter([("app", "cart")]));
    cluster.put_pod("shop", "cart", &Labels::from_iter([("app", "cart"), ("canary", "true")]));
    let namespace = cluster.namespace("shop").unwrap();
    assert_eq!(namespace.read().len(), 1);
    assert_eq!(namespace.labels("cart").unwrap().get("canary"), Some("true"));
    cluster.remove_pod("shop", "unknown");
    cluster.remove_pod("nowhere", "cart");
    assert_eq!(pods_of(&cluster), set(&["shop/cart"]));
}

/// A test of its own process, so that other tests do not move the figure.
#[cfg(target_os = "linux")]
#[test]
fn a_hundred_and_fifty_thousand_pods_take_less_than_24_mib() {
    let mut alone = Command::new(std::env::current_exe().unwrap());
    alone.args(["--exact", "discovery::tests::fill_with_150_000_pods", "--ignored", "--nocapture"]);
    let output = alone.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("bytes per pod"), "the measurement did not run: {text}");
}

#[cfg(target_os = "linux")]
#[test]
#[ignore = "run by a_hundred_and_fifty_thousand_pods_take_less_than_24_mib, in a process of its own"]
fn fill_with_150_000_pods() {
    let resident_kib = || -> usize {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find(|line| line.starts_with("RssAnon:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    };
    let cluster = Cluster::new();
    let before = resident_kib();
    for (namespace, deployment, replica) in (0..100)
        .flat_map(|ns| (0..50).flat_map(move |deployment| (0..30).map(move |replica| (ns, deployment, replica))))
    {
        let app = format!("deployment-{deployment:02}");
        let labels = Labels::from_iter([("app.kubernetes.io/name", app.as_str()), ("pod-template-hash", "5f6d8c7b9")]);
        cluster.put_pod(&format!("tenant-{namespace:03}"), &format!("{app}-5f6d8c7b9-x{replica:04}"), &labels);
    }
    let kib = resident_kib() - before;
    println!("{kib} KiB, {} bytes per pod", kib * 1024 / 150_000);
    assert_eq!(pods_of(&cluster).len(), 150_000);
    assert!(kib < 24 * 1024, "{kib} KiB");
}

/// What the API server of the test was asked, and what it answers.
#[derive(Default)]
struct Script {
    lists: AtomicUsize,
    watches: AtomicUsize,
}

impl Script {
    /// The lines of the answer, and whether it stays open after them.
    fn answer(&self, query: &str, headers: &HeaderMap) -> (Vec<Value>, bool) {
        let is = |part: &str| query.split('&').any(|pair| pair == part);
        let is_watch = is("watch=true");
        let accept = headers[header::ACCEPT].to_str().unwrap();
        assert!(is("fieldSelector=status.phase%3DRunning"), "{query}");
        let kind = if is_watch { "PartialObjectMetadata" } else { "PartialObjectMetadataList" };
        assert_eq!(accept, format!("application/json;as={kind};g=meta.k8s.io;v=v1"));
        let agent = headers[header::USER_AGENT].to_str().unwrap();
        assert_eq!(agent, concat!("metrics-gateway/", env!("CARGO_PKG_VERSION")));
        let pod = |name: &str, version: &str| pod_json("shop", name, version, &[("app", name)]);
        let list = |version: &str, token: &str, items: &[Value]| {
            json!({
                "kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1",
                "metadata": {"resourceVersion": version, "continue": token}, "items": items,
            })
        };
        let event = |kind: &str, object: Value| json!({"type": kind, "object": object});
        if is_watch {
            assert!(is("allowWatchBookmarks=true"), "{query}");
            return match self.watches.fetch_add(1, Ordering::SeqCst) {
                0 => {
                    assert!(is("resourceVersion=10"), "{query}");
                    let expired = json!({
                        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
                        "message": "too old resource version: 10 (20)", "reason": "Expired", "code": 410,
                    });
                    let events =
                        [event("ADDED", pod("d", "11")), event("DELETED", pod("b", "12")), event("ERROR", expired)];
                    (events.into(), false)
                }
                _ => {
                    assert!(is("resourceVersion=20"), "{query}");
                    (vec![event("ADDED", pod("f", "21"))], true)
                }
            };
        }
        assert!(is("limit=500"), "{query}");
        let page = match (self.lists.fetch_add(1, Ordering::SeqCst), is("continue=next")) {
            (0, false) => list("10", "next", &[pod("a", "1"), pod("b", "2")]),
            (1, true) => list("10", "", &[pod("c", "3")]),
            (2, false) => list("20", "", &[pod("a", "1"), pod("c", "3"), pod("e", "19")]),
            (number, _) => panic!("list {number} was not expected: {query}"),
        };
        (vec![page], false)
    }

    fn respond(&self, request: &Request<Incoming>) -> Response<impl Body<Data = Bytes, Error = Infallible> + use<>> {
        assert_eq!(request.uri().path(), "/api/v1/pods");
        let (lines, stays_open) = self.answer(request.uri().query().unwrap_or_default(), request.headers());
        let lines = lines.into_iter().map(|line| Ok(Frame::data(Bytes::from(format!("{line}\n")))));
        let rest = if stays_open { stream::pending().left_stream() } else { stream::empty().right_stream() };
        Response::new(StreamBody::new(stream::iter(lines).chain(rest)))
    }
}

async fn serve(listener: TcpListener, script: Arc<Script>) {
    let mut connections = JoinSet::new();
    loop {
        let (connection, _) = listener.accept().await.unwrap();
        let script = Arc::clone(&script);
        let service = service_fn(move |request| {
            let response = script.respond(&request);
            async move { Ok::<_, Infallible>(response) }
        });
        connections.spawn(http1::Builder::new().serve_connection(TokioIo::new(connection), service));
    }
}

#[tokio::test]
async fn pages_a_watch_that_expires_and_a_relist_lead_to_what_is_running() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
    let script = Arc::new(Script::default());
    let cluster = Arc::new(Cluster::new());
    let stop = CancellationToken::new();
    let watch = pods::watch(Arc::clone(&cluster), client(kube::Config::new(url)).unwrap(), stop.clone());
    let observe = async {
        let mut seen_synced = false;
        while pods_of(&cluster) != set(&["shop/a", "shop/c", "shop/e", "shop/f"]) {
            seen_synced |= cluster.pods_synced();
            let lasting = set(&["shop/a", "shop/c"]);
            assert!(!seen_synced || pods_of(&cluster).is_superset(&lasting), "a gap: {:?}", pods_of(&cluster));
            tokio::task::yield_now().await;
        }
        stop.cancel();
    };
    let all = async { tokio::join!(watch, observe) };
    tokio::select! {
        () = serve(listener, Arc::clone(&script)) => panic!("the server never ends"),
        ended = tokio::time::timeout(Duration::from_secs(30), all) => {
            assert!(ended.is_ok(), "the cluster shows {:?}", pods_of(&cluster));
        }
    }
    assert_eq!((script.lists.load(Ordering::SeqCst), script.watches.load(Ordering::SeqCst)), (3, 2));
}

#[tokio::test]
async fn a_cluster_is_synced_when_both_lists_are_complete() {
    let cluster = Cluster::new();
    let mut synced = Box::pin(cluster.until_synced());
    assert!(synced.as_mut().now_or_never().is_none());
    cluster.tell_pods_synced();
    assert!(synced.as_mut().now_or_never().is_none());
    cluster.tell_nodes_synced();
    assert!(synced.as_mut().now_or_never().is_some());
}

#[tokio::test]
async fn namespaces_are_listed_when_their_labels_are_wanted_and_not_before() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
    let cluster = Arc::new(Cluster::new());
    let stop = CancellationToken::new();
    let mut watch =
        Box::pin(namespaces::watch(Arc::clone(&cluster), client(kube::Config::new(url)).unwrap(), stop.clone()));
    assert!(watch.as_mut().now_or_never().is_none());
    assert!(listener.accept().now_or_never().is_none(), "nobody asked for it");
    cluster.want_namespace_labels(true);
    let serve = async {
        let (connection, _) = listener.accept().await.unwrap();
        let service = service_fn(|request: Request<Incoming>| async move {
            assert_eq!(request.uri().path(), "/api/v1/namespaces");
            assert!(request.headers()[header::ACCEPT].to_str().unwrap().contains("as=PartialObjectMetadata"));
            let is_watch = request.uri().query().unwrap().contains("watch=true");
            let item = json!({"metadata": {"name": "shop", "resourceVersion": "1", "labels": {"team": "blue"}}});
            let list = json!({
                "kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1",
                "metadata": {"resourceVersion": "1"}, "items": [item],
            });
            let page =
                if is_watch { None } else { Some(Ok::<_, Infallible>(Frame::data(Bytes::from(list.to_string())))) };
            let rest = if is_watch { stream::pending().left_stream() } else { stream::empty().right_stream() };
            Ok::<_, Infallible>(Response::new(StreamBody::new(stream::iter(page).chain(rest))))
        });
        http1::Builder::new().serve_connection(TokioIo::new(connection), service).await
    };
    let synced = tokio::time::timeout(Duration::from_secs(30), cluster.until_namespace_labels_synced());
    tokio::select! {
        () = &mut watch => panic!("the watch never ends"),
        ended = serve => panic!("the connection never ends: {ended:?}"),
        synced = synced => synced.expect("listed"),
    }
    assert_eq!(cluster.namespace_labels("shop").unwrap().get("team"), Some("blue"));
    stop.cancel();
    watch.await;
    assert!(cluster.namespace_labels("shop").is_none(), "what nobody keeps up to date is not believed");
}

#[tokio::test(start_paused = true)]
async fn labels_of_namespaces_are_kept_up_to_date_for_a_minute_after_they_are_wanted_last() {
    let cluster = Cluster::new();
    cluster.want_namespace_labels(true);
    let mut wanted = cluster.namespace_labels_wanted();
    let mut unwanted = Box::pin(namespaces::until_unwanted(&mut wanted));
    let mut is_over_after =
        async |seconds| tokio::time::timeout(Duration::from_secs(seconds), unwanted.as_mut()).await.is_ok();
    assert!(!is_over_after(600).await);
    cluster.want_namespace_labels(false);
    assert!(!is_over_after(59).await);
    cluster.want_namespace_labels(true);
    assert!(!is_over_after(600).await, "they are wanted again");
    cluster.want_namespace_labels(false);
    assert!(!is_over_after(59).await);
    assert!(is_over_after(2).await);
}
