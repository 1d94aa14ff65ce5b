//! What went wrong on a connection, by the words of those who report it: Go's net, crypto/tls and crypto/x509 in messages of
//! the API server and the kubelets, and this program's own.
//!
//! In: a text. Out: a [`Symptom`], which is the same wherever it appears; what it means depends on who was asked, so each
//! check has a cause of its own for it.
//!
//! Absent on purpose: any guess. A text that is not known is [`Symptom::Unknown`], and is shown as it is.

/// What went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Symptom {
    /// Nobody listens.
    Refused,
    /// No answer in time.
    Timeout,
    /// The name is not known.
    NoSuchHost,
    /// There is no way there.
    NoRoute,
    /// The certificate's issuer is not trusted.
    UnknownAuthority,
    /// The certificate is for other names.
    WrongName,
    /// The certificate names no address, and an address was dialled.
    NoIpSans,
    /// The certificate is not valid at this time.
    Expired,
    /// The server has no certificate to show.
    NoCertificate,
    /// TLS fails otherwise.
    Tls,
    /// It was answered, with this status.
    Status(u16),
    /// The connection ended without an answer.
    BrokenOff,
    /// None of these.
    Unknown,
}

/// In this order: what is more exact comes first. All in lower case.
const WORDS: &[(&str, Symptom)] = &[
    ("doesn't contain any ip sans", Symptom::NoIpSans),
    ("certificate signed by unknown authority", Symptom::UnknownAuthority),
    ("unknownissuer", Symptom::UnknownAuthority),
    ("certificate is valid for", Symptom::WrongName),
    ("certificate is not valid for any names", Symptom::WrongName),
    ("relies on legacy common name", Symptom::WrongName),
    ("has expired or is not yet valid", Symptom::Expired),
    ("tls: internal error", Symptom::NoCertificate),
    ("alert: internalerror", Symptom::NoCertificate),
    ("connection refused", Symptom::Refused),
    ("no such host", Symptom::NoSuchHost),
    ("server misbehaving", Symptom::NoSuchHost),
    ("name resolution", Symptom::NoSuchHost),
    ("no route to host", Symptom::NoRoute),
    ("network is unreachable", Symptom::NoRoute),
    ("i/o timeout", Symptom::Timeout),
    ("deadline exceeded", Symptom::Timeout),
    ("client.timeout", Symptom::Timeout),
    ("handshake timeout", Symptom::Timeout),
    ("timed out", Symptom::Timeout),
    ("x509:", Symptom::Tls),
    ("tls:", Symptom::Tls),
    ("http response to https client", Symptom::Tls),
    ("connection reset", Symptom::BrokenOff),
    ("broken pipe", Symptom::BrokenOff),
    ("eof", Symptom::BrokenOff),
];

/// Which symptom a text tells of.
pub(super) fn of(text: &str) -> Symptom {
    let lower = text.to_lowercase();
    if let Some(status) = bad_status(&lower) {
        return Symptom::Status(status);
    }
    WORDS.iter().find(|(words, _)| lower.contains(words)).map_or(Symptom::Unknown, |(_, symptom)| *symptom)
}

/// `bad status from https://10.0.0.1:443/apis/…: 403`, as the aggregator says it.
fn bad_status(lower: &str) -> Option<u16> {
    let (_, rest) = lower.split_once("bad status from ")?;
    let (_, status) = rest.rsplit_once(": ")?;
    status.trim().get(..3)?.parse().ok()
}

#[cfg(test)]
mod tests;
