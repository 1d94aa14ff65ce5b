//! The grammar of label selectors: text to tokens to requirements. Total; the faults are upstream's, word for word.
//!
//! ```text
//! selector    = [ requirement { "," requirement } ]
//! requirement = key | "!" key | key ( "=" | "==" | "!=" | ">" | "<" ) [ value ] | key ( "in" | "notin" ) set
//! set         = "(" [ [ value ] { "," [ value ] } ] ")"
//! ```
//!
//! `in` and `notin` are words like any other where a key or a value is due. Blanks may stand between tokens.

use std::collections::BTreeSet;
use std::mem::replace;

use super::{Operator, Requirement, syntax};

/// The requirements of a selector, in the order of the text.
pub(super) fn parse(text: &str) -> Result<Vec<Requirement>, String> {
    let mut tokens = Tokens::new(text);
    let mut requirements = Vec::new();
    match tokens.peek() {
        Token::End => return Ok(requirements),
        Token::Word(_) | Token::Symbol("!") => {}
        found => return Err(format!("found '{}', expected: !, identifier, or 'end of string'", found.text())),
    }
    loop {
        let parsed = requirement(&mut tokens);
        requirements.push(parsed.map_err(|fault| format!("unable to parse requirement: {fault}"))?);
        match tokens.next() {
            Token::End => return Ok(requirements),
            Token::Symbol(",") => {}
            found => return Err(format!("found '{}', expected: ',' or 'end of string'", found.text())),
        }
        if !matches!(tokens.peek(), Token::Word(_) | Token::Symbol("!")) {
            return Err(format!("found '{}', expected: identifier after ','", tokens.peek().text()));
        }
    }
}

fn requirement(tokens: &mut Tokens<'_>) -> Result<Requirement, String> {
    let mut found = tokens.next();
    let negated = found == Token::Symbol("!");
    if negated {
        found = tokens.next();
    }
    let Token::Word(key) = found else {
        return Err(format!("found '{}', expected: identifier", found.text()));
    };
    syntax::check_key(key)?;
    let (operator, values) = match tokens.peek() {
        _ if negated => (Operator::DoesNotExist, Vec::new()),
        Token::End | Token::Symbol(",") => (Operator::Exists, Vec::new()),
        _ => operator_and_values(tokens)?,
    };
    syntax::check_values(key, operator, &values)?;
    Ok(Requirement { key: key.to_owned(), operator, values })
}

fn operator_and_values(tokens: &mut Tokens<'_>) -> Result<(Operator, Vec<String>), String> {
    let found = tokens.next();
    let operator = match found.text() {
        "in" | "=" | "==" => Operator::In,
        "notin" | "!=" => Operator::NotIn,
        ">" => Operator::GreaterThan,
        "<" => Operator::LessThan,
        other => return Err(format!("found '{other}', expected: in, notin, =, ==, !=, gt, lt")),
    };
    let values = match found {
        Token::Word(_) => set(tokens)?.into_iter().map(str::to_owned).collect(),
        _ => vec![single(tokens)?.to_owned()],
    };
    Ok((operator, values))
}

/// The value after `=` and its like; nothing there is the empty value.
fn single<'a>(tokens: &mut Tokens<'a>) -> Result<&'a str, String> {
    if matches!(tokens.peek(), Token::End | Token::Symbol(",")) {
        return Ok("");
    }
    match tokens.next() {
        Token::Word(value) => Ok(value),
        found => Err(format!("found '{}', expected: identifier", found.text())),
    }
}

/// The values after `in` and `notin`, with their parentheses. `()` is the set of the empty value.
fn set<'a>(tokens: &mut Tokens<'a>) -> Result<BTreeSet<&'a str>, String> {
    let found = tokens.next();
    if found != Token::Symbol("(") {
        return Err(format!("found '{}' expected: '('", found.text()));
    }
    match tokens.peek() {
        Token::Word(_) | Token::Symbol(",") => members(tokens),
        Token::Symbol(")") => {
            tokens.next();
            Ok(BTreeSet::from([""]))
        }
        found => Err(format!("found '{}', expected: ',', ')' or identifier", found.text())),
    }
}

/// Reads up to and including the closing parenthesis. A comma has an empty value on whichever side of it nothing
/// stands, except, as upstream, that `,,)` is a fault.
fn members<'a>(tokens: &mut Tokens<'a>) -> Result<BTreeSet<&'a str>, String> {
    let mut values = BTreeSet::new();
    loop {
        match tokens.next() {
            Token::Word(value) => {
                values.insert(value);
                match tokens.peek() {
                    Token::Symbol(",") => {}
                    Token::Symbol(")") => break,
                    found => return Err(format!("found '{}', expected: ',' or ')'", found.text())),
                }
            }
            Token::Symbol(",") => {
                if values.is_empty() {
                    values.insert("");
                }
                match tokens.peek() {
                    Token::Symbol(")") => {
                        values.insert("");
                        break;
                    }
                    Token::Symbol(",") => {
                        values.insert("");
                        tokens.next();
                    }
                    _ => {}
                }
            }
            found => return Err(format!("found '{}', expected: ',', or identifier", found.text())),
        }
    }
    tokens.next();
    Ok(values)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token<'a> {
    /// A key, a value, `in` or `notin`; its characters are not checked here.
    Word(&'a str),
    /// `=`, `==`, `!=`, `!`, `(`, `)`, `,`, `>` or `<`.
    Symbol(&'a str),
    /// Repeats for ever.
    End,
}

impl<'a> Token<'a> {
    fn text(self) -> &'a str {
        match self {
            Token::Word(text) | Token::Symbol(text) => text,
            Token::End => "",
        }
    }
}

struct Tokens<'a> {
    next: Token<'a>,
    rest: &'a str,
}

impl<'a> Tokens<'a> {
    fn new(text: &'a str) -> Self {
        let (next, rest) = first_token(text);
        Self { next, rest }
    }

    fn peek(&self) -> Token<'a> {
        self.next
    }

    fn next(&mut self) -> Token<'a> {
        let (following, rest) = first_token(self.rest);
        self.rest = rest;
        replace(&mut self.next, following)
    }
}

fn first_token(text: &str) -> (Token<'_>, &str) {
    const BLANKS: [char; 4] = [' ', '\t', '\r', '\n'];
    const SYMBOLS: [char; 7] = ['=', '!', '(', ')', ',', '>', '<'];
    // Upstream's lexer takes a zero byte for the end of what it is reading: of a word or symbol, which it then
    // swallows it with, or of everything.
    let ends_word = |c: char| c == '\0' || BLANKS.contains(&c) || SYMBOLS.contains(&c);
    let text = text.trim_start_matches(BLANKS);
    let symbol_length = match text {
        _ if text.starts_with("==") || text.starts_with("!=") => 2,
        _ if text.starts_with(SYMBOLS) => 1,
        _ => 0,
    };
    let length = if symbol_length > 0 { symbol_length } else { text.find(ends_word).unwrap_or(text.len()) };
    let (token, rest) = text.split_at(length);
    let rest = rest.strip_prefix('\0').unwrap_or(rest);
    match (symbol_length, length) {
        (_, 0) => (Token::End, ""),
        (0, _) => (Token::Word(token), rest),
        _ => (Token::Symbol(token), rest),
    }
}
