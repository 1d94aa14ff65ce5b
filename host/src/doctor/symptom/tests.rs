use super::{Symptom, of};

#[test]
fn the_texts_that_people_search_for_are_told_apart() {
    let known = [
        (
            "Get \"https://10.96.1.1:443/apis/metrics.k8s.io/v1beta1\": dial tcp 10.96.1.1:443: connect: connection refused",
            Symptom::Refused,
        ),
        ("dial tcp 10.0.0.5:10250: i/o timeout", Symptom::Timeout),
        ("context deadline exceeded", Symptom::Timeout),
        (
            "net/http: request canceled while waiting for connection (Client.Timeout exceeded while awaiting headers)",
            Symptom::Timeout,
        ),
        ("net/http: TLS handshake timeout", Symptom::Timeout),
        ("dial tcp: lookup node-1 on 10.96.0.10:53: no such host", Symptom::NoSuchHost),
        ("dial tcp: lookup node-1: Temporary failure in name resolution", Symptom::NoSuchHost),
        ("dial tcp 10.0.0.5:443: connect: no route to host", Symptom::NoRoute),
        (
            "x509: certificate signed by unknown authority (possibly because of \"crypto/rsa: verification error\")",
            Symptom::UnknownAuthority,
        ),
        (
            "tls: failed to verify certificate: x509: certificate is valid for localhost, not metrics-server.kube-system.svc",
            Symptom::WrongName,
        ),
        ("x509: cannot validate certificate for 10.0.0.5 because it doesn't contain any IP SANs", Symptom::NoIpSans),
        ("x509: certificate relies on legacy Common Name field, use SANs instead", Symptom::WrongName),
        (
            "x509: certificate has expired or is not yet valid: current time 2026-11-21T00:00:00Z is after 2026-01-01T00:00:00Z",
            Symptom::Expired,
        ),
        ("remote error: tls: internal error", Symptom::NoCertificate),
        ("remote error: tls: handshake failure", Symptom::Tls),
        (
            "failing or missing response from https://10.0.0.1:443/apis/x: bad status from https://10.0.0.1:443/apis/x: 403",
            Symptom::Status(403),
        ),
        ("bad status from https://[fd00::1]:443/apis/x: 503", Symptom::Status(503)),
        ("read tcp 10.0.0.1:1->10.0.0.2:2: read: connection reset by peer", Symptom::BrokenOff),
        ("Get \"https://10.0.0.1:443\": EOF", Symptom::BrokenOff),
        ("something nobody has seen before", Symptom::Unknown),
        ("bad status from : 9", Symptom::Unknown),
        ("", Symptom::Unknown),
    ];
    for (text, expected) in known {
        assert_eq!(of(text), expected, "{text}");
    }
}
