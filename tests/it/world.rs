//! The cluster of the conformance table, which other promises use as well: nodes `node0` (zone=z0), `node1` (z1) and `node2` (z0); pods `web-0`, `-2` and `-4` in
//! `default`, `-1` and `-3` in `kube-system`, all with the label app=web and the containers `app` and `side`. Everybody
//! who is known may do everything, but `nobody` may nothing, and `reasoned` is told why not.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::{Result, ensure};
use harness::api_server::{AUTHENTICATED, AccessRequest, ApiServer, Decision, MASTERS, Resource, objects};
use harness::certs::{Certs, GATEWAY_HOST, Pair};
use harness::client::{Answer, Client};
use harness::eventually::eventually;
use harness::fleet::{Fleet, FleetPod, FleetSpec};
use harness::gateway::Gateway;
use http::{Method, StatusCode};
use serde_json::Value;
use tokio::runtime::Runtime;

/// The path of the version that everybody knows.
pub(crate) const B: &str = "/apis/metrics.k8s.io/v1beta1";
/// Long enough for anything that comes at all.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A cluster and its gateway.
pub(crate) struct World {
    pub(crate) gateway: Gateway,
    pub(crate) api: ApiServer,
    pub(crate) fleet: Option<Fleet>,
}

/// The cluster that all tests share which only ask. It is up when it is returned, with usage of every object.
pub(crate) fn shared() -> &'static World {
    // Tests have a runtime each; what outlives a test needs one of its own.
    static SHARED: OnceLock<(Runtime, World)> = OnceLock::new();
    let start = || {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let runtime = runtime.expect("the system has threads");
        let world = runtime.block_on(World::start(&[]));
        world.gateway.end_with_this_process().expect("there is a shell");
        (runtime, world)
    };
    // A thread of its own: within a runtime no other can be waited for.
    let (_, world) = SHARED.get_or_init(|| std::thread::spawn(start).join().expect("the shared cluster starts"));
    world
}

impl World {
    /// The cluster of the table, with usage of every object.
    pub(crate) async fn start(args: &[&str]) -> Self {
        let api = api_server().await;
        let named = named();
        let spec = FleetSpec { nodes: named.len(), named, ..FleetSpec::default() };
        let fleet = Fleet::start(spec, api.certs()).await;
        api.add_fleet(&fleet);
        for (node, zone) in fleet.nodes().iter().zip(["z0", "z1", "z0"]) {
            let mut object = objects::node(&node.name, "127.0.0.1", node.address.port());
            object["metadata"]["labels"]["zone"] = zone.into();
            api.objects().apply(Resource::Nodes, [object]);
        }
        let gateway = Gateway::start(&api, args).expect("the binary has been built");
        let world = Self { gateway, api, fleet: Some(fleet) };
        let counted = eventually("usage of everything", PATIENCE, async || {
            let (nodes, pods) = (world.count("nodes").await?, world.count("pods").await?);
            ensure!((nodes, pods) == (3, 5), "{nodes} nodes and {pods} pods have usage");
            Ok(())
        });
        counted.await.unwrap_or_else(|error| panic!("{error:#}; the log is:\n{}", world.gateway.log()));
        world
    }

    /// A cluster without nodes, in which the gateway answers: for what has nothing to do with usage.
    pub(crate) async fn bare(args: &[&str]) -> Self {
        let api = api_server().await;
        let gateway = Gateway::start(&api, args).expect("the binary has been built");
        let world = Self { gateway, api, fleet: None };
        let admin = world.admin();
        let synced = eventually("an answer of the gateway", PATIENCE, async || {
            let answer = world.client(Some(&admin)).get(&format!("{B}/nodes"), &[]).await?;
            ensure!(answer.status == StatusCode::OK, "{}", answer.status);
            Ok(())
        });
        synced.await.unwrap_or_else(|error| panic!("{error:#}; the log is:\n{}", world.gateway.log()));
        world
    }

    async fn count(&self, list: &str) -> Result<usize> {
        let answer = self.client(Some(&self.admin())).get(&format!("{B}/{list}"), &[]).await?;
        ensure!(answer.status == StatusCode::OK, "{list}: {}", answer.status);
        Ok(answer.json()["items"].as_array().map_or(0, Vec::len))
    }

    pub(crate) fn certs(&self) -> &Certs {
        self.api.certs()
    }

    /// P: the front proxy's pair.
    pub(crate) fn front_proxy(&self) -> Pair {
        self.certs().front_proxy_client()
    }

    /// A: an administrator's pair.
    pub(crate) fn admin(&self) -> Pair {
        self.certs().user("admin", &[MASTERS])
    }

    /// X: a pair that nobody here vouches for.
    pub(crate) fn stranger(&self) -> Pair {
        self.certs().foreign.client("stranger", &[MASTERS])
    }

    /// A client with connections of its own, so that it can be used in any test's runtime.
    pub(crate) fn client(&self, identity: Option<&Pair>) -> Client {
        Client::new(self.gateway.address(), GATEWAY_HOST, self.certs().cluster.roots(), identity)
    }

    /// As [`World::client`], offering only this protocol.
    pub(crate) fn client_speaking(&self, protocol: &str, identity: Option<&Pair>) -> Client {
        let roots = self.certs().cluster.roots();
        Client::with_protocols(self.gateway.address(), GATEWAY_HOST, roots, identity, &[protocol])
    }

    /// GETs `path` as the owner of `identity`.
    pub(crate) async fn get(&self, identity: Option<&Pair>, path: &str, headers: &[(&str, &str)]) -> Answer {
        let headers: Vec<_> = headers.iter().copied().chain([("user-agent", "test/1")]).collect();
        let answer = self.client(identity).get(path, &headers).await;
        answer.unwrap_or_else(|error| panic!("{path}: {error:#}; the log is:\n{}", self.gateway.log()))
    }

    /// GETs `path` as an administrator.
    pub(crate) async fn ask(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        self.get(Some(&self.admin()), path, headers).await
    }

    /// GETs `path` through the front proxy for `user`, with further headers.
    pub(crate) async fn ask_for(&self, user: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
        let headers: Vec<_> = [("x-remote-user", user)].into_iter().chain(headers.iter().copied()).collect();
        self.get(Some(&self.front_proxy()), path, &headers).await
    }

    /// Sends another method than GET, as an administrator.
    pub(crate) async fn send(&self, method: &str, path: &str) -> Answer {
        let method = Method::from_bytes(method.as_bytes()).expect("a method");
        let answer = self.client(Some(&self.admin())).request(method, path, &[], harness::body::Body::empty()).await;
        answer.expect("an answer comes")
    }

    /// What the API server was asked about a user's permissions.
    pub(crate) fn reviews_of(&self, user: &str) -> Vec<AccessRequest> {
        self.api.access().access_reviews().into_iter().filter(|review| review.user.name == user).collect()
    }
}

async fn api_server() -> ApiServer {
    let api = ApiServer::start(Arc::new(Certs::generate())).await.expect("loopback has a free port");
    api.access().set_rule(|request| match &*request.user.name {
        "nobody" => Decision::NoOpinion(String::new()),
        "reasoned" => Decision::NoOpinion("custom reason".to_owned()),
        _ if request.user.groups.iter().any(|group| group == AUTHENTICATED) => Decision::Allow,
        _ => Decision::NoOpinion(String::new()),
    });
    api
}

/// The nodes and what runs on them.
fn named() -> Vec<(String, Vec<FleetPod>)> {
    let pod = |index: usize| FleetPod {
        namespace: if index.is_multiple_of(2) { "default" } else { "kube-system" }.to_owned(),
        name: format!("web-{index}"),
        labels: BTreeMap::from([("app".to_owned(), "web".to_owned())]),
        containers: vec!["app".to_owned(), "side".to_owned()],
    };
    let node = |name: &str, pods: &[usize]| (name.to_owned(), pods.iter().map(|index| pod(*index)).collect());
    vec![node("node0", &[0, 1]), node("node1", &[2, 3]), node("node2", &[4])]
}

/// The names of a list's items, in its order.
pub(crate) fn names(list: &Value) -> Vec<&str> {
    let items = list["items"].as_array().unwrap_or_else(|| panic!("no items: {list}"));
    items.iter().filter_map(|item| item["metadata"]["name"].as_str()).collect()
}

/// That the answer is a failure's Status of this code and reason; its message is returned.
pub(crate) fn status_of(answer: &Answer, code: u16, reason: &str) -> String {
    let shown = String::from_utf8_lossy(&answer.body);
    assert_eq!(answer.status.as_u16(), code, "{shown}");
    let status = answer.json();
    let expected = serde_json::json!(["Status", "v1", "Failure", reason, code]);
    let seen = ["kind", "apiVersion", "status", "reason", "code"].map(|field| status[field].clone());
    assert_eq!(Value::from(seen.to_vec()), expected, "{shown}");
    status["message"].as_str().unwrap_or_else(|| panic!("no message: {shown}")).to_owned()
}
