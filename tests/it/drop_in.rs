//! In metrics-server's place nobody notices a difference: the same arguments start it, the same paths answer, with the
//! figures that the kubelets gave, in the words that clients, probes and dashboards expect.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, LazyLock, Weak};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use harness::api_server::{ApiServer, MASTERS};
use harness::certs::Certs;
use harness::client::Client;
use harness::cluster::{Cluster, FIRST_USAGE, VERSIONS, items};
use harness::eventually::eventually;
use harness::fleet::{Fleet, FleetPod, FleetSpec};
use harness::gateway::{Caller, Gateway};
use harness::kubectl::{self, Kubectl};
use harness::table;
use http::{Method, StatusCode};
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use tokio::sync::Mutex;

/// Long enough for a list that was taken just before a tick to be taken again after it.
const PATIENCE: Duration = Duration::from_secs(30);

/// One cluster for all tests that only look: it takes two ticks to have usage. It outlives the runtime of no test, hence
/// this one; and it ends with the last test, hence the weak reference, since nobody drops what is static.
fn looking_at_a_cluster(test: impl AsyncFnOnce(&Cluster) -> Result<()>) -> Result<()> {
    static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().expect("the system has threads"));
    static CLUSTER: Mutex<Weak<Cluster>> = Mutex::const_new(Weak::new());
    RUNTIME.block_on(async {
        let mut shared = CLUSTER.lock().await;
        let cluster = match shared.upgrade() {
            Some(cluster) => cluster,
            None => {
                let started = Arc::new(Cluster::start(FleetSpec { nodes: 4, ..FleetSpec::default() }, &[]).await?);
                started.wait_for_usage().await?;
                *shared = Arc::downgrade(&started);
                started
            }
        };
        drop(shared);
        test(&cluster).await
    })
}

/// The nodes with their indices, and the pods, by the names under which the API has them.
fn pods(fleet: &Fleet) -> BTreeMap<(&str, &str), &FleetPod> {
    let pods = fleet.nodes().iter().flat_map(|node| &node.pods);
    pods.map(|pod| ((&*pod.namespace, &*pod.name), pod)).collect()
}

fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

fn names(items: &[Value]) -> Vec<&str> {
    items.iter().map(|item| text(item, "/metadata/name")).collect()
}

#[test]
fn every_node_is_served_with_what_its_kubelet_said() -> Result<()> {
    looking_at_a_cluster(async |cluster| {
        let nodes = cluster.fleet.nodes();
        for version in VERSIONS {
            let listed = items(cluster.get(&format!("{version}/nodes")).await?.json())?;
            assert_eq!(names(&listed), nodes.iter().map(|node| &*node.name).collect::<Vec<_>>());
            for (index, item) in listed.iter().enumerate() {
                cluster.fleet.check_node(index, item)?;
                let name = &nodes[index].name;
                let labels = json!({"kubernetes.io/hostname": name, "kubernetes.io/os": "linux"});
                assert_eq!(item["metadata"]["labels"], labels, "of {name}");
            }
        }
        Ok(())
    })
}

#[test]
fn every_pod_is_served_with_what_its_kubelet_said_of_each_container() -> Result<()> {
    looking_at_a_cluster(async |cluster| {
        let known = pods(&cluster.fleet);
        let check = |item: &Value| {
            let name = (text(item, "/metadata/namespace"), text(item, "/metadata/name"));
            let pod = known.get(&name).with_context(|| format!("there is no pod {name:?}"))?;
            assert_eq!(item["metadata"]["labels"], json!(pod.labels), "of {name:?}");
            cluster.fleet.check_pod(pod, item)
        };
        for version in VERSIONS {
            let listed = items(cluster.get(&format!("{version}/pods")).await?.json())?;
            let listed_names =
                listed.iter().map(|item| (text(item, "/metadata/namespace"), text(item, "/metadata/name")));
            assert_eq!(listed_names.collect::<Vec<_>>(), known.keys().copied().collect::<Vec<_>>(), "in this order");
            for item in &listed {
                check(item)?;
            }
        }
        Ok(())
    })
}

#[test]
fn a_list_of_a_namespace_is_that_part_of_the_list_of_all() -> Result<()> {
    looking_at_a_cluster(async |cluster| {
        let namespaces: BTreeSet<&str> = pods(&cluster.fleet).keys().map(|(namespace, _)| *namespace).collect();
        assert_eq!(namespaces.len(), 2);
        for version in VERSIONS {
            for namespace in &namespaces {
                same_at_one_moment(cluster, &format!("{version}/pods"), async |all| {
                    let mut part = cluster.get(&format!("{version}/namespaces/{namespace}/pods")).await?.json();
                    let is_in = |item: &Value| text(item, "/metadata/namespace") == *namespace;
                    let expected: Vec<Value> = items(all)?.into_iter().filter(is_in).collect();
                    Ok((without_creation(json!(expected)), without_creation(part["items"].take())))
                })
                .await?;
            }
        }
        Ok(())
    })
}

#[test]
fn an_object_alone_is_its_item_of_the_list_with_its_kind() -> Result<()> {
    looking_at_a_cluster(async |cluster| {
        for version in VERSIONS {
            for (list, kind) in [("nodes", "NodeMetrics"), ("pods", "PodMetrics")] {
                same_at_one_moment(cluster, &format!("{version}/{list}"), async |listed| {
                    let mut expected = items(listed)?;
                    let mut alone = Vec::new();
                    for item in &mut expected {
                        let (namespace, name) = (text(item, "/metadata/namespace"), text(item, "/metadata/name"));
                        let within =
                            if namespace.is_empty() { String::new() } else { format!("namespaces/{namespace}/") };
                        alone.push(cluster.get(&format!("{version}/{within}{list}/{name}")).await?.json());
                        item["kind"] = kind.into();
                        item["apiVersion"] = version.trim_start_matches("/apis/").into();
                    }
                    Ok((without_creation(json!(expected)), without_creation(json!(alone))))
                })
                .await?;
            }
        }
        Ok(())
    })
}

#[test]
fn both_versions_say_the_same() -> Result<()> {
    looking_at_a_cluster(async |cluster| {
        for list in ["nodes", "pods"] {
            same_at_one_moment(cluster, &format!("{}/{list}", VERSIONS[0]), async |mut first| {
                let second = cluster.get(&format!("{}/{list}", VERSIONS[1])).await?.json();
                assert_eq!(first["apiVersion"], "metrics.k8s.io/v1beta1");
                first["apiVersion"] = "metrics.k8s.io/v1".into();
                Ok((without_creation(first), without_creation(second)))
            })
            .await?;
        }
        Ok(())
    })
}

/// Compares what two requests say. Between them a node may have answered anew: then both are asked again.
async fn same_at_one_moment(
    cluster: &Cluster,
    path: &str,
    mut other: impl AsyncFnMut(Value) -> Result<(Value, Value)>,
) -> Result<()> {
    eventually("two answers from between two scrapes", PATIENCE, async || {
        let (expected, answered) = other(cluster.get(path).await?.json()).await?;
        ensure!(expected == answered, "expected {expected:#}, not {answered:#}");
        ensure!(expected != json!([]), "there is nothing to compare");
        Ok(())
    })
    .await
}

/// The time of the response stands in every object; two responses may be of two seconds.
fn without_creation(mut value: Value) -> Value {
    match &mut value {
        Value::Array(items) => items.iter_mut().for_each(|item| *item = without_creation(item.take())),
        Value::Object(object) => {
            object.remove("creationTimestamp");
            object.values_mut().for_each(|field| *field = without_creation(field.take()));
        }
        _ => {}
    }
    value
}

#[test]
fn selectors_pick_what_they_pick_in_kubernetes() -> Result<()> {
    looking_at_a_cluster(async |cluster| {
        let known = pods(&cluster.fleet);
        let all: Vec<&FleetPod> = known.values().copied().collect();
        let of = |is_picked: &dyn Fn(&FleetPod) -> bool| -> Vec<String> {
            all.iter().filter(|pod| is_picked(pod)).map(|pod| pod.name.clone()).collect()
        };
        let app = |pod: &FleetPod| pod.labels["app"].clone();
        let first = all[0];
        let in_namespace = format!("metadata.namespace={}", first.namespace);
        let exactly = format!("metadata.name={}", first.name);
        let cases = [
            ("labelSelector=app%3Dapi".to_owned(), of(&|pod| app(pod) == "api")),
            ("labelSelector=app%20in%20(api,web),app!%3Dweb".to_owned(), of(&|pod| app(pod) == "api")),
            ("labelSelector=app%20notin%20(api)".to_owned(), of(&|pod| app(pod) != "api")),
            ("labelSelector=pod-template-hash".to_owned(), of(&|_| true)),
            ("labelSelector=!app".to_owned(), Vec::new()),
            (format!("fieldSelector={exactly}"), of(&|pod| *pod == *first)),
            (format!("fieldSelector={in_namespace}"), of(&|pod| pod.namespace == first.namespace)),
            (format!("fieldSelector={exactly},{in_namespace}&labelSelector=app"), of(&|pod| *pod == *first)),
            ("limit=1".to_owned(), of(&|_| true)),
        ];
        for (query, expected) in cases {
            let picked = cluster.items(&format!("/pods?{query}")).await?;
            assert_eq!(names(&picked), expected, "{query}");
        }
        let nodes = cluster.items("/nodes?labelSelector=kubernetes.io/hostname=node-0002").await?;
        assert_eq!(names(&nodes), ["node-0002"]);
        assert_eq!(names(&cluster.items("/nodes?fieldSelector=metadata.name=node-0001").await?), ["node-0001"]);
        Ok(())
    })
}

/// Bodies of a real metrics-server; where they name nothing of its cluster, ours must be the same.
#[test]
fn what_cannot_be_had_is_refused_in_metrics_servers_words() -> Result<()> {
    looking_at_a_cluster(async |cluster| {
        let golden = [
            ("/nodes/nope", include_str!("../fixtures/golden/node-missing.json")),
            ("/namespaces/default/pods/nope", include_str!("../fixtures/golden/pod-missing.json")),
            ("/namespaces/nope/pods", include_str!("../fixtures/golden/pods-no-namespace.json")),
            ("/pods?labelSelector=%3D%3D", include_str!("../fixtures/golden/pods-bad-label.json")),
            ("/nodes?watch=true", include_str!("../fixtures/golden/nodes-watch.json")),
            ("/gadgets", include_str!("../fixtures/golden/unknown-resource.json")),
            ("", include_str!("../fixtures/golden/api-resource-list.json")),
        ];
        for (path, expected) in golden {
            let answer = cluster.get(&format!("{}{path}", VERSIONS[0])).await?;
            let expected: Value = serde_json::from_str(expected)?;
            let code = expected["code"].as_u64().unwrap_or(200);
            assert_eq!((u64::from(answer.status.as_u16()), answer.json()), (code, expected), "{path}");
        }
        Ok(())
    })
}

#[test]
fn a_method_that_changes_things_is_refused_in_metrics_servers_words() -> Result<()> {
    looking_at_a_cluster(async |cluster| {
        let expected: Value = serde_json::from_str(include_str!("../fixtures/golden/nodes-delete.json"))?;
        let admin = cluster.gateway.client(Some(&cluster.api.certs().user("admin", &[MASTERS])));
        for method in [Method::DELETE, Method::POST, Method::PUT, Method::PATCH] {
            let path = format!("{}/nodes", VERSIONS[0]);
            let answer = admin.request(method.clone(), &path, &[], harness::body::Body::empty()).await?;
            assert_eq!((answer.status.as_u16(), answer.json()), (405, expected.clone()), "{method}");
        }
        Ok(())
    })
}

#[test]
fn an_unknown_field_in_a_selector_is_a_bad_request() -> Result<()> {
    looking_at_a_cluster(async |cluster| {
        let answer = cluster.get(&format!("{}/pods?fieldSelector=spec.nodeName=x", VERSIONS[0])).await?;
        let message = answer.json()["message"].as_str().map(str::to_owned);
        let expected = r#""spec.nodeName" is not a known field selector: only "metadata.name", "metadata.namespace""#;
        assert_eq!((answer.status, message.as_deref()), (StatusCode::BAD_REQUEST, Some(expected)));
        Ok(())
    })
}

/// Word for word what metrics-server's own end-to-end suite compares.
const READY: &str = "[+]ping ok\n[+]log ok\n[+]poststarthook/max-in-flight-filter ok\n\
    [+]poststarthook/storage-object-count-tracker-hook ok\n[+]metric-storage-ready ok\n[+]metric-informer-sync ok\n\
    [+]metadata-informer-sync ok\n[+]shutdown ok\nreadyz check passed\n";
const ALIVE: &str = "[+]ping ok\n[+]log ok\n[+]poststarthook/max-in-flight-filter ok\n\
    [+]poststarthook/storage-object-count-tracker-hook ok\n[+]metric-collection-timely ok\n\
    [+]metadata-informer-sync ok\nlivez check passed\n";

#[test]
fn probes_say_what_metrics_servers_own_suite_compares() -> Result<()> {
    looking_at_a_cluster(async |cluster| {
        for (path, expected) in [("/readyz?verbose", READY), ("/livez?verbose", ALIVE), ("/healthz", "ok")] {
            let answer = cluster.get(path).await?;
            assert_eq!((answer.status, answer.text()), (StatusCode::OK, expected), "{path}");
        }
        Ok(())
    })
}

#[test]
fn probes_need_no_identity() -> Result<()> {
    looking_at_a_cluster(async |cluster| {
        for path in ["/readyz", "/livez", "/healthz"] {
            let answer = cluster.gateway.get(path, Caller::Anonymous).await?;
            assert_eq!((answer.status, answer.text()), (StatusCode::OK, "ok"), "{path}");
        }
        Ok(())
    })
}

/// metrics-server's own suite compares this set; whatever is ours has a prefix that it does not look at.
#[test]
fn metrics_server_has_six_families_and_ours_have_our_prefix() -> Result<()> {
    looking_at_a_cluster(async |cluster| {
        let text = cluster.gateway.metrics().await?;
        let families: BTreeMap<&str, &str> =
            text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' ')).collect();
        let upstreams: Vec<_> = families.iter().filter(|(name, _)| name.starts_with("metrics_server_")).collect();
        let expected = [
            ("metrics_server_api_metric_freshness_seconds", "histogram"),
            ("metrics_server_kubelet_last_request_time_seconds", "gauge"),
            ("metrics_server_kubelet_request_duration_seconds", "histogram"),
            ("metrics_server_kubelet_request_total", "counter"),
            ("metrics_server_manager_tick_duration_seconds", "histogram"),
            ("metrics_server_storage_points", "gauge"),
        ];
        assert!(upstreams.into_iter().map(|(name, kind)| (*name, *kind)).eq(expected), "{families:#?}");
        let strangers: Vec<_> = families
            .keys()
            .filter(|name| !["metrics_server_", "metrics_gateway_", "process_"].iter().any(|own| name.starts_with(own)))
            .collect();
        assert!(strangers.is_empty(), "{strangers:?}");
        assert!(text.contains("metrics_server_storage_points{type=\"node\"} 4\n"), "{text}");
        assert!(text.contains("metrics_server_storage_points{type=\"container\"} 32\n"), "{text}");
        Ok(())
    })
}

#[test]
fn kubectl_top_shows_the_usage_of_nodes_pods_and_containers() -> Result<()> {
    looking_at_a_cluster(async |cluster| {
        let programs = kubectl::installed();
        if programs.is_empty() {
            println!("skipped: there is no kubectl on the search path, and $KUBECTL names none");
        }
        cluster.api.available(PATIENCE).await?;
        for program in programs {
            let admin = cluster.api.certs().user("kubernetes-admin", &[MASTERS]);
            let kubectl = Kubectl::new(&program, &cluster.api, &admin)?;
            same_at_one_moment(cluster, &format!("{}/nodes", VERSIONS[0]), async |listed| {
                let shown = kubectl.run(&["top", "nodes", "--no-headers"]).await?;
                Ok((json!(columns_of_nodes(&items(listed)?)), json!(columns(&shown, &[0, 1, 3]))))
            })
            .await?;
            same_at_one_moment(cluster, &format!("{}/pods", VERSIONS[0]), async |listed| {
                let shown = kubectl.run(&["top", "pods", "-A", "--containers", "--no-headers"]).await?;
                Ok((json!(columns_of_containers(&items(listed)?)), json!(columns(&shown, &[0, 1, 2, 3, 4]))))
            })
            .await?;
        }
        Ok(())
    })
}

/// The lines of a table, sorted, with these columns.
fn columns(table: &str, wanted: &[usize]) -> BTreeSet<Vec<String>> {
    let row = |line: &str| -> Vec<String> {
        let cells: Vec<&str> = line.split_whitespace().collect();
        wanted.iter().filter_map(|index| cells.get(*index)).map(|cell| (*cell).to_owned()).collect()
    };
    table.lines().map(row).collect()
}

fn columns_of_nodes(nodes: &[Value]) -> BTreeSet<Vec<String>> {
    let row = |node: &Value| [vec![text(node, "/metadata/name").to_owned()], figures(&node["usage"])].concat();
    nodes.iter().map(row).collect()
}

fn columns_of_containers(pods: &[Value]) -> BTreeSet<Vec<String>> {
    let row = |pod: &Value, container: &Value| {
        let names = [text(pod, "/metadata/namespace"), text(pod, "/metadata/name"), text(container, "/name")];
        [names.map(str::to_owned).to_vec(), figures(&container["usage"])].concat()
    };
    let rows = |pod: &Value| -> Vec<Vec<String>> {
        pod["containers"].as_array().into_iter().flatten().map(|container| row(pod, container)).collect()
    };
    pods.iter().flat_map(rows).collect()
}

/// CPU and memory as kubectl prints them.
fn figures(usage: &Value) -> Vec<String> {
    let amount = |name: &str| usage[name].as_str().and_then(table::nanos).unwrap_or_default();
    vec![table::millicores(amount("cpu")), table::mebibytes(amount("memory"))]
}

#[tokio::test]
async fn the_arguments_of_the_stock_manifest_start_it() -> Result<()> {
    started_with(&[
        "--cert-dir=certs",
        "--kubelet-preferred-address-types=InternalIP,ExternalIP,Hostname",
        "--kubelet-use-node-status-port",
        "--metric-resolution=15s",
    ])
    .await
}

/// The chart's own, and those that its values `metrics.enabled` and `apiService.insecureSkipTLSVerify` bring.
#[tokio::test]
async fn the_arguments_of_the_helm_chart_start_it() -> Result<()> {
    started_with(&[
        "--cert-dir=certs",
        "--kubelet-preferred-address-types=InternalIP,ExternalIP,Hostname",
        "--kubelet-use-node-status-port",
        "--metric-resolution=15s",
        "--authorization-always-allow-paths=/metrics",
        "--kubelet-insecure-tls",
    ])
    .await
}

#[tokio::test]
async fn the_arguments_of_older_guides_start_it() -> Result<()> {
    started_with(&[
        "--cert-dir=certs",
        "--kubelet-preferred-address-types=InternalIP,ExternalIP,Hostname",
        "--kubelet-use-node-status-port",
        "--metric-resolution=15s",
        "--kubelet-insecure-tls",
        // Gone from metrics-server since, but still in people's manifests.
        "--logtostderr",
        "--stderrthreshold=2",
        "--v",
        "2",
    ])
    .await
}

/// Starts it with no arguments but these and those that say where things are, and waits for usage, over the certificate
/// that it makes itself.
async fn started_with(args: &[&str]) -> Result<()> {
    let api = ApiServer::start(Arc::new(Certs::generate())).await?;
    let fleet = Fleet::start(FleetSpec { nodes: 2, ..FleetSpec::default() }, api.certs()).await;
    api.add_fleet(&fleet);
    let gateway = Gateway::start_bare(&api, args)?;
    let certificate = gateway.directory().file("certs/apiserver.crt");
    let made =
        eventually("the self-signed certificate", PATIENCE, async || Ok(CertificateDer::from_pem_file(&certificate)?));
    let made = made.await.with_context(|| gateway.log())?;
    let mut roots = RootCertStore::empty();
    roots.add(made)?;
    let front_proxy = api.certs().front_proxy_client();
    let client = Client::new(gateway.address(), "localhost", Arc::new(roots), Some(&front_proxy));
    let headers = [("x-remote-user", "admin"), ("x-remote-group", MASTERS)];
    let usage = eventually("usage of both nodes", FIRST_USAGE, async || {
        let answer = client.get(&format!("{}/nodes", VERSIONS[0]), &headers).await?;
        ensure!(answer.status == StatusCode::OK, "{}: {}", answer.status, answer.text());
        let nodes = items(answer.json())?;
        ensure!(nodes.len() == 2, "{} nodes have usage", nodes.len());
        Ok(nodes)
    });
    let nodes = usage.await.with_context(|| gateway.log())?;
    nodes.iter().enumerate().try_for_each(|(index, item)| fleet.check_node(index, item))?;
    assert!(gateway.ended()?.is_none(), "it runs: {}", gateway.log());
    Ok(())
}
