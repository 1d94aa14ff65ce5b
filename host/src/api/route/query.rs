//! The query of a request: pairs, and the options of a list. Pure and total.
//!
//! Of a repeated parameter the first value counts; names are case-sensitive; unknown ones are ignored. One set of
//! pairs serves permission and filtering alike, so that nobody is permitted one selection and given another.
//!
//! Rules: Go's `net/url` `ParseQuery`; `k8s.io/apimachinery` v0.36 `pkg/apis/meta/{v1,internalversion}` (decoding in
//! the order of the fields, then selectors, then validation). One difference: upstream drops pairs that it cannot
//! decode, and a list without its selector is then every object; here such a list is refused.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use crate::api::wire::Status;
use crate::api::wire::status::{Cause, quote};
use crate::model::selector::{FieldSelector, LabelSelector, SelectorError};

/// The decoded pairs of a query, in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Query<'a> {
    pairs: Vec<(Cow<'a, str>, Cow<'a, str>)>,
    /// What is wrong with the first pair that cannot be decoded.
    malformed: Option<String>,
}

impl<'a> Query<'a> {
    /// Decodes a query without its question mark.
    pub(super) fn parse(text: &'a str) -> Self {
        let mut query = Self::default();
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            match decode_pair(pair) {
                Ok(pair) => query.pairs.push(pair),
                Err(why) => query.malformed = query.malformed.or(Some(why)),
            }
        }
        query
    }

    /// The first value of a parameter.
    pub(super) fn first(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    /// Every value of a parameter.
    pub(super) fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.pairs.iter().filter(move |(own, _)| own == name).map(|(_, value)| &**value)
    }

    /// A parameter that is a switch: on if it is there and neither `false` nor `0`.
    pub(super) fn is_on(&self, name: &str) -> bool {
        self.first(name).is_some_and(|value| value != "0" && !value.eq_ignore_ascii_case("false"))
    }

    fn check_integer(&self, name: &str) -> Result<(), Status> {
        self.first(name).map_or(Ok(()), |text| parse_int(text).map_err(Status::bad_request))
    }
}

fn decode_pair(pair: &str) -> Result<(Cow<'_, str>, Cow<'_, str>), String> {
    if pair.contains(';') {
        return Err("invalid semicolon separator in query".to_owned());
    }
    let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
    Ok((decode(name)?, decode(value)?))
}

fn decode(text: &str) -> Result<Cow<'_, str>, String> {
    if let Some(escape) = bad_escape(text) {
        return Err(format!("invalid URL escape {}", quote(escape)));
    }
    if !text.contains(['+', '%']) {
        return Ok(Cow::Borrowed(text));
    }
    let spaced = text.replace('+', " ");
    let decoded = percent_decode_str(&spaced).decode_utf8().map_err(|_| format!("not UTF-8: {}", quote(text)))?;
    Ok(Cow::Owned(decoded.into_owned()))
}

/// The first percent sign that no two hexadecimal digits follow, with what follows it.
pub(super) fn bad_escape(text: &str) -> Option<&str> {
    let is_bad = |at: &usize| {
        let digits = text.as_bytes().get(at + 1..at + 3);
        !digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    };
    let at = text.match_indices('%').map(|(at, _)| at).find(is_bad)?;
    // Three bytes at most, but no character cut in two.
    let end = text[at..].char_indices().map(|(i, c)| at + i + c.len_utf8()).take_while(|end| end - at <= 3).last()?;
    Some(&text[at..end])
}

/// What a list is asked for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ListOptions {
    /// `labelSelector`.
    pub labels: LabelSelector,
    /// `fieldSelector`.
    pub fields: FieldSelector,
}

/// The options of a list, and whether it asks for a watch instead. Faults are reported in upstream's order: numbers,
/// label selector, field selector, contradictions, and last a field that cannot be selected by.
pub(super) fn list_options(query: &Query<'_>) -> Result<ListOptions, Status> {
    if let Some(why) = &query.malformed {
        return Err(Status::bad_request(format!("invalid query in the request URL - {why}")));
    }
    query.check_integer("timeoutSeconds")?;
    query.check_integer("limit")?;
    let bad_selector = |error: SelectorError| Status::bad_request(error.to_string());
    let labels = LabelSelector::parse(query.first("labelSelector").unwrap_or_default()).map_err(bad_selector)?;
    let fields = FieldSelector::parse(query.first("fieldSelector").unwrap_or_default());
    if let Err(error @ SelectorError::Malformed(_)) = fields {
        return Err(bad_selector(error));
    }
    let contradictions = contradictions(query);
    if !contradictions.is_empty() {
        return Err(Status::invalid_list_options(contradictions));
    }
    Ok(ListOptions { labels, fields: fields.map_err(bad_selector)? })
}

/// The selectors for which permission is asked. One that cannot be read is left out, so that permission is asked for
/// more, not less; as is one of a query that will be refused.
pub(super) fn selectors(query: &Query<'_>) -> ListOptions {
    if query.malformed.is_some() {
        return ListOptions::default();
    }
    ListOptions {
        labels: query.first("labelSelector").and_then(|text| LabelSelector::parse(text).ok()).unwrap_or_default(),
        fields: query.first("fieldSelector").and_then(|text| FieldSelector::parse(text).ok()).unwrap_or_default(),
    }
}

/// Go's `strconv.ParseInt(text, 10, 64)`, for its faults only: nothing here uses the numbers.
fn parse_int(text: &str) -> Result<(), String> {
    let why = |what: &str| Err(format!("strconv.ParseInt: parsing {}: {what}", quote(text)));
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return why("invalid syntax");
    }
    if text.parse::<i64>().is_err() { why("value out of range") } else { Ok(()) }
}

fn contradictions(query: &Query<'_>) -> Vec<Cause> {
    let value = |name: &str| query.first(name).unwrap_or_default();
    let matching = value("resourceVersionMatch");
    let has_initial_events = query.first("sendInitialEvents").is_some();
    let mut causes = Vec::new();
    if query.is_on("watch") {
        if has_initial_events && matching != "NotOlderThan" {
            causes.push(forbidden(MATCH, "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"));
        }
        if !matching.is_empty() {
            if !has_initial_events {
                causes.push(forbidden(
                    MATCH,
                    "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided",
                ));
            }
            if matching != "NotOlderThan" {
                causes.push(unsupported(matching, "\"NotOlderThan\""));
            }
            if !value("continue").is_empty() {
                causes.push(forbidden(MATCH, "resourceVersionMatch is forbidden when continue is provided"));
            }
        }
        return causes;
    }
    if !matching.is_empty() {
        if value("resourceVersion").is_empty() {
            causes.push(forbidden(MATCH, "resourceVersionMatch is forbidden unless resourceVersion is provided"));
        }
        if !value("continue").is_empty() {
            causes.push(forbidden(MATCH, "resourceVersionMatch is forbidden when continue is provided"));
        }
        if !["Exact", "NotOlderThan"].contains(&matching) {
            causes.push(unsupported(matching, "\"Exact\", \"NotOlderThan\", \"\""));
        }
        if matching == "Exact" && value("resourceVersion") == "0" {
            causes.push(forbidden(MATCH, "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\""));
        }
    }
    if has_initial_events {
        causes.push(forbidden("sendInitialEvents", "sendInitialEvents is forbidden for list"));
    }
    causes
}

const MATCH: &str = "resourceVersionMatch";

fn forbidden(field: &'static str, why: &str) -> Cause {
    Cause { reason: "FieldValueForbidden", message: format!("Forbidden: {why}"), field }
}

fn unsupported(value: &str, supported: &str) -> Cause {
    let message = format!("Unsupported value: {}: supported values: {supported}", quote(value));
    Cause { reason: "FieldValueNotSupported", message, field: MATCH }
}

#[cfg(test)]
mod tests;
