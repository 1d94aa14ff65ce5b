use std::process::Command;

use super::{ask, quoted, run, shown};

#[test]
fn a_program_is_shown_as_one_would_type_it() {
    let mut command = Command::new("cargo");
    command.args(["build", "--config", "a b", ""]).env("RUSTC", "/usr/bin/rustc").env_remove("CARGO");
    assert_eq!(shown(&command), "RUSTC=/usr/bin/rustc cargo build --config 'a b' ''");
    assert_eq!(quoted(&"it's".into()), r"'it'\''s'");
}

#[test]
fn a_program_that_fails_is_named_with_its_exit_status() {
    let error = run(Command::new("sh").args(["-c", "exit 3"])).expect_err("it failed").to_string();
    assert!(error.contains("\"sh\"") && error.contains('3'), "{error}");
}

#[test]
fn a_question_that_fails_is_answered_by_the_last_line_that_was_said() {
    let error = ask(Command::new("sh").args(["-c", "echo first >&2; echo the reason >&2; echo >&2; exit 1"]));
    let error = error.expect_err("it failed").to_string();
    assert!(error.ends_with("said: the reason"), "{error}");
}

#[test]
fn a_program_that_is_not_there_is_named() {
    let error = ask(&mut Command::new("no-such-compiler")).expect_err("there is none").to_string();
    assert!(error.contains("\"no-such-compiler\""), "{error}");
}
