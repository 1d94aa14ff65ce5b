use super::*;

fn candidate(host: &str) -> Candidate {
    Candidate { host: host.into(), port: 10250, path: None, server_name: None }
}

#[test]
fn an_annotated_path_can_name_no_query_and_no_host() {
    assert_eq!(escaped("/metrics/nodes/a/metrics/resource"), "/metrics/nodes/a/metrics/resource");
    assert_eq!(escaped("metrics"), "/metrics");
    assert_eq!(escaped("/a?b=c#d"), "/a%3Fb=c%23d");
    assert_eq!(escaped("/a\r\nX-Evil: 1"), "/a%0D%0AX-Evil:%201");
}

#[test]
fn ipv6_addresses_are_bracketed() {
    assert_eq!(kubelet::authority(&candidate("fd00::1")), "[fd00::1]:10250");
    assert_eq!(kubelet::authority(&candidate("10.0.0.1")), "10.0.0.1:10250");
    assert_eq!(kubelet::authority(&candidate("node1")), "node1:10250");
}

#[test]
fn every_failure_has_a_reason_of_its_own_that_is_fit_for_a_label() {
    let io = || std::io::Error::from(std::io::ErrorKind::Other);
    let named = || ("n".to_owned(), "d".to_owned());
    let status = |code| ScrapeError::Status { status: http::StatusCode::from_u16(code).unwrap(), hint: "" };
    let (host, detail) = named();
    let errors = [
        ScrapeError::NoAddress(NoAddress::NoneMatched { wanted: vec!["InternalIP".to_owned()] }),
        ScrapeError::Dns { host: host.clone(), source: io() },
        ScrapeError::Connect { address: host.clone(), source: io() },
        ScrapeError::TlsName { host: host.clone(), detail: detail.clone() },
        ScrapeError::TlsCa { host: host.clone(), detail: detail.clone() },
        ScrapeError::TlsExpired { host: host.clone(), detail: detail.clone() },
        ScrapeError::Tls { host, detail: detail.clone() },
        status(401),
        status(403),
        status(404),
        status(500),
        ScrapeError::Timeout { limit: Duration::from_secs(10) },
        ScrapeError::TooLarge { limit: 1 },
        ScrapeError::BrokenOff(detail.clone()),
        ScrapeError::Decode(DecodeError::NotText { lines: 1 }),
        ScrapeError::Credentials(detail),
    ];
    let reasons: std::collections::BTreeSet<_> = errors.iter().map(ScrapeError::reason).collect();
    assert_eq!(reasons.len(), errors.len());
    let is_fit = |reason: &&str| reason.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    assert!(reasons.iter().all(is_fit), "{reasons:?}");
}
