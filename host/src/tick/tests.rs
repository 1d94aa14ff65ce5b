use std::num::NonZeroUsize;

use proptest::prelude::*;

use super::*;
use crate::config::{ContainerOrder, FallingCounter, HistoryConfig, KubeletTls, PodOnTwoNodes};
use crate::model::policy::PreferredAddresses;
use crate::model::selector::LabelSelector;
use crate::scrape::kubelet::{ClientOptions, Credentials};
use crate::store::Rules;

#[test]
fn replicas_agree_on_a_nodes_moment() {
    // Fixed figures: a change here makes old and new replicas disagree while a rolling update lasts.
    assert_eq!(format!("{:.6} {:.6}", phase("node1"), phase("node2")), "0.710416 0.076266");
}

#[test]
fn first_requests_are_spread_over_at_most_four_seconds() {
    assert_eq!(first_delay(1), Duration::from_millis(8));
    assert_eq!(first_delay(100), Duration::from_millis(800));
    assert_eq!(first_delay(5_000), Duration::from_secs(4));
}

proptest! {
    #[test]
    fn every_node_has_its_moment_within_the_first_nine_tenths(name in ".{0,40}") {
        prop_assert!((0.0..=0.9).contains(&phase(&name)));
    }

    #[test]
    fn moments_are_one_resolution_apart_and_keep_their_phase(
        time in 1_600_000_000_000_000_000u64..1_900_000_000_000_000_000,
        phase_millis in 0u64..15_000,
    ) {
        let (phase, resolution) = (Duration::from_millis(phase_millis), Duration::from_secs(15));
        let first = moment_after(UnixNanos(time), phase, resolution);
        prop_assert!(first > UnixNanos(time));
        prop_assert!(first.since(UnixNanos(time)) <= resolution);
        prop_assert_eq!((first.0 - nanos(phase)) % nanos(resolution), 0);
        prop_assert_eq!(moment_after(first, phase, resolution).since(first), resolution);
    }
}

/// A tick over an empty cluster, and what offers it generations.
fn idle() -> (Arc<Tick>, watch::Sender<Arc<Tenants>>) {
    let addresses = PreferredAddresses { kinds: Vec::new(), use_node_status_port: true, port: 1, try_all: true };
    let (offer, tenants) = watch::channel(Arc::new(Tenants::upstream(addresses.clone())));
    let resolution = Duration::from_secs(15);
    let options = ClientOptions {
        timeout: resolution,
        max_body: 1,
        gzip: false,
        user_agent: http::HeaderValue::from_static("test"),
    };
    let history = HistoryConfig {
        hold: resolution,
        falling_counter: FallingCounter::OmitPod,
        pod_on_two_nodes: PodOnTwoNodes::NewestStart,
        timestamp: TimestampOf::Cpu,
    };
    let parts = Parts {
        cluster: Arc::new(Cluster::new()),
        client: Arc::new(KubeletClient::try_new(options, Credentials::Plain).unwrap()),
        tenants,
        store: Arc::new(Store::new(Rules { history, container_order: ContainerOrder::ByName, resolution })),
        metrics: Arc::new(Metrics::new(resolution)),
        clock: Clock::new(|| UnixNanos(1)),
        tasks: TaskTracker::new(),
    };
    let config = ScrapeConfig {
        resolution,
        timeout: resolution,
        nodes: LabelSelector::parse("").unwrap(),
        addresses,
        tls: KubeletTls::Plain,
        concurrency: NonZeroUsize::new(1).unwrap(),
        max_body: 1,
        gzip: false,
    };
    (Arc::new(Tick::new(parts, config, TimestampOf::Cpu)), offer)
}

/// Offers the next generation.
fn offer(offer: &watch::Sender<Arc<Tenants>>, needs_namespace_labels: bool) {
    offer.send_modify(|tenants| {
        let next = Tenants::upstream((*tenants.addresses).clone());
        *tenants = Arc::new(Tenants { generation: tenants.generation + 1, needs_namespace_labels, ..next });
    });
}

#[tokio::test(start_paused = true)]
async fn a_generation_that_needs_the_labels_of_namespaces_waits_for_them_but_not_for_ever() {
    let (tick, sender) = idle();
    let mut offered = sender.subscribe();
    let generation = || tick.in_force.borrow().generation;
    let begun = Instant::now();
    offer(&sender, true);
    tick.adopt(&mut offered).await;
    assert_eq!((generation(), begun.elapsed()), (2, PATIENCE), "the API server does not answer");

    tick.parts.cluster.tell_namespace_labels_synced();
    offer(&sender, true);
    tick.adopt(&mut offered).await;
    offer(&sender, false);
    tick.adopt(&mut offered).await;
    assert_eq!((generation(), begun.elapsed()), (4, PATIENCE), "no further wait");
}

#[tokio::test(start_paused = true)]
async fn the_labels_of_namespaces_are_wanted_before_a_generation_needs_them_and_until_none_does() {
    let (tick, sender) = idle();
    let stop = CancellationToken::new();
    let tasks = &tick.parts.tasks;
    tasks.spawn(Arc::clone(&tick).run(stop.clone()));
    let mut in_force = tick.in_force.subscribe();
    let mut wanted = tick.parts.cluster.namespace_labels_wanted();
    offer(&sender, true);
    wanted.wait_for(|wanted| *wanted).await.unwrap();
    assert_eq!(in_force.borrow().generation, 1, "it is asked for first");
    in_force.wait_for(|tenants| tenants.generation == 2).await.unwrap();
    offer(&sender, false);
    wanted.wait_for(|wanted| !*wanted).await.unwrap();
    assert_eq!(in_force.borrow().generation, 3, "nobody needs them any more");
    stop.cancel();
    tasks.close();
    tasks.wait().await;
}
