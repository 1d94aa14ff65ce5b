//! `explain` says why a pod or node is served as it is, or is not: by one reason, the right one, to those alone who may ask
//! about that object; and what upstream's discovery says stays as it was.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use harness::api_server::{Decision, Resource, User, objects};
use harness::directory::Directory;
use harness::eventually::eventually;
use harness::fleet::Fault;
use harness::gateway::{Caller, binary};
use harness::guest;
use http::StatusCode;
use serde_json::Value;

use crate::world::{B, PATIENCE, World, shared, status_of};

/// Guests that the configurations of this file name.
const GUESTS: [&str; 4] = ["drop-named", "drop-all", "window-of-nothing", "skip-node"];

/// A cluster whose gateway follows a gateway.toml, without policies at first.
struct Explained {
    world: World,
    directory: Directory,
}

impl Explained {
    async fn start() -> Result<Self> {
        let directory = Directory::new("metrics-gateway-explain")?;
        for name in GUESTS {
            std::fs::write(directory.file(&format!("{name}.wasm")), guest::load(name))?;
        }
        std::fs::write(directory.file("gateway.toml"), "")?;
        let config = format!("--config={}", directory.file("gateway.toml").display());
        Ok(Self { world: World::start(&[&config]).await, directory })
    }

    /// Puts policies in force: the plugins are declared, the rest is given.
    fn configure(&self, policies: &str) -> Result<()> {
        let plugins: String =
            GUESTS.iter().map(|name| format!("[plugins.{name}]\nsource = \"{name}.wasm\"\n")).collect();
        let aside = self.directory.file("gateway.new");
        std::fs::write(&aside, plugins + policies)?;
        Ok(std::fs::rename(aside, self.directory.file("gateway.toml"))?)
    }

    /// Waits for an explanation of this state and reason.
    async fn until(&self, object: &str, state: &str, reason: Option<&str>) -> Result<Value> {
        eventually(&format!("{object} {state} for {reason:?}"), PATIENCE, async || {
            let told = explained(&self.world, object).await?;
            ensure!((told["state"].as_str(), told["reason"].as_str()) == (Some(state), reason), "{told:#}");
            Ok(told)
        })
        .await
        .with_context(|| self.world.gateway.log())
    }
}

async fn explained(world: &World, object: &str) -> Result<Value> {
    let answer = world.ask(&format!("{B}/{object}/explain"), &[]).await;
    ensure!(answer.status == StatusCode::OK, "{}: {}", answer.status, answer.text());
    Ok(answer.json())
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

const WEB_0: &str = "namespaces/default/pods/web-0";
const WEB_1: &str = "namespaces/kube-system/pods/web-1";
const WEB_2: &str = "namespaces/default/pods/web-2";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_pod_is_explained_by_what_became_of_it() -> Result<()> {
    let explained = Explained::start().await?;

    // With policies: a container is dropped, a pod is withheld, and who did so is named.
    explained.configure(
        "[[tenant]]\nname = \"shop\"\nnamespaces = [\"defau*\"]\nfilter = [{ plugin = \"drop-named\", settings = { name = \
         \"side\" } }]\n[[tenant]]\nname = \"system\"\nnamespaces = [\"kube-system\"]\nwindow = \"window-of-nothing\"\n",
    )?;
    let told = explained.until(WEB_1, "missing", Some("withheld")).await?;
    assert!(text(&told["text"]).contains("window policy \"window-of-nothing\" serves nothing"), "{told:#}");
    assert_eq!((text(&told["tenant"]["name"]), text(&told["tenant"]["window"])), ("system", "window-of-nothing"));
    let told = explained.until(WEB_0, "served", None).await?;
    assert_eq!(text(&told["tenant"]["because"]), "its namespaces have the pattern \"defau*\"");
    assert_eq!(told["generation"]["number"], 2);
    let [app, side] = [&told["containers"][0], &told["containers"][1]];
    assert_eq!((text(&app["name"]), text(&app["filters"][0]["said"])), ("app", "keep"));
    assert_eq!(
        (text(&side["filters"][0]["said"]), text(&side["missing"]), &side["usage"]),
        ("drop", "dropped", &Value::Null)
    );
    let served = explained.world.ask(&format!("{B}/{WEB_0}"), &[]).await.json();
    assert_eq!(app["usage"], served["containers"][0]["usage"], "the API's own figures");

    // Nothing is left of a pod.
    explained.configure("[default]\nfilter = [\"drop-all\"]\n")?;
    let told = explained.until(WEB_0, "missing", Some("dropped")).await?;
    assert!(text(&told["text"]).contains("filter \"drop-all\" drops container \"app\""), "{told:#}");
    assert_eq!(text(&told["tenant"]["because"]), "no tenant owns it");

    // A node that its policy skips, and then has only one sample of.
    explained.configure("[[node_pool]]\nname = \"odd\"\nselector = \"zone=z1\"\naddress = \"skip-node\"\n")?;
    let told = explained.until("nodes/node1", "missing", Some("node-skipped")).await?;
    assert_eq!((text(&told["node"]["pool"]), text(&told["node"]["state"])), ("odd", "skipped"));
    explained.until(WEB_2, "missing", Some("node-skipped")).await?;
    explained.configure("")?;
    let told = explained.until(WEB_2, "missing", Some("waiting")).await?;
    assert!(text(&told["text"]).contains("waits for a second sample"), "{told:#}");
    assert_eq!(told["containers"][0]["samples"]["count"], 1);
    explained.until(WEB_2, "served", None).await?;

    // A node that fails: what was served is held, and then missing.
    let fleet = explained.world.fleet.as_ref().context("the world has a fleet")?;
    fleet.set_fault(1, Some(Fault::Refused));
    let told = explained.until(WEB_2, "held", Some("node-failing")).await?;
    assert!(told["heldUntil"].is_string() && told["served"].is_object(), "{told:#}");
    assert_eq!((text(&told["node"]["reason"]), text(&told["node"]["state"])), ("connect", "failing"));
    explained.until("nodes/node1", "held", Some("node-failing")).await?;
    let told = explained.until(WEB_2, "missing", Some("node-failing")).await?;
    assert!(text(&told["text"]).contains("(connect)"), "{told:#}");

    let (code, stdout, stderr) = run(&explained.world, "explain pod default/web-2").await?;
    assert_eq!(code, Some(1), "{stderr}");
    assert!(stdout.starts_with("pod default/web-2: MISSING (node-failing)\n"), "{stdout}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pods_that_are_no_running_ones_are_told_apart() -> Result<()> {
    let world = World::start(&[]).await;
    let pod = |name: &str, node: &str| objects::pod("default", name, &Default::default(), node, &["app".to_owned()]);
    let mut pending = pod("pending", "node0");
    pending["status"]["phase"] = "Pending".into();
    let elsewhere = pod("elsewhere", "node9");
    world.api.objects().apply(Resource::Pods, [pending, pod("silent", "node0"), elsewhere]);
    let reason = async |name: &str| -> Result<String> {
        eventually("the watch tells of it", PATIENCE, async || {
            let told = explained(&world, &format!("namespaces/default/pods/{name}")).await?;
            ensure!(told["state"] == "missing" && told["reason"] != "not-told", "{told:#}");
            Ok(text(&told["reason"]).to_owned())
        })
        .await
    };
    assert_eq!(reason("pending").await?, "not-running");
    assert_eq!(reason("silent").await?, "not-in-answer");
    assert_eq!(reason("elsewhere").await?, "node-unknown");
    for path in ["namespaces/default/pods/nobody", "namespaces/default/pods/no%2Fname%3F", "nodes/node9"] {
        status_of(&world.ask(&format!("{B}/{path}/explain"), &[]).await, 404, "NotFound");
    }
    // A pod that the API server deletes is gone from the cluster, and for a while not from its node.
    world.api.objects().delete(Resource::Pods, "default", "web-4");
    assert_eq!(reason("web-4").await?, "no-such-pod");
    // Without the API server the gateway says what it knows itself.
    world.api.stop().await;
    let masters = User::new("admin", &["system:masters"]);
    let answer =
        world.gateway.get(&format!("{B}/namespaces/default/pods/silent/explain"), Caller::FrontProxy(&masters)).await?;
    let told = answer.json();
    assert_eq!(told["reason"], "no-node", "{told:#}");
    assert!(text(&told["notes"][0]).starts_with("the API server could not be asked about the pod"), "{told:#}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_may_explain_pods_of_one_namespace_may_not_those_of_another() -> Result<()> {
    let world = World::start(&[]).await;
    world.api.access().set_rule(|request| {
        let is_theirs = (&*request.resource, &*request.subresource, &*request.verb) == ("pods", "explain", "get")
            && request.namespace == "default"
            && request.name == "web-0";
        if request.user.name == "viewer" && !is_theirs { Decision::NoOpinion(String::new()) } else { Decision::Allow }
    });
    let ask = async |path: &str| world.ask_for("viewer", &format!("{B}/{path}"), &[]).await;
    assert_eq!(ask(&format!("{WEB_0}/explain")).await.status, StatusCode::OK);
    for path in [WEB_1, "nodes/node0", "namespaces/default/pods/web-2"] {
        status_of(&ask(&format!("{path}/explain")).await, 403, "Forbidden");
    }
    status_of(&ask("gateways").await, 403, "Forbidden");
    status_of(&ask(WEB_0).await, 403, "Forbidden");
    let reviews = world.reviews_of("viewer");
    let asked = |resource: &str, subresource: &str, verb: &str| {
        let is_it = |it: &&harness::api_server::AccessRequest| {
            (&*it.resource, &*it.subresource, &*it.verb, &*it.group) == (resource, subresource, verb, "metrics.k8s.io")
        };
        reviews.iter().any(|review| is_it(&review))
    };
    assert!(asked("pods", "explain", "get") && asked("nodes", "explain", "get") && asked("gateways", "", "list"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn explanations_are_in_both_versions_and_in_no_document_of_discovery() -> Result<()> {
    let world = shared();
    for version in ["v1", "v1beta1"] {
        let group = format!("/apis/metrics.k8s.io/{version}");
        let names: Vec<String> = serde_json::from_value(Value::from_iter(
            world.ask(&group, &[]).await.json()["resources"]
                .as_array()
                .into_iter()
                .flatten()
                .map(|it| it["name"].clone()),
        ))?;
        assert_eq!(names, ["nodes", "pods"]);
        let answer = world.ask(&format!("{group}/{WEB_0}/explain"), &[]).await;
        let told = answer.json();
        assert_eq!((text(&told["kind"]), text(&told["apiVersion"])), ("PodExplanation", "metrics-gateway/v1"));
        assert_eq!((text(&told["state"]), told["containers"].as_array().map(Vec::len)), ("served", Some(2)));
        assert_eq!(text(&told["node"]["addressesBy"]), "preferred (built in)");
        assert!(told["containers"][0]["samples"]["latest"].as_array().is_some_and(|all| all.len() >= 2), "{told:#}");
        let told = world.ask(&format!("{group}/nodes/node1/explain"), &[]).await.json();
        assert_eq!((text(&told["kind"]), text(&told["state"])), ("NodeExplanation", "served"), "{told:#}");
        let usage = world.ask(&format!("{group}/nodes/node1"), &[]).await.json();
        assert_eq!(told["usage"]["memory"].is_string(), usage["usage"]["memory"].is_string());
    }
    let documents = [world.ask("/openapi/v2", &[]).await, world.ask("/apis", &[]).await];
    assert!(documents.iter().all(|document| !document.text().contains("explain")));
    let head = world.send("HEAD", &format!("{B}/{WEB_0}/explain")).await;
    assert_eq!(head.status, StatusCode::METHOD_NOT_ALLOWED);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_command_prints_what_the_gateway_says_and_ends_with_0_where_it_is_served() -> Result<()> {
    let world = shared();
    let (code, stdout, stderr) = run(world, "explain pod default/web-0").await?;
    assert_eq!(code, Some(0), "{stderr}");
    assert!(stdout.starts_with("pod default/web-0: SERVED\n  served: the usage over "), "{stdout}");
    for part in ["  tenant     default: no tenant owns it\n", "\nCONTAINER   ", "samples of container app: "] {
        assert!(stdout.contains(part), "{part:?} in {stdout}");
    }
    let (code, stdout, _) = run(world, "explain node node2 -o json").await?;
    let told: Value = serde_json::from_str(&stdout)?;
    assert_eq!((code, text(&told["name"])), (Some(0), "node2"));
    let (code, _, stderr) = run(world, "explain pod default/nobody").await?;
    assert_eq!((code, &*stderr), (Some(1), "pods \"nobody\" not found\n"));
    let (code, _, stderr) = run(world, "explain pod nobody").await?;
    assert_eq!(code, Some(2), "{stderr}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_without_the_gateway_is_told_as_one() -> Result<()> {
    let world = World::bare(&[]).await;
    world.api.unregister();
    for command in ["explain pod default/web-0", "status --once"] {
        let (code, _, stderr) = run(&world, command).await?;
        let nobody = stderr.starts_with("the Metrics API here is not served by metrics-gateway");
        assert!(code == Some(1) && nobody, "{command}: {stderr}");
    }
    Ok(())
}

/// Exit code, standard output and standard error of a command, run by an administrator of the cluster.
pub(crate) async fn run(world: &World, line: &str) -> Result<(Option<i32>, String, String)> {
    let kubeconfig: PathBuf = Directory::new("metrics-gateway-command")?.path().with_extension("kubeconfig");
    world.api.write_kubeconfig(&kubeconfig, &world.admin())?;
    let mut command = Command::new(binary()?);
    command.args(line.split_whitespace()).arg("--kubeconfig").arg(&kubeconfig);
    for variable in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"] {
        command.env_remove(variable).env_remove(variable.to_lowercase());
    }
    let output = tokio::task::spawn_blocking(move || command.output()).await??;
    std::fs::remove_file(&kubeconfig)?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ok((output.status.code(), text(&output.stdout), text(&output.stderr)))
}
