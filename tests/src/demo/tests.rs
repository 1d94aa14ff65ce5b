use super::*;

#[test]
fn the_command_line_says_how_large() {
    let parse = |args: &[&str]| Options::parse(args.iter().map(|arg| (*arg).to_owned()));
    let plain = Options { once: false, nodes: 5, pods: 40, directory: None, picture: None };
    assert_eq!(parse(&[]), Ok(plain.clone()));
    let small = Options { once: true, nodes: 2, pods: 9, directory: Some("here".into()), picture: None };
    assert_eq!(parse(&["--once", "--nodes", "2", "--pods=9", "--directory", "here"]), Ok(small));
    assert_eq!(parse(&["--nodes"]), Err("--nodes needs a number above zero".to_owned()));
    assert_eq!(parse(&["--directory"]), Err("--directory needs a path".to_owned()));
    assert_eq!(parse(&["--twice"]), Err("unknown argument \"--twice\"".to_owned()));
}

#[test]
fn the_second_configuration_is_the_first_without_the_filter() {
    let second = policies::second();
    let gone: Vec<&str> = FIRST.lines().filter(|line| !second.contains(line)).collect();
    assert!(matches!(gone[..], [line] if line.starts_with("filter = ")), "{gone:?}");
}

#[test]
fn every_pod_of_one_tenant_has_a_twin_on_its_node() {
    for (node, pods) in policies::pods(3, 9) {
        let names = |namespace: &str| -> Vec<_> {
            pods.iter().filter(|pod| pod.namespace == namespace).map(|pod| (&pod.name, &pod.containers)).collect()
        };
        assert!(!names(OURS).is_empty(), "{node} has pods");
        assert_eq!(names(OURS), names(THEIRS), "{node}");
    }
}
