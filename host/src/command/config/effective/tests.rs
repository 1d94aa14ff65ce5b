use super::*;
use crate::args::{self, Invocation};
use crate::config::load_text;

fn config(toml: &str) -> Config {
    let Ok(Invocation::Run(args)) = args::parse(["--metric-resolution=15s".into()]) else { panic!("it is a flag") };
    load_text(&args, toml).unwrap_or_else(|problems| panic!("{problems}")).0
}

const FILE: &str = r#"
[plugins.ewma]
source = "ewma.wasm"
limits = { cpu = "20ms", memory = "1536KiB", size = "5B" }
reuse = { calls = 7 }
[plugins.remote]
source = "oci://r/p:1"
sha256 = "abababababababababababababababababababababababababababababababab"
[[node_pool]]
name = "edge"
selector = "pool=edge"
address = "remote"
[[node_pool]]
name = "rest"
[[tenant]]
name = "payments"
namespaces = ["payments", "payments-*"]
namespace_selector = "team=payments"
filter = [{ plugin = "remote", namespace_labels = true, on_error = "drop" }, "remote"]
window = { plugin = "ewma", settings = { half_life = "60s" }, history = "5m" }
cpu_per_tick = "1s"
"#;

fn facts() -> Facts {
    let of = |name: &str| PluginFacts { name: name.to_owned(), version: "1.2.0".into(), sha256: [0xab; 32] };
    ["ewma", "remote"].into_iter().map(|name| (name.into(), of(name))).collect()
}

#[test]
fn everything_in_force_is_told_with_its_defaults() {
    let ab = "ab".repeat(32);
    let file = FILE.replace("size = \"5B\"", "size = \"5KiB\"");
    let answer = answer(&config(&file), Some(&facts()), &[]);
    let expected = format!(
        r#"no problems: 2 plugins, each loaded and tried; 2 node pools; 1 tenant

plugins:
  ewma
      source    ewma.wasm
      says it is ewma 1.2.0
      sha256    {ab}
      limits    size 5KiB, memory 1536KiB, table_elements 20000, instances 64, output 4MiB, cpu 20ms
      reuse     for 7 calls or 10m0s
  remote
      source    oci://r/p:1
      says it is remote 1.2.0
      sha256    {ab} (pinned)
      limits    size 32MiB, memory 32MiB, table_elements 20000, instances 64, output 4MiB, cpu the hook's

node pools, the first that selects a node counts:
  edge
      selects   pool=edge
      address   remote {{}}, on error preferred
      window    last-two (built in)
      cpu       1.5s of each tick
  rest
      selects   all nodes
      address   preferred (built in)
      window    last-two (built in)
      cpu       1.5s of each tick

tenants, the first that owns a namespace counts:
  payments
      owns      payments, payments-*, those with labels team=payments
      filter    remote {{}}, on error drop, sees labels of namespaces
      filter    remote {{}}, on error keep
      window    ewma {{"half_life":"60s"}}, on error last-two, history 5m0s
      cpu       1s of each tick
  default
      owns      everything that no tenant owns
      filter    none
      window    last-two (built in)
      cpu       1.5s of each tick
"#
    );
    assert_eq!(answer.text, expected);
    let json = answer.json;
    assert_eq!(json["plugins"][0]["loaded"], json!({ "name": "ewma", "version": "1.2.0", "sha256": ab }));
    assert_eq!(json["plugins"][0]["limits"]["cpuSeconds"], 0.02);
    assert_eq!(json["nodePools"][1]["address"], json!({ "builtIn": "preferred" }));
    assert_eq!(json["tenants"][0]["window"]["settings"], json!({ "half_life": "60s" }));
    assert_eq!(json["default"]["cpuSecondsPerTick"], 1.5);
}

#[test]
fn without_a_look_at_them_plugins_are_what_the_file_says() {
    let file = FILE.replace("size = \"5B\"", "size = \"5KiB\"");
    let answer = answer(&config(&file), None, &["a warning".to_owned()]);
    assert!(answer.text.starts_with("no problems: 2 plugins, not looked at; "), "{}", answer.text);
    assert!(!answer.text.contains("says it is") && answer.text.contains("(pinned)"), "{}", answer.text);
    assert_eq!(
        (&answer.json["plugins"][1]["loaded"], &answer.json["warnings"][0]),
        (&Value::Null, &json!("a warning"))
    );
}

#[test]
fn a_file_without_policies_has_the_default_alone() {
    let answer = answer(&config(""), None, &[]);
    let expected = "no problems: 0 plugins; 0 node pools; 0 tenants\n\ntenants, the first that owns a namespace counts:\n  \
                    default\n      owns      everything that no tenant owns\n      filter    none\n      window    \
                    last-two (built in)\n      cpu       1.5s of each tick\n";
    assert_eq!(answer.text, expected);
}
