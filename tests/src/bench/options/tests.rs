use super::*;

fn parse(args: &str) -> Result<Option<Options>> {
    Options::parse(args.split_whitespace().map(str::to_owned))
}

#[test]
fn without_flags_the_bar_of_a_thousand_nodes_is_measured() {
    assert_eq!(parse("").expect("no flag is wrong"), Some(Options::default()));
    assert_eq!(parse("--nodes 5 --help").expect("help is always given"), None);
}

#[test]
fn flags_that_make_no_sense_are_refused() {
    for args in ["--nodes", "--nodes x", "--nodes 0", "--ticks 0", "--resolution 5s", "--no-such-flag"] {
        assert!(parse(args).is_err(), "{args}");
    }
}

#[test]
fn placeholders_of_another_servers_command_are_filled_in() {
    let options =
        Options { server: Some("ms --p={port} --k={kubeconfig} -r {resolution}".to_owned()), ..Options::default() };
    let directory = Directory::new("bench-options").expect("a directory");
    let kubeconfig = format!("--k={}", directory.file("kubeconfig").display());
    let command = options.command(&directory, 4443).expect("nothing is missing");
    assert_eq!(command, ["ms", "--p=4443", &kubeconfig, "-r", "15s"]);
}
