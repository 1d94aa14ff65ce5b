//! How this gateway fares, as a whole: one document, from what is counted and remembered.
//!
//! In: nothing but the parts. Out: a [`GatewayList`] of one item, since a gateway can answer for no other. It is made at
//! each request: of 5,000 nodes and as many namespaces that takes some milliseconds, and no lock is held for longer than
//! it takes to copy what it guards.
//!
//! Absent on purpose: history, which is Prometheus' matter.

use std::collections::{BTreeMap, HashMap};

use super::explain::{generation, policy, time, window_name};
use super::{About, Parts};
use crate::generations::Snapshot;
use crate::model::Identities as _;
use crate::model::policy::{NoAddress, Standing};
use crate::model::units::UnixNanos;
use crate::report::status::{
    FailingNode, Freshness, Gateway, GatewayList, LIST, Latency, MOST_FAILING, MOST_OWNERS, NodePool, Nodes, Plugin,
    Quantiles, Refusal, Served, Tenant as TenantTold, Tick,
};
use crate::report::{API_VERSION, LONGEST_TEXT, line};
use crate::store::NamespaceCount;
use crate::telemetry::quantile::Spread;
use crate::tenants::{Tenant, Tenants};
use crate::tick::{Decision, NodeRecord};

/// As many problems of a refused generation as are told.
const MOST_PROBLEMS: usize = 20;

/// The one gateway that answers.
pub(super) fn list(parts: &Parts) -> GatewayList {
    GatewayList { kind: LIST.to_owned(), api_version: API_VERSION.to_owned(), items: vec![gateway(parts)] }
}

fn gateway(parts: &Parts) -> Gateway {
    let (now, tenants, told) = (parts.clock.now(), parts.tick.in_force(), parts.generations.snapshot());
    let About { name, started } = &parts.about;
    let counts = parts.store.namespace_counts();
    let metrics = &parts.metrics;
    let standings = standings(&tenants);
    let gauge = |gauge: &prometheus::IntGauge| u64::try_from(gauge.get()).unwrap_or(0);
    Gateway {
        name: name.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        time: time(now),
        started: time(*started),
        uptime_seconds: now.since(*started).as_secs(),
        resolution_seconds: parts.tick.config().resolution.as_secs_f64(),
        is_shutting_down: parts.shutdown.is_begun(),
        generation: generation(&tenants, &told),
        refusal: refusal(&told),
        nodes: nodes(parts),
        tenants: owners(parts, &tenants, &counts),
        node_pools: node_pools(parts, &tenants),
        plugins: plugins(parts, &told),
        policies: standings.iter().take(MOST_OWNERS).map(|standing| policy(standing, now)).collect(),
        latency: Latency {
            requests: quantiles(&Spread::of(&metrics.http_request_duration)),
            kubelets: quantiles(&Spread::of(&metrics.kubelet_request_duration)),
        },
        freshness: freshness(parts.store.node_times(), now),
        tick: tick(parts, now),
        served: Served {
            nodes: parts.store.node_points(),
            pods: counts.iter().map(|count| count.pods).sum(),
            containers: parts.store.container_points(),
        },
        memory_bytes: resident_memory(),
        connections: gauge(&metrics.http_connections),
        requests_in_flight: gauge(&metrics.http_in_flight),
    }
}

fn refusal(told: &Snapshot) -> Option<Refusal> {
    let refused = told.refusal.as_ref()?;
    let problems = refused.problems.iter().take(MOST_PROBLEMS).map(|problem| line(problem, LONGEST_TEXT));
    let (since, last) = (time(refused.since), time(refused.last));
    Some(Refusal { problems: problems.collect(), since, last, times: refused.times })
}

fn nodes(parts: &Parts) -> Nodes {
    let records: BTreeMap<_, NodeRecord> = parts.tick.records().into_iter().collect();
    let (mut by_outcome, mut failing) = (BTreeMap::<String, usize>::new(), Vec::new());
    let known = parts.cluster.nodes();
    for node in &known {
        let record = records.get(&node.name);
        let is_asked = parts.tick.config().nodes.matches(&node.labels);
        let outcome = if is_asked { outcome(record) } else { "excluded" };
        *by_outcome.entry(outcome.to_owned()).or_default() += 1;
        if let Some(trouble) = record.filter(|_| is_asked).and_then(|record| record.trouble.as_ref()) {
            failing.push((trouble.since, &node.name, trouble));
        }
    }
    failing.sort_by_key(|(since, name, _)| (*since, *name));
    let more_failing = failing.len().saturating_sub(MOST_FAILING);
    let failing = failing.into_iter().take(MOST_FAILING).map(|(since, name, trouble)| FailingNode {
        name: name.to_string(),
        reason: trouble.reason.to_owned(),
        text: line(&trouble.text, LONGEST_TEXT),
        since: time(since),
        times: trouble.times,
    });
    Nodes { total: known.len(), by_outcome, failing: failing.collect(), more_failing }
}

fn outcome(record: Option<&NodeRecord>) -> &'static str {
    let Some(record) = record else { return "pending" };
    match (&record.decision, &record.trouble) {
        (Some(Decision { candidates: Err(NoAddress::Skipped { .. }), .. }), _) => "skipped",
        (_, Some(trouble)) => trouble.reason,
        (_, None) if record.answered_at.is_some() => "answering",
        (_, None) => "pending",
    }
}

/// How all policies fare that may fail, in the order of gateway.toml.
fn standings(tenants: &Tenants) -> Vec<Standing> {
    let mut standings = Vec::new();
    for pool in &tenants.node_pools {
        standings.extend(pool.address.iter().filter_map(|address| address.standing()));
        standings.extend(pool.window.iter().filter_map(|window| window.standing()));
    }
    for tenant in tenants.tenants.iter().chain([&tenants.default]) {
        standings.extend(tenant.filter.iter().flat_map(|filter| filter.standings()));
        standings.extend(tenant.window.iter().filter_map(|window| window.standing()));
    }
    standings
}

fn owners(parts: &Parts, tenants: &Tenants, counts: &[NamespaceCount]) -> Vec<TenantTold> {
    // By place in memory: a generation does not move, and each namespace is matched once.
    let mut owned: HashMap<*const Tenant, (usize, usize)> = HashMap::new();
    for count in counts.iter().filter(|count| count.pods > 0) {
        let labels = parts.cluster.namespace_labels(&count.namespace);
        let owner = tenants.of_namespace(&count.namespace, labels.as_deref());
        let (namespaces, pods) = owned.entry(std::ptr::from_ref(owner)).or_default();
        (*namespaces, *pods) = (*namespaces + 1, *pods + count.pods);
    }
    let told = |tenant: &Tenant| {
        let (namespaces, pods) = owned.get(&std::ptr::from_ref(tenant)).copied().unwrap_or_default();
        let filters = tenant.filter.iter().flat_map(|filter| filter.standings());
        let window = tenant.window.as_ref().and_then(|window| window.standing());
        TenantTold {
            name: tenant.name.to_string(),
            namespaces,
            pods,
            filters: filters.map(|filter| filter.plugin.to_string()).collect(),
            window: window_name(window.as_ref()),
        }
    };
    tenants.tenants.iter().take(MOST_OWNERS).chain([&tenants.default]).map(told).collect()
}

fn node_pools(parts: &Parts, tenants: &Tenants) -> Vec<NodePool> {
    let mut counts: HashMap<*const crate::tenants::NodePool, usize> = HashMap::new();
    for pool in parts.cluster.nodes().iter().filter_map(|node| tenants.pool_of(node)) {
        *counts.entry(std::ptr::from_ref(pool)).or_default() += 1;
    }
    let told = |pool: &crate::tenants::NodePool| {
        let address = pool.address.as_ref().and_then(|address| address.standing());
        let window = pool.window.as_ref().and_then(|window| window.standing());
        NodePool {
            name: pool.name.to_string(),
            nodes: counts.get(&std::ptr::from_ref(pool)).copied().unwrap_or(0),
            address: address.map_or_else(|| "preferred (built in)".to_owned(), |address| address.plugin.to_string()),
            window: window_name(window.as_ref()),
        }
    };
    tenants.node_pools.iter().take(MOST_OWNERS).map(told).collect()
}

fn plugins(parts: &Parts, told: &Snapshot) -> Vec<Plugin> {
    use prometheus::core::Collector as _;
    let mut plugins: BTreeMap<String, Plugin> = BTreeMap::new();
    for (name, facts) in told.plugins.iter().take(MOST_OWNERS) {
        let digest = facts.sha256.iter().map(|byte| format!("{byte:02x}")).collect();
        let (title, version) = (line(&facts.name, LONGEST_TEXT), line(&facts.version, LONGEST_TEXT));
        let plugin = Plugin { name: name.to_string(), title, version, digest, ..Plugin::default() };
        plugins.insert(name.to_string(), plugin);
    }
    let metrics = &parts.metrics.plugins;
    for family in metrics.calls.collect().iter().chain(&metrics.cpu_seconds.collect()) {
        for metric in family.get_metric() {
            let label =
                |name| metric.get_label().iter().find(|pair| pair.name() == name).map_or("", |pair| pair.value());
            let Some(plugin) = plugins.get_mut(label("plugin")) else { continue };
            let value = metric.get_counter().get_value();
            match label("outcome") {
                "" => plugin.cpu_seconds += value,
                "ok" => plugin.answers += value as u64,
                kind => *plugin.failures.entry(kind.to_owned()).or_default() += value as u64,
            }
        }
    }
    plugins.into_values().collect()
}

fn quantiles(spread: &Spread) -> Quantiles {
    let [p50, p90, p99] = [0.5, 0.9, 0.99].map(|share| spread.quantile(share));
    Quantiles { count: spread.count, p50, p90, p99 }
}

fn freshness(mut times: Vec<UnixNanos>, now: UnixNanos) -> Freshness {
    times.sort_unstable();
    let age = |at: Option<&UnixNanos>| at.map(|at| now.since(*at).as_secs_f64());
    Freshness { median_seconds: age(times.get(times.len() / 2)), oldest_seconds: age(times.first()) }
}

fn tick(parts: &Parts, now: UnixNanos) -> Tick {
    let (began, last_node) = parts.tick.times();
    let told = |at: UnixNanos| (at > UnixNanos::ZERO).then(|| time(at));
    Tick { began: told(began), last_node: told(last_node), is_timely: parts.tick.is_timely(now) }
}

/// From the kernel; zero where it does not say.
fn resident_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let field = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kibibytes = field.and_then(|field| field.split_whitespace().next()?.parse::<u64>().ok());
    kibibytes.unwrap_or(0).saturating_mul(1024)
}
