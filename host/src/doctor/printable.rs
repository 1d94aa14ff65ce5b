//! Texts from elsewhere, made fit for a terminal and for a shell.
//!
//! A certificate, a kubelet or whoever may write a status can put into a text what moves the cursor, hides or turns
//! around what follows, or ends a quoted word. Here such characters become `?`, and lengths are bounded.

/// Longer messages say nothing that their beginning does not.
const LONGEST: usize = 700;

/// The text on one line, without anything that a terminal would act on.
pub(super) fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len().min(LONGEST));
    for character in text.trim().chars() {
        if out.len() >= LONGEST {
            out.push('…');
            break;
        }
        out.push(tame(character));
    }
    out
}

/// As [`printable`], however long: a command that is cut short is worse than none.
pub(super) fn command_line(text: &str) -> String {
    text.chars().map(tame).collect()
}

fn tame(character: char) -> char {
    match character {
        '\n' | '\t' => ' ',
        // Of the invisible characters those that change the direction of what follows.
        '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{2028}' | '\u{2029}' => '?',
        _ if character.is_control() => '?',
        _ => character,
    }
}

/// One word of a shell's command line, quoted where it needs to be.
pub(super) fn word(text: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./:=,@%+".contains(&byte);
    if !text.is_empty() && text.bytes().all(is_plain) {
        return text.to_owned();
    }
    let tamed: String = text.chars().map(tame).collect();
    format!("'{}'", tamed.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests;
