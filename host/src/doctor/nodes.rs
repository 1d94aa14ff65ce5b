//! Each node: where its kubelet is asked, by which certificate it is known, and what it answers.
//!
//! In: Node objects, the gateway's settings, a way to kubelets. Out: a [`Sight`] for each node, made of what was seen on the
//! network; `judge` makes findings of them. Nodes are looked at a few at a time, each within the time limit. The
//! answer is that of the gateway's own client; the certificate is seen by a second connection, over which nothing is sent.
//!
//! From an operator's machine node addresses often lead nowhere. Where not one node can be connected to, the API server is
//! asked in our place, by its node proxy.

pub(super) mod judge;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use serde_json::Value;

use super::dial::{self, Chain, Stopped};
use super::kubelets::{Kubelets, Way};
use super::server::{Read, Server, items, text};
use super::settings::Settings;
use crate::discovery;
use crate::model::Node;
use crate::model::policy::{Candidate, NoAddress};
use crate::scrape::{Answer, NodeScraper, ScrapeError};

/// How many nodes are looked at at the same time: two connections each.
const AT_ONCE: usize = 16;

/// What was seen of one node.
pub(super) struct Sight {
    pub(super) node: Arc<Node>,
    /// By whom the address was chosen.
    pub(super) chooser: String,
    pub(super) candidates: Result<Vec<Candidate>, NoAddress>,
    /// The certificate at the first candidate, or how far it got; None: it was not looked at.
    pub(super) look: Option<Result<Chain, Stopped>>,
    pub(super) answer: Seen,
}

/// What came of asking.
pub(super) enum Seen {
    /// The kubelet's answer, to us.
    Direct(Result<Answer, ScrapeError>),
    /// The kubelet's answer, to the API server; and why it was asked by that.
    Proxied(Read<Vec<u8>>),
    /// It was not asked.
    NotAsked,
}

/// The nodes that the gateway would ask, and those among the objects that cannot be read.
pub(super) fn read(objects: Vec<Value>, settings: &Settings) -> Vec<Arc<Node>> {
    let nodes = objects.into_iter().filter_map(|object| discovery::nodes::read(object).ok());
    nodes.filter(|node| settings.config.scrape.nodes.matches(&node.labels)).map(Arc::new).collect()
}

/// Looks at all of them. The second value says why the API server was asked in our place, if it was.
pub(super) async fn gather(
    server: &Server,
    nodes: &[Arc<Node>],
    settings: &Settings,
    kubelets: &Kubelets,
    limit: Duration,
) -> (Vec<Sight>, Option<String>) {
    let sights = nodes.iter().map(|node| see(node, settings, kubelets, limit));
    let mut sights: Vec<Sight> = futures_util::stream::iter(sights).buffered(AT_ONCE).collect().await;
    let why = match &kubelets.way {
        Way::Proxy(why) => Some(why.clone()),
        // With the gateway's own credentials we stand in its place, and what it cannot reach is a failure.
        Way::Direct(_) if !kubelets.are_its_own && are_out_of_reach(&sights) => {
            Some("no node can be connected to from here".to_owned())
        }
        Way::Direct(_) => None,
    };
    if why.is_some() {
        let names: Vec<String> = sights.iter().map(|sight| sight.node.name.to_string()).collect();
        let asked = names.iter().map(|name| ask_by_proxy(server, name));
        let answers: Vec<Read<Vec<u8>>> = futures_util::stream::iter(asked).buffered(AT_ONCE).collect().await;
        for (sight, answer) in sights.iter_mut().zip(answers) {
            if sight.candidates.is_ok() {
                sight.answer = Seen::Proxied(answer);
            }
        }
    }
    (sights, why)
}

async fn ask_by_proxy(server: &Server, node: &str) -> Read<Vec<u8>> {
    server.get_text(&format!("/api/v1/nodes/{node}/proxy/metrics/resource")).await
}

async fn see(node: &Arc<Node>, settings: &Settings, kubelets: &Kubelets, limit: Duration) -> Sight {
    let pool = settings.tenants.pool_of(node).filter(|pool| pool.address.is_some());
    let chooser = pool.map_or_else(|| "built-in preference".to_owned(), |pool| format!("node pool {:?}", pool.name));
    let candidates = settings.tenants.of_node(node).address.candidates(node);
    let mut sight = Sight { node: Arc::clone(node), chooser, candidates, look: None, answer: Seen::NotAsked };
    let Ok([first, ..]) = sight.candidates.as_deref() else { return sight };
    let looking = async {
        if kubelets.is_plain {
            return None;
        }
        Some(dial::look(&first.host, first.port, expected_name(first, kubelets), limit).await)
    };
    let asking = async {
        let Way::Direct(client) = &kubelets.way else { return Seen::NotAsked };
        let mut scraper = NodeScraper::new(Arc::clone(client), Arc::clone(node));
        scraper.update(Arc::clone(node), sight.candidates.clone());
        Seen::Direct(scraper.scrape().await)
    };
    (sight.look, sight.answer) = futures_util::future::join(looking, asking).await;
    sight
}

/// The name that the certificate has to bear.
pub(super) fn expected_name<'a>(candidate: &'a Candidate, kubelets: &'a Kubelets) -> &'a str {
    candidate.server_name.as_deref().or(kubelets.server_name.as_deref()).unwrap_or(&candidate.host)
}

/// Whether not one kubelet can be connected to, for want of a way: what a laptop sees of most clusters.
fn are_out_of_reach(sights: &[Sight]) -> bool {
    let mut dialled = sights.iter().filter(|sight| sight.candidates.is_ok()).peekable();
    dialled.peek().is_some() && dialled.all(is_out_of_reach)
}

fn is_out_of_reach(sight: &Sight) -> bool {
    use std::io::ErrorKind::{HostUnreachable, NetworkUnreachable, TimedOut};
    match &sight.look {
        Some(Err(Stopped::ConnectTimeout)) => true,
        Some(Err(Stopped::Connect(error))) => [TimedOut, HostUnreachable, NetworkUnreachable].contains(&error.kind()),
        // Names of nodes are often known inside the cluster only.
        Some(Err(Stopped::Name(_))) => true,
        _ => false,
    }
}

/// The requests for kubelet serving certificates that nobody has answered, by node.
pub(super) async fn pending_requests(server: &Server) -> Read<BTreeMap<String, Vec<String>>> {
    let query = "fieldSelector=spec.signerName%3Dkubernetes.io%2Fkubelet-serving";
    let all = server.list("/apis/certificates.k8s.io/v1/certificatesigningrequests", query).await?;
    let mut pending: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for request in &all {
        let is_for_serving = text(request, "/spec/signerName") == "kubernetes.io/kubelet-serving";
        let is_open = items(request, "/status/conditions").is_empty();
        let node = text(request, "/spec/username").strip_prefix("system:node:");
        if let (true, true, Some(node)) = (is_for_serving, is_open, node) {
            pending.entry(node.to_owned()).or_default().push(text(request, "/metadata/name").to_owned());
        }
    }
    Ok(pending)
}
