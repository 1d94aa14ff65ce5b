//! What one tenant's plugins do reaches no other tenant: a bad artifact is refused with a message and nothing changes, and
//! one that turns bad while it is in force costs its own tenant alone, whose fallback serves.
//!
//! Two gateways watch the same kubelets: one where `default` belongs to a tenant with bad plugins, and one where it
//! has none. In both `kube-system` belongs to a tenant with plugins of its own; its answers must be the same, byte for
//! byte.

use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use harness::directory::Directory;
use harness::eventually::eventually;
use harness::gateway::Gateway;
use harness::guest;
use harness::metrics::Metrics;

use crate::world::{B, PATIENCE, World, names};

/// A filter that passes its rehearsal, which shows it two pods: it never returns where it is shown only one.
const LATE_LOOP: &str = r#"
(func (export "metrics-gateway:policy/filter@1.0.0#classify") (param $pods i32) (param $count i32) (result i32)
    (if (i32.eq (local.get $count) (i32.const 1)) (then (loop $again (br $again))))
    ;; As many zeros as the pods have containers: the rehearsal's, and no real node's, are two pods.
    (i32.store (i32.const 1024) (i32.const 2048))
    (i32.store (i32.const 1028) (i32.add
        (i32.load offset=44 (local.get $pods)) (i32.load offset=44 (i32.add (local.get $pods) (i32.const 48)))))
    (i32.const 1024))
"#;

/// As [`LATE_LOOP`], but it traps.
fn late_trap() -> String {
    LATE_LOOP.replace("(loop $again (br $again))", "(unreachable)")
}

/// The neighbour: a filter and a window of its own.
const NEIGHBOUR: &str = r#"
[plugins.keep-all]
source = "keep-all.wasm"
[plugins.constant-window]
source = "constant-window.wasm"
[[tenant]]
name = "neighbour"
namespaces = ["kube-system"]
filter = ["keep-all"]
window = "constant-window"
"#;

/// Both tenants, of which the first has this plugin.
fn with(name: &str, hook: &str, more: &str) -> String {
    let binding = if hook == "filter" { format!("[\"{name}\"]") } else { format!("\"{name}\"") };
    format!(
        "{NEIGHBOUR}[plugins.{name}]\nsource = \"{name}.wasm\"\n{more}\n[[tenant]]\nname = \"first\"\nnamespaces = \
         [\"default\"]\n{hook} = {binding}\n"
    )
}

/// A gateway with a directory of plugins, and another beside it that never has any but the neighbour's.
struct Pair {
    world: World,
    beside: Gateway,
    directory: Directory,
}

impl Pair {
    async fn start() -> Result<Self> {
        let directory = Directory::new("metrics-gateway-tenants")?;
        for name in ["keep-all", "constant-window"] {
            std::fs::write(directory.file(&format!("{name}.wasm")), guest::load(name))?;
        }
        for name in ["gateway.toml", "beside.toml"] {
            std::fs::write(directory.file(name), NEIGHBOUR)?;
        }
        let config = |name: &str| format!("--config={}", directory.file(name).display());
        let world = World::start(&[&config("gateway.toml")]).await;
        let beside = Gateway::start(&world.api, &[&config("beside.toml")])?;
        beside.wait_ready(PATIENCE).await?;
        Ok(Self { world, beside, directory })
    }

    fn configure(&self, text: &str) -> Result<()> {
        let aside = self.directory.file("gateway.new");
        std::fs::write(&aside, text)?;
        Ok(std::fs::rename(aside, self.directory.file("gateway.toml"))?)
    }

    /// That both gateways say the same of the neighbour's pods, at a moment when both have asked the kubelets.
    async fn neighbour_is_unharmed(&self) -> Result<()> {
        let path = format!("{B}/namespaces/kube-system/pods");
        let beside = self.beside.client(Some(&self.world.admin()));
        eventually("the same answer of both gateways", PATIENCE, async || {
            let ours = self.world.ask(&path, &[]).await;
            let theirs = beside.get(&path, &[("user-agent", "test/1")]).await?;
            ensure!(names(&ours.json()).len() == 2, "{}", ours.text());
            ensure!(ours.body == theirs.body, "{}\n{}", ours.text(), theirs.text());
            Ok(())
        })
        .await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_bad_plugin_is_refused_with_its_reason_and_changes_nothing() -> Result<()> {
    let pair = Pair::start().await?;
    pair.neighbour_is_unharmed().await?;
    // Each: the guest, the hook it is bound to, and what the log must say of it.
    let bad = [
        ("loop-in-classify", "filter", "CPU time"),
        ("loop-in-configure", "filter", "CPU time"),
        ("loop-in-describe", "filter", "CPU time"),
        ("loop-in-measure", "window", "CPU time"),
        ("trap", "filter", "trapped"),
        ("trap-in-measure", "window", "trapped"),
        ("memory-bomb", "filter", "memory"),
        ("table-bomb", "filter", "table"),
        ("deep-recursion", "filter", "trapped"),
        ("too-few-verdicts", "filter", "verdict"),
        ("too-many-verdicts", "filter", "verdict"),
        ("unknown-verdict", "filter", "verdict"),
        ("too-few-usages", "window", "believed"),
        ("window-of-forever", "window", "window"),
        ("window-from-the-future", "window", "future"),
        ("keep-all-as-window", "window", "window"),
        ("refuses-settings", "filter", "settings"),
        ("truncated", "filter", "truncated"),
    ];
    for (name, hook, reason) in bad {
        let bytes = match name {
            "keep-all-as-window" => guest::load("keep-all"),
            "truncated" => guest::load("keep-all")[..200].to_vec(),
            name => guest::load(name),
        };
        std::fs::write(pair.directory.file(&format!("{name}.wasm")), bytes)?;
        pair.configure(&with(name, hook, ""))?;
        let line = eventually("a refusal", PATIENCE, async || {
            let log = pair.world.gateway.log();
            let line = log.lines().rev().find(|line| line.contains(name) && line.contains("gateway.toml"));
            line.map(str::to_owned).with_context(|| format!("no line on {name:?}"))
        })
        .await?;
        println!("{name}: {line}");
        assert!(line.to_lowercase().contains(&reason.to_lowercase()), "{name}: no {reason:?} in {line}");
    }
    let mismatch = with("keep-all-pinned", "filter", &format!("sha256 = \"{}\"", "0".repeat(64)));
    std::fs::write(pair.directory.file("keep-all-pinned.wasm"), guest::load("keep-all"))?;
    pair.configure(&mismatch)?;
    let line = pair.world.gateway.wait_for_log("keep-all-pinned", PATIENCE).await?;
    assert!(pair.world.gateway.log().contains("sha256"), "{line}");
    let metrics = Metrics::read(&pair.world.gateway.metrics().await?);
    let generation = metrics.sum("metrics_gateway_generation", &[]);
    assert!((generation - 1.0).abs() < f64::EPSILON, "generation {generation} was put in force");
    pair.neighbour_is_unharmed().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plugin_that_turns_bad_costs_its_own_tenant_alone() -> Result<()> {
    let pair = Arc::new(Pair::start().await?);
    for (number, (name, text, kind)) in
        (2..).zip([("late-loop", LATE_LOOP.to_owned(), "cpu"), ("late-trap", late_trap(), "trap")])
    {
        let bytes = guest::component(&text, "filter-policy");
        std::fs::write(pair.directory.file(&format!("{name}.wasm")), bytes)?;
        pair.configure(&with(name, "filter", ""))?;
        pair.world.gateway.wait_for_log(&format!("generation {number} in force"), PATIENCE).await?;
        let labels = [("plugin", name), ("tenant", "first"), ("hook", "filter"), ("outcome", kind)];
        eventually("failures", PATIENCE, async || {
            let metrics = Metrics::read(&pair.world.gateway.metrics().await?);
            let failures = metrics.sum("metrics_gateway_plugin_calls_total", &labels);
            ensure!(failures >= 1.0, "{failures} failures");
            Ok(())
        })
        .await?;
        let log = pair.world.gateway.log();
        let line = log.lines().find(|line| line.contains("WARN") && line.contains(name)).unwrap_or_default();
        println!("{line}");
        assert!(line.contains("first"), "the tenant is named: {line}\n{log}");
        // The fallback of filters: everything is served.
        let served = pair.world.ask(&format!("{B}/namespaces/default/pods"), &[]).await.json();
        assert_eq!(names(&served), ["web-0", "web-2", "web-4"]);
        pair.neighbour_is_unharmed().await?;
    }
    Ok(())
}
