//! The harness is what every other test believes in, so it is tested itself, with clients that are not ours where
//! possible.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use ::harness::api_server::objects::{node, pod};
use ::harness::api_server::{ApiServer, Decision, MASTERS, Resource, User};
use ::harness::body::Body;
use ::harness::certs::{Certs, GATEWAY_HOST, Pair, Validity};
use ::harness::client::Client;
use ::harness::fleet::{Fleet, FleetSpec};
use ::harness::gateway::Gateway;
use ::harness::kubectl::{self, Kubectl};
use ::harness::serve::{self, Listener};
use futures_util::{Stream, StreamExt as _};
use http::{HeaderMap, Method, Response, StatusCode};
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::api::{Api, ListParams};
use kube::runtime::watcher::{self, watcher};
use parking_lot::Mutex;
use serde_json::{Value, json};

/// How long anything here may take before it is called lost.
const PATIENCE: Duration = Duration::from_secs(30);
const NODES: &str = "/apis/metrics.k8s.io/v1beta1/nodes";

async fn api_server() -> ApiServer {
    ApiServer::start(Arc::new(Certs::generate())).await.expect("a port of loopback is free")
}

fn admin(api: &ApiServer) -> Pair {
    api.certs().user("kubernetes-admin", &[MASTERS])
}

fn web_pod(index: usize) -> Value {
    let labels = BTreeMap::from([("app".to_owned(), "web".to_owned())]);
    pod("shop", &format!("web-{index:06}"), &labels, "node-0", &["app".to_owned()])
}

/// The client library that the gateway uses as well.
fn kube_client(api: &ApiServer) -> kube::Client {
    api.access().add_token("kube", User::new("kube", &[MASTERS]));
    let mut config = kube::Config::new(format!("https://{}", api.address()).parse().expect("an address makes a URI"));
    config.root_cert = Some(vec![api.certs().cluster.der().to_vec()]);
    config.auth_info.token = Some("kube".to_owned().into());
    kube::Client::try_from(config).expect("the configuration is complete")
}

#[tokio::test]
async fn a_list_in_pages_holds_every_pod_once() {
    let api = api_server().await;
    api.objects().apply(Resource::Pods, (0..1203).map(web_pod));
    let pods: Api<Pod> = Api::all(kube_client(&api));
    let (mut names, mut sizes, mut params) = (Vec::new(), Vec::new(), ListParams::default().limit(500));
    loop {
        let page = pods.list(&params).await.expect("a page comes");
        sizes.push(page.items.len());
        names.extend(page.items.into_iter().filter_map(|pod| pod.metadata.name));
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => params = params.continue_token(&token),
            None => break,
        }
    }
    let expected: Vec<String> = (0..1203).map(|index| format!("web-{index:06}")).collect();
    assert_eq!((sizes, names), (vec![500, 500, 203], expected));
}

#[tokio::test]
async fn a_continue_token_from_before_a_compaction_is_gone() {
    let api = api_server().await;
    api.objects().apply(Resource::Pods, (0..3).map(web_pod));
    let client = api.client(Some(&admin(&api)));
    let first = client.get("/api/v1/pods?limit=2", &[]).await.expect("a page comes").json();
    let token = first["metadata"]["continue"].as_str().expect("there is more").to_owned();
    api.objects().apply(Resource::Pods, [web_pod(7)]);
    api.objects().compact();
    let second = client.get(&format!("/api/v1/pods?limit=2&continue={token}"), &[]).await.expect("an answer comes");
    assert_eq!((second.status, second.json()["reason"].as_str()), (StatusCode::GONE, Some("Expired")));
}

#[tokio::test]
async fn a_list_of_150_000_pods_comes_whole() {
    let api = api_server().await;
    api.objects().apply(Resource::Pods, (0..150_000).map(web_pod));
    let accept = ("accept", "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json");
    let answer = api.client(Some(&admin(&api))).get("/api/v1/pods", &[accept]).await.expect("a list comes");
    let items = occurrences(&answer.body, b"\"uid\":");
    assert_eq!((answer.status, items), (StatusCode::OK, 150_000));
}

fn occurrences(haystack: &[u8], needle: &[u8]) -> usize {
    haystack.windows(needle.len()).filter(|window| *window == needle).count()
}

type Events<T> = Pin<Box<dyn Stream<Item = Result<watcher::Event<T>, watcher::Error>> + Send>>;

/// The next event, as its kind and the name of its object.
async fn next<T: kube::ResourceExt>(events: &mut Events<T>) -> (&'static str, String) {
    let item = tokio::time::timeout(PATIENCE, events.next()).await.expect("an event comes in time");
    match item.expect("the watch goes on") {
        Ok(watcher::Event::Init) => ("init", String::new()),
        Ok(watcher::Event::InitApply(object)) => ("init-apply", object.name_any()),
        Ok(watcher::Event::InitDone) => ("init-done", String::new()),
        Ok(watcher::Event::Apply(object)) => ("apply", object.name_any()),
        Ok(watcher::Event::Delete(object)) => ("delete", object.name_any()),
        Err(_) => ("error", String::new()),
    }
}

/// The next events, without those that tell of errors on the way.
async fn next_few<T: kube::ResourceExt>(events: &mut Events<T>, count: usize) -> Vec<(&'static str, String)> {
    let mut few = Vec::new();
    while few.len() < count {
        let event = next(events).await;
        if event.0 != "error" {
            few.push(event);
        }
    }
    few
}

fn named(events: &[(&'static str, &str)]) -> Vec<(&'static str, String)> {
    events.iter().map(|(kind, name)| (*kind, (*name).to_owned())).collect()
}

#[tokio::test]
async fn a_watch_of_running_pods_sees_them_come_and_go() {
    let api = api_server().await;
    api.objects().apply(Resource::Pods, [web_pod(0)]);
    let running = watcher::Config::default().fields("status.phase=Running");
    let mut events: Events<Pod> = Box::pin(watcher(Api::all(kube_client(&api)), running));
    let listed = next_few(&mut events, 3).await;
    assert_eq!(listed, named(&[("init", ""), ("init-apply", "web-000000"), ("init-done", "")]));
    let mut finished = web_pod(0);
    finished["status"]["phase"] = "Succeeded".into();
    api.objects().apply(Resource::Pods, [web_pod(1), finished]);
    api.objects().delete(Resource::Pods, "shop", "web-000001");
    let watched = next_few(&mut events, 3).await;
    assert_eq!(watched, named(&[("apply", "web-000001"), ("delete", "web-000000"), ("delete", "web-000001")]));
}

#[tokio::test]
async fn after_410_a_client_lists_again() {
    let api = api_server().await;
    api.objects().apply(Resource::Nodes, [node("node-0", "127.0.0.1", 10250)]);
    let mut events: Events<Node> = Box::pin(watcher(Api::all(kube_client(&api)), watcher::Config::default()));
    let expected = named(&[("init", ""), ("init-apply", "node-0"), ("init-done", "")]);
    assert_eq!(next_few(&mut events, 3).await, expected);
    api.objects().apply(Resource::Nodes, [node("node-0", "127.0.0.1", 10251)]);
    assert_eq!(next_few(&mut events, 1).await, named(&[("apply", "node-0")]));
    api.objects().expire_watches();
    assert_eq!(next_few(&mut events, 3).await, expected);
}

#[tokio::test]
async fn a_watch_goes_on_where_it_was_after_a_restart() {
    let api = api_server().await;
    api.objects().apply(Resource::Nodes, [node("node-0", "127.0.0.1", 10250)]);
    let mut events: Events<Node> = Box::pin(watcher(Api::all(kube_client(&api)), watcher::Config::default()));
    assert_eq!(next_few(&mut events, 3).await.len(), 3);
    api.stop().await;
    api.objects().apply(Resource::Nodes, [node("node-1", "127.0.0.1", 10250)]);
    api.start_again().await.expect("the port is still free");
    assert_eq!(next_few(&mut events, 1).await, named(&[("apply", "node-1")]));
}

#[tokio::test]
async fn a_metadata_list_holds_nothing_but_metadata() {
    let api = api_server().await;
    api.objects().apply(Resource::Pods, [web_pod(0)]);
    let pods: Api<Pod> = Api::all(kube_client(&api));
    let list = pods.list_metadata(&ListParams::default()).await.expect("a list comes");
    assert_eq!(list.items[0].metadata.labels.as_ref().map(|labels| labels["app"].as_str()), Some("web"));
    let accept = ("accept", "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1");
    let raw = api.client(Some(&admin(&api))).get("/api/v1/pods", &[accept]).await.expect("a list comes").json();
    let item = raw["items"][0].as_object().expect("there is an item");
    assert_eq!(item.keys().collect::<Vec<_>>(), ["apiVersion", "kind", "metadata"]);
}

#[tokio::test]
async fn a_label_selector_picks_what_matches() {
    let api = api_server().await;
    let mut other = web_pod(1);
    other["metadata"]["labels"] = json!({"app": "cart"});
    api.objects().apply(Resource::Pods, [web_pod(0), other]);
    let pods: Api<Pod> = Api::namespaced(kube_client(&api), "shop");
    let list = pods.list(&ListParams::default().labels("app!=web")).await.expect("a list comes");
    assert_eq!(list.items.iter().filter_map(|pod| pod.metadata.name.as_deref()).collect::<Vec<_>>(), ["web-000001"]);
}

/// A stand-in for the gateway that remembers what it was asked, and answers like a small metrics server.
struct Backend {
    listener: Listener,
    seen: Arc<Mutex<Vec<Seen>>>,
}

#[derive(Clone, Debug)]
struct Seen {
    target: String,
    headers: HeaderMap,
    server_name: Option<String>,
    /// The port of the other end: one for each connection.
    port: u16,
}

impl Backend {
    async fn start(certs: &Certs) -> Self {
        Self::start_at(certs, "127.0.0.1:0".parse().expect("an address")).await
    }

    async fn start_at(certs: &Certs, address: SocketAddr) -> Self {
        let seen = Arc::<Mutex<Vec<Seen>>>::default();
        let record = seen.clone();
        let tls = serve::tls(&certs.gateway(), &certs.front_proxy);
        let listener = Listener::bind(address, tls, move |peer, request| {
            let target = request.uri().path_and_query().map_or_else(String::new, ToString::to_string);
            let answer = canned_answer(request.uri().path());
            let is_front_proxy = peer.certificate.is_some();
            let server_name = peer.server_name.clone();
            let port = peer.address.port();
            record.lock().push(Seen { target, headers: request.headers().clone(), server_name, port });
            async move {
                let mut response = Response::new(Body::from(answer.to_string()));
                if !is_front_proxy {
                    *response.status_mut() = StatusCode::UNAUTHORIZED;
                }
                let json = "application/json".parse().expect("a header value");
                response.headers_mut().insert("content-type", json);
                response
            }
        });
        Self { listener: listener.await.expect("a port of loopback is free"), seen }
    }

    fn seen(&self, target: &str) -> Vec<Seen> {
        self.seen.lock().iter().filter(|seen| seen.target == target).cloned().collect()
    }
}

fn canned_answer(path: &str) -> Value {
    let common = json!({"timestamp": "2026-11-20T21:45:53Z", "window": "15s"});
    let usage = json!({"cpu": "156340379n", "memory": "1205632Ki"});
    let with = |mut object: Value| {
        object.as_object_mut().expect("made as an object").extend(common.as_object().cloned().expect("an object"));
        object
    };
    if path.ends_with("/nodes") {
        let item = with(json!({"metadata": {"name": "node-0"}, "usage": usage}));
        return json!({"kind": "NodeMetricsList", "apiVersion": "metrics.k8s.io/v1beta1", "metadata": {}, "items": [item]});
    }
    if path.ends_with("/pods") {
        let container = json!({"name": "app", "usage": usage});
        let metadata = json!({"name": "web-000000", "namespace": "shop"});
        let item = with(json!({"metadata": metadata, "containers": [container]}));
        return json!({"kind": "PodMetricsList", "apiVersion": "metrics.k8s.io/v1beta1", "metadata": {}, "items": [item]});
    }
    let resource = |name: &str, kind: &str, namespaced: bool| json!({"name": name, "singularName": "", "namespaced": namespaced, "kind": kind, "verbs": ["get", "list"]});
    json!({
        "kind": "APIResourceList", "apiVersion": "v1", "groupVersion": "metrics.k8s.io/v1beta1",
        "resources": [resource("nodes", "NodeMetrics", false), resource("pods", "PodMetrics", true)],
    })
}

async fn api_server_with_backend() -> (ApiServer, Backend) {
    let api = api_server().await;
    let backend = Backend::start(api.certs()).await;
    api.register(backend.listener.address(), &["v1beta1"]);
    api.available(PATIENCE).await.expect("the backend answers probes");
    (api, backend)
}

/// Headers as sorted lines, with the addresses of the capturing machine and of this one made equal.
fn lines(headers: impl Iterator<Item = (String, String)>, addresses: &[&str]) -> Vec<String> {
    let neutral = |value: String| addresses.iter().fold(value, |value, address| value.replace(address, "ADDRESS"));
    // 1.20.2 sent no audit ID yet; newer ones do, and so does the double.
    let kept = headers.filter(|(name, _)| !name.starts_with(':') && name != "audit-id");
    let mut lines: Vec<String> = kept.map(|(name, value)| format!("{name}: {}", neutral(value))).collect();
    lines.sort();
    lines
}

fn captured(index: usize) -> (Value, Vec<String>) {
    let line = include_str!("../fixtures/aggregator-requests.jsonl").lines().nth(index).expect("three were captured");
    let request: Value = serde_json::from_str(line).expect("one JSON object a line");
    let texts: Vec<String> = serde_json::from_value(request["headers"].clone()).expect("names and values");
    let pairs = texts.chunks(2).map(|pair| (pair[0].clone(), pair[1].clone()));
    let headers = lines(pairs, &["10.200.0.1:4443", "10.200.0.1"]);
    (request, headers)
}

fn received(seen: &Seen, api: &ApiServer) -> Vec<String> {
    let text = |value: &http::HeaderValue| value.to_str().expect("text").to_owned();
    let pairs = seen.headers.iter().map(|(name, value)| (name.as_str().to_owned(), text(value)));
    lines(pairs, &[&api.address().to_string(), "127.0.0.1"])
}

#[tokio::test]
async fn a_probe_of_the_aggregator_is_like_a_captured_one() {
    let (api, backend) = api_server_with_backend().await;
    let (request, headers) = captured(0);
    let probes = backend.seen(request["url"].as_str().expect("a path"));
    assert_eq!((received(&probes[0], &api), probes[0].server_name.as_deref()), (headers, None));
}

#[tokio::test]
async fn a_proxied_request_is_like_a_captured_one() {
    let (api, backend) = api_server_with_backend().await;
    let (request, headers) = captured(1);
    let target = request["url"].as_str().expect("a path");
    let agent = ("user-agent", "kubectl/v1.20.2 (linux/amd64) kubernetes/faecb19");
    let alice = api.certs().user("alice", &["team-a"]);
    let accept = [("accept", "application/json, */*"), ("accept-encoding", "gzip"), agent];
    let answer = api.client(Some(&alice)).get(target, &accept).await.expect("an answer comes");
    let seen = backend.seen(target);
    assert_eq!(answer.json()["kind"], "PodMetricsList");
    assert_eq!(received(&seen[0], &api), headers);
    assert_eq!(seen[0].server_name.as_deref(), Some(GATEWAY_HOST));
}

#[tokio::test]
async fn requests_that_come_together_share_one_connection() {
    let (api, backend) = api_server_with_backend().await;
    let client = api.client(Some(&admin(&api)));
    let answers = futures_util::future::join_all((0..20).map(|_| client.get(NODES, &[]))).await;
    assert!(answers.iter().all(|answer| answer.as_ref().is_ok_and(|answer| answer.status == StatusCode::OK)));
    let ports: BTreeSet<u16> = backend.seen(NODES).iter().map(|seen| seen.port).collect();
    assert_eq!((backend.seen(NODES).len(), ports.len()), (20, 1), "from {ports:?}");
}

#[tokio::test]
async fn a_backend_that_comes_back_is_found_again() {
    let (api, backend) = api_server_with_backend().await;
    let client = api.client(Some(&admin(&api)));
    let address = backend.listener.address();
    backend.listener.stop().await;
    let without = client.get(NODES, &[]).await.expect("an answer comes");
    assert_eq!(without.status, StatusCode::SERVICE_UNAVAILABLE);
    let _backend = Backend::start_at(api.certs(), address).await;
    api.available(PATIENCE).await.expect("the backend answers probes");
    assert_eq!(client.get(NODES, &[]).await.expect("an answer comes").status, StatusCode::OK);
}

#[tokio::test]
async fn forged_identities_and_credentials_do_not_pass_the_aggregator() {
    let (api, backend) = api_server_with_backend().await;
    let (_, headers) = captured(2);
    let extra = [("acme.com/tenant", "t1"), ("scopes", "a/b c")];
    let extra = extra.map(|(key, value)| (key.to_owned(), vec![value.to_owned()])).into();
    api.access().add_token("bob's", User { extra, ..User::new("bob", &[MASTERS]) });
    let forged = [
        ("authorization", "Bearer bob's"),
        ("x-remote-user", "root"),
        ("x-remote-group", "wheel"),
        ("x-remote-extra-scopes", "everything"),
        ("x-forwarded-for", "1.2.3.4"),
        ("user-agent", "curl/7.88.1"),
        ("accept", "*/*"),
        ("accept-encoding", "gzip"),
    ];
    api.client(None).get(NODES, &forged).await.expect("an answer comes");
    assert_eq!(received(&backend.seen(NODES)[0], &api), headers);
}

#[tokio::test]
async fn who_may_not_never_reaches_the_backend() {
    let (api, backend) = api_server_with_backend().await;
    let answer = api.client(None).get(NODES, &[]).await.expect("an answer comes");
    let message = r#"nodes.metrics.k8s.io is forbidden: User "system:anonymous" cannot list resource "nodes" in API group "metrics.k8s.io" at the cluster scope"#;
    assert_eq!((answer.status, answer.json()["message"].as_str()), (StatusCode::FORBIDDEN, Some(message)));
    assert_eq!(backend.seen(NODES).len(), 0);
}

#[tokio::test]
async fn without_a_backend_metrics_are_unavailable_not_unknown() {
    let api = api_server().await;
    let client = api.client(Some(&admin(&api)));
    assert_eq!(client.get(NODES, &[]).await.expect("an answer comes").status, StatusCode::NOT_FOUND);
    // The discard port of loopback: nobody listens there.
    api.register("127.0.0.1:9".parse().expect("an address"), &["v1beta1"]);
    assert_eq!(client.get(NODES, &[]).await.expect("an answer comes").status, StatusCode::SERVICE_UNAVAILABLE);
    let error = api.available(Duration::from_millis(100)).await.expect_err("nobody answers there");
    assert!(error.to_string().contains("connecting to 127.0.0.1:9"), "{error:#}");
}

#[tokio::test]
async fn a_backend_with_a_certificate_of_another_ca_is_unavailable() {
    let api = api_server().await;
    let backend = Backend::start(api.certs()).await;
    api.register_with_ca(backend.listener.address(), &["v1beta1"], &api.certs().foreign);
    let error = api.available(Duration::from_secs(1)).await.expect_err("its certificate is not trusted");
    assert!(error.to_string().contains("UnknownIssuer"), "{error:#}");
}

#[tokio::test]
async fn reviews_are_answered_by_the_table_and_the_rule_and_are_recorded() {
    let api = api_server().await;
    api.access().add_token("alice's", User::new("alice", &["dev"]));
    api.access().set_rule(|request| match &*request.user.name {
        "alice" => Decision::Allow,
        _ => Decision::Deny("not on the list".to_owned()),
    });
    let client = api.client(Some(&admin(&api)));
    let post = async |path: &str, spec: Value| {
        let body = json!({"kind": "Review", "spec": spec}).to_string();
        client.request(Method::POST, path, &[], Body::from(body)).await.expect("an answer comes")
    };
    let token = post("/apis/authentication.k8s.io/v1/tokenreviews", json!({"token": "alice's"})).await;
    assert_eq!((token.status, &token.json()["status"]["user"]["username"]), (StatusCode::CREATED, &json!("alice")));
    let attributes = json!({"verb": "get", "group": "metrics.k8s.io", "resource": "nodes", "name": "node-0"});
    let spec = json!({"user": "mallory", "groups": ["dev"], "resourceAttributes": attributes});
    let access = post("/apis/authorization.k8s.io/v1/subjectaccessreviews", spec).await.json();
    assert_eq!(access["status"], json!({"allowed": false, "denied": true, "reason": "not on the list"}));
    let recorded = api.access().access_reviews();
    assert_eq!((recorded[0].user.name.as_str(), recorded[0].name.as_str()), ("mallory", "node-0"));
    assert_eq!(api.access().token_reviews(), [json!({"token": "alice's"})]);
}

#[tokio::test]
async fn certificates_that_must_be_refused_are_refused() {
    let certs = Certs::generate();
    let check = async |pair: Pair, expected: &str| {
        let tls = serve::tls(&pair, &certs.cluster);
        let anywhere = "127.0.0.1:0".parse().expect("an address");
        let answer = |_, _| async { Response::new(Body::from("ok")) };
        let listener = Listener::bind(anywhere, tls, answer).await.expect("a port of loopback is free");
        let client = Client::new(listener.address(), "127.0.0.1", certs.cluster.roots(), None);
        match client.get("/", &[]).await {
            Ok(answer) => assert_eq!(answer.text(), expected),
            Err(error) => assert!(format!("{error:#}").contains(expected), "{error:#} is not about {expected:?}"),
        }
    };
    check(certs.kubelet("127.0.0.1"), "ok").await;
    check(certs.kubelet("node-0"), "not valid for name").await;
    check(certs.expired_kubelet("127.0.0.1"), "expired").await;
    check(certs.foreign.server(&["127.0.0.1"], Validity::Long), "UnknownIssuer").await;
}

#[tokio::test]
async fn kubectl_shows_nodes_pods_and_their_usage() {
    let (api, _backend) = api_server_with_backend().await;
    api.objects().apply(Resource::Nodes, [node("node-0", "127.0.0.1", 10250)]);
    api.objects().apply(Resource::Pods, [web_pod(0)]);
    let programs = kubectl::installed();
    if programs.is_empty() {
        println!("skipped: there is no kubectl on the search path, and $KUBECTL names none");
    }
    for program in programs {
        let kubectl = Kubectl::new(&program, &api, &admin(&api)).expect("a kubeconfig can be written");
        let check = async |args: &[&str], expected: &[&str]| {
            let output = kubectl.run(args).await.unwrap_or_else(|error| panic!("{error:#}"));
            let shown = format!("{} {args:?} prints {output:?}", program.display());
            expected.iter().for_each(|text| assert!(output.contains(text), "{shown}, without {text:?}"));
        };
        check(&["get", "--raw", NODES], &["NodeMetricsList", "156340379n"]).await;
        check(&["get", "nodes"], &["node-0"]).await;
        check(&["get", "pods", "-A"], &["shop", "web-000000"]).await;
        check(&["get", "nodes.metrics.k8s.io"], &["node-0"]).await;
        check(&["top", "nodes"], &["node-0", "157m", "1177Mi"]).await;
        check(&["top", "pods", "-A", "--containers"], &["shop", "web-000000", "app", "157m"]).await;
    }
}

#[tokio::test]
async fn a_fleet_is_seen_as_nodes_and_running_pods() {
    let api = api_server().await;
    let fleet = Fleet::start(FleetSpec { nodes: 2, pods_per_node: 3, ..FleetSpec::default() }, api.certs()).await;
    api.add_fleet(&fleet);
    let client = api.client(Some(&admin(&api)));
    let nodes = client.get("/api/v1/nodes", &[]).await.expect("a list comes").json();
    let ports: Vec<_> = fleet.nodes().iter().map(|node| u64::from(node.address.port())).collect();
    let pointer = "/status/daemonEndpoints/kubeletEndpoint/Port";
    let seen: Vec<_> = (0..2).filter_map(|index| nodes["items"][index].pointer(pointer)?.as_u64()).collect();
    assert_eq!(seen, ports);
    let running = "/api/v1/pods?fieldSelector=status.phase%3DRunning";
    let pods = client.get(running, &[]).await.expect("a list comes").json();
    assert_eq!(pods["items"].as_array().map(Vec::len), Some(6));
}

#[tokio::test]
async fn a_gateway_that_ends_before_it_is_ready_is_not_waited_for() {
    let api = api_server().await;
    let gateway = Gateway::start(&api, &["--no-such-flag"]).expect("the binary has been built");
    let error = gateway.wait_ready(PATIENCE).await.expect_err("an unknown flag ends it");
    assert!(error.to_string().contains("before it was ready"), "{error:#}");
    assert!(gateway.wait(PATIENCE).await.is_ok(), "it has ended");
}
