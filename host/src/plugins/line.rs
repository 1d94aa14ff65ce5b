//! Text of a guest, made fit for one line of a log: short, and without characters that would forge another line.

/// The first `most` bytes of a text, cut between characters; each control character becomes a space.
pub fn line(text: &str, most: usize) -> String {
    let end = text.floor_char_boundary(most);
    text[..end].chars().map(|character| if character.is_control() { ' ' } else { character }).collect()
}

#[cfg(test)]
mod tests {
    use super::line;

    #[test]
    fn a_line_is_cut_between_characters_and_stays_one_line() {
        assert_eq!(line("short", 10), "short");
        assert_eq!(line("aä", 2), "a");
        assert_eq!(line("one\nERROR two\u{1b}[2J\u{0}\u{85}", 100), "one ERROR two [2J  ");
        assert_eq!(line("", 0), "");
    }
}
