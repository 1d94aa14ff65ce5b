//! The demo's two tenants: pods that do the same, and policies that differ.
//!
//! `shop` belongs to nobody in particular and is served as metrics-server would; `payments` does not want to see its
//! sidecars, and wants its CPU smoothed. [`FIRST`] is the gateway.toml that says so; [`second`] is what the demo
//! replaces it by to show a reload.

use crate::fleet::FleetPod;

/// The namespace of the default tenant.
pub(super) const OURS: &str = "shop";
/// The namespace of the tenant with policies.
pub(super) const THEIRS: &str = "payments";
/// The plugins that the configurations name, and that a visitor may want to try.
pub(super) const PLUGINS: [&str; 5] = ["skip-sidecars", "ewma", "peak-memory", "sliding-mean", "label-gate"];

/// What the gateway starts with.
pub(super) const FIRST: &str = r#"# The gateway follows this file: change it, and the next answers differ.

[plugins.skip-sidecars]
source = "plugins/skip-sidecars.wasm"

[plugins.ewma]
source = "plugins/ewma.wasm"

[[tenant]]
name = "payments"
namespaces = ["payments"]
filter = [{ plugin = "skip-sidecars", settings = { containers = ["istio-proxy"] } }]
window = { plugin = "ewma", settings = { half_life = "60s" } }
"#;

/// The same without the filter: payments' sidecars are served again.
pub(super) fn second() -> String {
    FIRST.lines().filter(|line| !line.starts_with("filter = ")).map(|line| format!("{line}\n")).collect()
}

/// Pods for so many nodes, in pairs: of each name one in either namespace, on the same node.
pub(super) fn pods(nodes: usize, pods: usize) -> Vec<(String, Vec<FleetPod>)> {
    const APPS: [&str; 5] = ["api", "cart", "queue", "search", "web"];
    let mut layout: Vec<(String, Vec<FleetPod>)> =
        (0..nodes).map(|index| (format!("node-{index}"), Vec::new())).collect();
    for pair in 0..pods.div_ceil(2) {
        let app = APPS[pair % APPS.len()];
        let pod = |namespace: &str| FleetPod {
            namespace: namespace.to_owned(),
            name: format!("{app}-{pair}"),
            labels: [("app".to_owned(), app.to_owned())].into(),
            containers: ["app", "istio-proxy"].map(str::to_owned).to_vec(),
        };
        layout[pair % nodes].1.extend([OURS, THEIRS].map(pod));
    }
    layout
}
