//! One pod, as the API server knows it: for explanations of pods that are not served.

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use k8s_openapi::api::core::v1::Pod;
use kube::Client;
use kube::api::{Api, ListParams};

use crate::api::explain::{PodFacts, PodLookup};
use crate::model::PodRef;

/// Asks by the gateway's right to list pods, which it has for its watch; to get one would take another.
pub(super) struct KubePods(Client);

impl KubePods {
    pub(super) fn new(client: Client) -> Self {
        Self(client)
    }
}

impl PodLookup for KubePods {
    fn look_up<'a>(&'a self, pod: PodRef<'a>) -> BoxFuture<'a, Result<Option<PodFacts>, String>> {
        async move {
            let pods: Api<Pod> = Api::namespaced(self.0.clone(), pod.namespace);
            let by_name = ListParams::default().fields(&format!("metadata.name={}", pod.name)).limit(1);
            let found = pods.list(&by_name).await.map_err(|error| error.to_string())?;
            Ok(found.items.into_iter().next().map(|pod| PodFacts {
                is_terminating: pod.metadata.deletion_timestamp.is_some(),
                phase: pod.status.and_then(|status| status.phase).unwrap_or_else(|| "Unknown".to_owned()),
                node: pod.spec.and_then(|spec| spec.node_name).filter(|node| !node.is_empty()),
            }))
        }
        .boxed()
    }
}
