//! `WWW-Authenticate`: what a registry wants to see before it answers (RFC 9110 §11.6.1, and the token protocol of the
//! distribution project). Total: what cannot be read is left out.

#[cfg(test)]
mod tests;

/// One way to prove who we are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Challenge {
    /// A user name and a password, with each request.
    Basic,
    /// A token, to be had from `realm`.
    Bearer {
        /// The address of the token service.
        realm: String,
        /// What the registry is called there.
        service: Option<String>,
    },
}

/// The challenges of one header that we know, in their order.
pub(super) fn parse(header: &str) -> Vec<Challenge> {
    let mut schemes: Vec<Scheme<'_>> = Vec::new();
    let mut rest = header;
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        let (word, after) = split_word(rest);
        if word.is_empty() {
            break;
        }
        rest = after;
        match after.trim_start().strip_prefix('=') {
            None => schemes.push(Scheme { name: word, parameters: Vec::new() }),
            Some(after) => {
                let (value, after) = read_value(after.trim_start());
                rest = after;
                if let Some(scheme) = schemes.last_mut() {
                    scheme.parameters.push((word, value));
                }
            }
        }
    }
    schemes.into_iter().filter_map(Scheme::into_challenge).collect()
}

struct Scheme<'a> {
    name: &'a str,
    parameters: Vec<(&'a str, String)>,
}

impl Scheme<'_> {
    fn into_challenge(mut self) -> Option<Challenge> {
        if self.name.eq_ignore_ascii_case("basic") {
            return Some(Challenge::Basic);
        }
        if !self.name.eq_ignore_ascii_case("bearer") {
            return None;
        }
        let realm = self.take("realm")?;
        Some(Challenge::Bearer { realm, service: self.take("service") })
    }

    fn take(&mut self, name: &str) -> Option<String> {
        let at = self.parameters.iter().position(|(own, _)| own.eq_ignore_ascii_case(name))?;
        Some(self.parameters.swap_remove(at).1)
    }
}

fn split_word(text: &str) -> (&str, &str) {
    // A stray quote is skipped as a word of its own, so that every round gets further.
    let end = text.find([' ', '\t', ',', '=']).unwrap_or(text.len());
    match end {
        0 if !text.is_empty() => text.split_at(1),
        _ => text.split_at(end),
    }
}

fn read_value(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let (word, rest) = text.split_at(text.find([' ', '\t', ',']).unwrap_or(text.len()));
        return (word.to_owned(), rest);
    };
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return (value, &quoted[at + 1..]),
            '\\' => value.extend(characters.next().map(|(_, escaped)| escaped)),
            _ => value.push(character),
        }
    }
    (value, "")
}
