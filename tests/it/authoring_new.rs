//! How authors begin: `plugin new` writes a plugin, and `plugin build` says what it builds and what it cannot.

use harness::author::{Author, Ran};

fn author() -> Author {
    Author::new().expect("there is room, and a binary")
}

fn refused(author: &Author, words: &[&str]) -> String {
    let Ran { code, output, complaint } = author.plugin(words).expect("it starts");
    assert_eq!((code, output.as_str()), (Some(1), ""), "{words:?}: {complaint}");
    complaint
}

#[test]
fn a_new_plugin_brings_the_sdk_and_is_never_written_over_another() {
    let author = author();
    let made = author.plugin(&["new", "half-life", "--hook", "window"]).expect("it starts");
    assert_eq!(made.code, Some(0), "{}", made.complaint);
    assert!(made.output.contains("metrics-gateway plugin build half-life"), "{}", made.output);
    let manifest = author.read("half-life/Cargo.toml").expect("it was written");
    assert!(manifest.contains("name = \"half-life\"") && manifest.contains("path = \"sdk\""), "{manifest}");
    let contract = include_str!("../../sdk/wit/policy.wit");
    assert_eq!(author.read("half-life/sdk/wit/policy.wit").expect("it was written"), contract);

    author.write("half-life/src/lib.rs", "// hours of work").expect("it is written");
    let complaint = refused(&author, &["new", "half-life", "--hook", "filter"]);
    assert!(complaint.contains("\"half-life\" exists already"), "{complaint}");
    assert_eq!(author.read("half-life/src/lib.rs").expect("it is there"), "// hours of work");
}

#[test]
fn a_name_that_is_none_leaves_no_trace() {
    let author = author();
    let complaint = refused(&author, &["new", "../Half_Life", "--hook", "window", "--dir", "there"]);
    assert!(complaint.contains("\"../Half_Life\" is no name"), "{complaint}");
    assert!(author.read("there/Cargo.toml").is_err());
}

#[test]
fn what_is_no_plugin_is_not_built_and_the_reason_says_what_would_be() {
    let author = author();
    author.write("notes.txt", "a plugin, some day").expect("it is written");
    let complaint = refused(&author, &["build", "."]);
    assert!(complaint.contains("Cargo.toml, go.mod, package.json"), "{complaint}");
    author.write("plugin.c", "int answer = 42;").expect("it is written");
    let complaint = refused(&author, &["build", "."]);
    assert!(complaint.contains("plugin.wit") && complaint.contains("filter-policy@1.0.0"), "{complaint}");
    author.write("plugin.wit", "package example:p; world p { export colours: func(); }").expect("it is written");
    author.write("plugin.zig", "").expect("it is written");
    let complaint = refused(&author, &["build", "."]);
    assert!(complaint.contains("both C and Zig"), "{complaint}");
}
