use serde_json::json;

use super::*;

#[test]
fn the_command_line_says_how_large() {
    let parse = |args: &[&str]| Options::parse(args.iter().map(|arg| (*arg).to_owned()));
    assert_eq!(parse(&[]), Ok(Options { once: false, nodes: 5, pods: 40 }));
    assert_eq!(parse(&["--once", "--nodes", "2", "--pods=9"]), Ok(Options { once: true, nodes: 2, pods: 9 }));
    assert_eq!(parse(&["--nodes"]), Err("--nodes needs a number above zero".to_owned()));
    assert_eq!(parse(&["--twice"]), Err("unknown argument \"--twice\"".to_owned()));
}

#[test]
fn the_tables_show_what_kubectl_top_would() {
    let node = json!({"metadata": {"name": "node-0"}, "status": {"allocatable": {"cpu": "8", "memory": "32Gi"}}});
    let usage = json!({"cpu": "1200000001n", "memory": "4194304Ki"});
    let metrics = json!({"metadata": {"name": "node-0"}, "usage": usage});
    let pod = |name: &str, cpu: &str| {
        let container = json!({"name": "app", "usage": {"cpu": cpu, "memory": "10Mi"}});
        json!({"metadata": {"namespace": "shop", "name": name}, "containers": [container.clone(), container]})
    };
    let picture = Picture::new(&[node], &[metrics], &[pod("idle", "1m"), pod("busy", "250m"), pod("third", "0")]);
    let expected = "\
NODE     CPU(cores)   CPU%   MEMORY(bytes)   MEMORY%
node-0   1201m        15%    4096Mi          12%

NAMESPACE   POD    CPU(cores)   MEMORY(bytes)
shop        busy   500m         20Mi
shop        idle   2m           20Mi
… and 1 more
";
    assert_eq!(picture.tables(2), expected);
}
