use serde_json::json;

use super::*;

#[test]
fn the_tables_show_what_kubectl_top_would_and_the_tenants_side_by_side() {
    let node = json!({"metadata": {"name": "node-0"}, "status": {"allocatable": {"cpu": "8", "memory": "32Gi"}}});
    let usage = json!({"cpu": "1200000001n", "memory": "4194304Ki"});
    let metrics = json!({"metadata": {"name": "node-0"}, "usage": usage});
    let pod = |namespace: &str, name: &str, cpu: &str, containers: usize| {
        let container = json!({"name": "app", "usage": {"cpu": cpu, "memory": "10Mi"}});
        let metadata = json!({"namespace": namespace, "name": name});
        json!({"metadata": metadata, "window": "10s", "containers": vec![container; containers]})
    };
    let pods = [
        pod("shop", "a", "1m", 2),
        pod("shop", "b", "250m", 2),
        pod("shop", "c", "0", 2),
        pod("payments", "a", "1m", 1),
    ];
    let picture = Picture::new(&[node], &[metrics], &pods);
    let expected = "\
NODE     CPU(cores)   CPU%   MEMORY(bytes)   MEMORY%
node-0   1201m        15%    4096Mi          12%

POD   SHOP: CPU MEMORY CONTAINERS WINDOW   PAYMENTS: CPU MEMORY CONTAINERS WINDOW
a         2m    20Mi   2       10s             1m    10Mi   1       10s
b       500m    20Mi   2       10s         - - - -
… and 1 more
";
    assert_eq!(picture.tables(2), expected);
}
