use super::{printable, word};

#[test]
fn nothing_that_a_terminal_acts_on_is_printed() {
    let hostile = "a\u{1b}[2Jb\r\u{9b}31mc\u{202e}d\ne\u{7}";
    assert_eq!(printable(hostile), "a?[2Jb??31mc?d e?");
    let long = printable(&"x".repeat(10_000));
    assert!(long.len() < 710, "{}", long.len());
}

#[test]
fn a_word_of_a_command_stays_one_word() {
    for (text, expected) in [
        ("kube-system", "kube-system"),
        ("", "''"),
        ("a b", "'a b'"),
        ("$(reboot)", "'$(reboot)'"),
        ("it's", r"'it'\''s'"),
        ("x\ny", "'x y'"),
        (r#"{"a":1}"#, r#"'{"a":1}'"#),
    ] {
        assert_eq!(word(text), expected, "{text:?}");
    }
}
