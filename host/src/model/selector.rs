//! Label and field selectors: the text grammar of the Kubernetes API, to what it selects. Pure and total.
//!
//! In: the decoded value of a query parameter, or of a flag. Out: requirements that must all hold, or a
//! [`SelectorError`] in the words of the API, as clients and their tests compare them.
//!
//! Absent on purpose: a bound on the length of the text, which is that of the request line it came in.
//!
//! Rules and error texts: `k8s.io/apimachinery` v0.36, `pkg/labels/selector.go` and `pkg/fields/selector.go`; the
//! vectors in `tests/fixtures/selectors.json` were taken from a real server. We differ where no client can see it:
//! `==` and `!=` are kept as the sets of one value that they mean.

mod grammar;
mod syntax;

use std::fmt;

use super::Labels;

/// Requirements on labels; all must hold. The default selects everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LabelSelector(Vec<Requirement>);

/// One requirement on labels or fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requirement {
    /// The key of the label, or the name of the field.
    pub key: String,
    /// What is required of the value.
    pub operator: Operator,
    /// Sorted, without duplicates. At least one for [`Operator::In`] and [`Operator::NotIn`], one (an integer) for
    /// the comparisons, none for the others.
    pub values: Vec<String>,
}

/// How a value is related to the values of a [`Requirement`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    /// `=`, `==`, `in`: is there and among the values.
    In,
    /// `!=`, `notin`: is missing, or not among the values.
    NotIn,
    /// Is there.
    Exists,
    /// `!`: is missing.
    DoesNotExist,
    /// `>`: is there, an integer, and greater.
    GreaterThan,
    /// `<`: is there, an integer, and less.
    LessThan,
}

/// Why a text selects nothing; told in the words of the Kubernetes API.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SelectorError {
    /// The text does not follow the grammar.
    #[error("{0}")]
    Malformed(String),
    /// The text follows the grammar of field selectors but names a field that cannot be selected by. A kind of its
    /// own because the API reports it only after every other fault of a request.
    #[error("{} is not a known field selector: only \"metadata.name\", \"metadata.namespace\"", syntax::quote(.0))]
    UnknownField(String),
}

impl LabelSelector {
    /// Reads a label selector, for example `zone in (a,b),!spot`. Blank text selects everything.
    ///
    /// # Errors
    /// [`SelectorError::Malformed`] where the text does not follow the grammar, or a key or value cannot be one of
    /// a label.
    pub fn parse(text: &str) -> Result<Self, SelectorError> {
        let mut requirements = grammar::parse(text).map_err(SelectorError::Malformed)?;
        requirements.sort_by(|a, b| a.key.cmp(&b.key));
        Ok(Self(requirements))
    }

    /// Whether an object with these labels is selected.
    pub fn matches(&self, labels: &Labels) -> bool {
        self.0.iter().all(|requirement| requirement.holds_for(labels.get(&requirement.key)))
    }

    /// Whether nothing is required.
    pub fn is_everything(&self) -> bool {
        self.0.is_empty()
    }

    /// What is required, sorted by key.
    pub fn requirements(&self) -> &[Requirement] {
        &self.0
    }
}

impl Requirement {
    fn holds_for(&self, value: Option<&str>) -> bool {
        match self.operator {
            Operator::In => value.is_some_and(|value| self.has(value)),
            Operator::NotIn => value.is_none_or(|value| !self.has(value)),
            Operator::Exists => value.is_some(),
            Operator::DoesNotExist => value.is_none(),
            Operator::GreaterThan => self.compares(value, |ours, bound| ours > bound),
            Operator::LessThan => self.compares(value, |ours, bound| ours < bound),
        }
    }

    /// Values are few, mostly one, so walking them beats searching them.
    fn has(&self, value: &str) -> bool {
        self.values.iter().any(|own| own == value)
    }

    fn compares(&self, value: Option<&str>, holds: fn(i64, i64) -> bool) -> bool {
        let integer = |text: &str| text.parse::<i64>().ok();
        let bound = self.values.first().and_then(|text| integer(text));
        value.and_then(integer).zip(bound).is_some_and(|(ours, bound)| holds(ours, bound))
    }
}

impl fmt::Display for LabelSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, requirement) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(f, "{comma}{requirement}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, operator, values } = self;
        match (operator, values.as_slice()) {
            (Operator::Exists, _) => write!(f, "{key}"),
            (Operator::DoesNotExist, _) => write!(f, "!{key}"),
            (Operator::In, [value]) => write!(f, "{key}={value}"),
            (Operator::NotIn, [value]) => write!(f, "{key}!={value}"),
            (Operator::In, values) => write!(f, "{key} in ({})", values.join(",")),
            (Operator::NotIn, values) => write!(f, "{key} notin ({})", values.join(",")),
            (Operator::GreaterThan, values) => write!(f, "{key}>{}", values.join(",")),
            (Operator::LessThan, values) => write!(f, "{key}<{}", values.join(",")),
        }
    }
}

/// Requirements on `metadata.name` and `metadata.namespace`; all must hold. The default selects everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldSelector(Vec<Requirement>);

const NAME: &str = "metadata.name";
const NAMESPACE: &str = "metadata.namespace";

impl FieldSelector {
    /// Reads a field selector, for example `metadata.namespace=shop,metadata.name!=cart`. Empty text, and empty
    /// terms, select everything.
    ///
    /// # Errors
    /// [`SelectorError::Malformed`] where a term has no operator or a value is badly escaped; otherwise
    /// [`SelectorError::UnknownField`] where a term is about another field.
    pub fn parse(text: &str) -> Result<Self, SelectorError> {
        let mut terms = split_terms(text);
        // Upstream sorts before it parses: of several faults, the one in the first term by text is reported.
        terms.sort_unstable();
        let parsed = terms.into_iter().filter(|term| !term.is_empty()).map(|term| parse_term(text, term));
        let requirements = parsed.collect::<Result<Vec<_>, _>>()?;
        match requirements.iter().find(|requirement| ![NAME, NAMESPACE].contains(&&*requirement.key)) {
            Some(unknown) => Err(SelectorError::UnknownField(unknown.key.clone())),
            None => Ok(Self(requirements)),
        }
    }

    /// Whether the object of this name is selected. Objects without a namespace, such as nodes, have the empty one.
    pub fn matches(&self, namespace: &str, name: &str) -> bool {
        let value = |key: &str| if key == NAME { name } else { namespace };
        self.0.iter().all(|requirement| requirement.holds_for(Some(value(&requirement.key))))
    }

    /// Whether nothing is required.
    pub fn is_everything(&self) -> bool {
        self.0.is_empty()
    }

    /// What is required, sorted by text. The operators are [`Operator::In`] and [`Operator::NotIn`], each with one
    /// value.
    pub fn requirements(&self) -> &[Requirement] {
        &self.0
    }

    /// The name that `metadata.name` must equal, if it must equal one. Permission is then asked for that name.
    pub fn exact_name(&self) -> Option<&str> {
        let exact = |requirement: &&Requirement| requirement.key == NAME && requirement.operator == Operator::In;
        self.0.iter().find(exact)?.values.first().map(String::as_str)
    }
}

/// Splits at commas that no backslash precedes.
fn split_terms(text: &str) -> Vec<&str> {
    let mut escaped = false;
    let is_separator = |c: char| {
        let separates = c == ',' && !escaped;
        escaped = c == '\\' && !escaped;
        separates
    };
    text.split(is_separator).collect()
}

fn parse_term(whole: &str, term: &str) -> Result<Requirement, SelectorError> {
    let Some(at) = term.find("!=").into_iter().chain(term.find('=')).min() else {
        return Err(SelectorError::Malformed(format!("invalid selector: '{whole}'; can't understand '{term}'")));
    };
    let (key, rest) = term.split_at(at);
    let (operator, value) = match rest.strip_prefix("!=") {
        Some(value) => (Operator::NotIn, value),
        None => (Operator::In, rest.strip_prefix("==").unwrap_or(&rest[1..])),
    };
    let value =
        unescape(value).map_err(|fault| SelectorError::Malformed(format!("invalid field selector: {fault}")))?;
    Ok(Requirement { key: key.to_owned(), operator, values: vec![value] })
}

/// Takes the backslashes from `\\`, `\,` and `\=`. These three characters mean nothing without one.
fn unescape(text: &str) -> Result<String, String> {
    let mut value = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some(escaped @ ('\\' | ',' | '=')) => value.push(escaped),
                Some(other) => return Err(format!("invalid escape sequence: \\{other}")),
                None => return Err("invalid escape sequence: \\".to_owned()),
            },
            // Upstream prints the character as a number.
            ',' | '=' => return Err(format!("unescaped character in value: {}", u32::from(c))),
            other => value.push(other),
        }
    }
    Ok(value)
}

impl fmt::Display for FieldSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, Requirement { key, operator, values }) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            let sign = if *operator == Operator::NotIn { "!=" } else { "=" };
            write!(f, "{comma}{key}{sign}{}", escape(&values.concat()))?;
        }
        Ok(())
    }
}

fn escape(value: &str) -> String {
    value.replace('\\', "\\\\").replace(',', "\\,").replace('=', "\\=")
}

#[cfg(test)]
mod tests;
