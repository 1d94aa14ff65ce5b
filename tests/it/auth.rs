//! The door is shut: who cannot prove who they are, or may not, gets no figure, and Kubernetes' Status as an answer.

use std::time::Duration;

use anyhow::{Result, ensure};
use harness::api_server::{AccessRequest, Decision, MASTERS, ReviewFault, User};
use harness::certs::{Authority, FRONT_PROXY_CLIENT, GATEWAY_HOST, Pair};
use harness::client::{Answer, Client};
use harness::cluster::{Cluster, VERSIONS};
use harness::eventually::eventually;
use harness::fleet::FleetSpec;
use harness::gateway::Caller;
use http::StatusCode;
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(30);
/// What somebody without rights may claim to be.
const FORGED: [(&str, &str); 3] =
    [("x-remote-user", "admin"), ("x-remote-group", MASTERS), ("x-remote-extra-scopes", "everything")];

fn nodes() -> String {
    format!("{}/nodes", VERSIONS[0])
}

/// A cluster of one node in which nobody may do anything but `reader`, and the gateway itself.
async fn cluster(args: &[&str]) -> Result<Cluster> {
    let cluster = Cluster::start(FleetSpec { nodes: 1, pods_per_node: 1, ..FleetSpec::default() }, args).await?;
    cluster.api.access().set_rule(|request: &AccessRequest| {
        let may = ["reader", "system:serviceaccount:kube-system:metrics-server"].contains(&&*request.user.name);
        if may { Decision::Allow } else { Decision::NoOpinion(String::new()) }
    });
    eventually("an answer", PATIENCE, async || {
        let answer = cluster.get(&nodes()).await?;
        ensure!(answer.status == StatusCode::OK, "{}", answer.status);
        Ok(())
    })
    .await?;
    Ok(cluster)
}

/// What a client with this certificate gets with these headers.
async fn ask(cluster: &Cluster, identity: Option<&Pair>, headers: &[(&str, &str)]) -> Result<Answer> {
    cluster.gateway.client(identity).get(&nodes(), headers).await
}

fn check(answer: &Answer, code: u16, reason: &str, message: &str) {
    let body = answer.json();
    let status = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "reason": reason,
        "message": message, "code": code});
    let without_details = |mut body: Value| {
        body.as_object_mut().expect("a Status is an object").remove("details");
        body
    };
    assert_eq!((answer.status.as_u16(), without_details(body)), (code, status));
    assert_eq!(answer.header("content-type"), Some("application/json"));
}

fn check_forbidden(answer: &Answer, user: &str) {
    let message = format!(
        r#"nodes.metrics.k8s.io is forbidden: User "{user}" cannot list resource "nodes" in API group "metrics.k8s.io" at the cluster scope"#
    );
    check(answer, 403, "Forbidden", &message);
    assert_eq!(answer.json()["details"], json!({"group": "metrics.k8s.io", "kind": "nodes"}));
}

#[tokio::test]
async fn who_proves_nothing_is_anonymous_whatever_they_claim() -> Result<()> {
    let cluster = cluster(&[]).await?;
    check_forbidden(&ask(&cluster, None, &[]).await?, "system:anonymous");
    check_forbidden(&ask(&cluster, None, &FORGED).await?, "system:anonymous");
    let stranger = cluster.api.certs().user("stranger", &[]);
    check_forbidden(&ask(&cluster, Some(&stranger), &FORGED).await?, "stranger");
    let asked = cluster.api.access().access_reviews();
    assert!(asked.iter().all(|request| request.user.name != "admin"), "{asked:#?}");
    assert!(asked.iter().all(|request| !request.user.groups.iter().any(|group| group == MASTERS)), "{asked:#?}");
    Ok(())
}

#[tokio::test]
async fn a_proof_that_is_none_is_unauthorized() -> Result<()> {
    let cluster = cluster(&[]).await?;
    let certs = cluster.api.certs();
    let unproved = [
        ("another name under the front proxy's CA", certs.front_proxy.client("somebody-else", &[])),
        ("the front proxy's name under a foreign CA", certs.foreign.client(FRONT_PROXY_CLIENT, &[])),
        ("a master by a foreign CA", certs.foreign.client("admin", &[MASTERS])),
        ("a serving certificate", certs.gateway()),
    ];
    for (what, pair) in &unproved {
        let answer = ask(&cluster, Some(pair), &FORGED).await?;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{what}: {}", answer.text());
        check(&answer, 401, "Unauthorized", "Unauthorized");
    }
    for token in ["Bearer forged", "Bearer a.b.c"] {
        check(&ask(&cluster, None, &[("authorization", token)]).await?, 401, "Unauthorized", "Unauthorized");
    }
    Ok(())
}

#[tokio::test]
async fn each_true_proof_opens_the_door_for_whom_may_enter() -> Result<()> {
    let cluster = cluster(&[]).await?;
    let access = cluster.api.access();
    access.add_token("token-of-reader", User::new("reader", &[]));
    access.add_token("token-of-nobody", User::new("nobody", &[]));
    let certs = cluster.api.certs();
    let (reader, nobody) = (User::new("reader", &["team-a"]), User::new("nobody", &[]));
    let (reader_pair, nobody_pair) = (certs.user("reader", &["team-a"]), certs.user("nobody", &[]));
    for caller in [Caller::FrontProxy(&reader), Caller::Certificate(&reader_pair), Caller::Token("token-of-reader")] {
        assert_eq!(cluster.gateway.get(&nodes(), caller).await?.status, StatusCode::OK);
    }
    for caller in [Caller::FrontProxy(&nobody), Caller::Certificate(&nobody_pair), Caller::Token("token-of-nobody")] {
        check_forbidden(&cluster.gateway.get(&nodes(), caller).await?, "nobody");
    }
    let master = certs.user("admin", &[MASTERS]);
    access.clear_reviews();
    assert_eq!(cluster.gateway.get(&nodes(), Caller::Certificate(&master)).await?.status, StatusCode::OK);
    assert!(access.access_reviews().is_empty(), "nobody is asked about a master");
    Ok(())
}

#[tokio::test]
async fn permission_is_asked_for_exactly_what_is_wanted() -> Result<()> {
    let cluster = cluster(&[]).await?;
    cluster.api.access().clear_reviews();
    let user = User::new("reader", &["team-a"]);
    let paths = [
        ("/nodes/node-0000", ["get", "nodes", "", "node-0000"]),
        ("/nodes", ["list", "nodes", "", ""]),
        ("/namespaces/default/pods", ["list", "pods", "default", ""]),
        ("/namespaces/default/pods/x", ["get", "pods", "default", "x"]),
        ("/pods?watch=1", ["watch", "pods", "", ""]),
    ];
    for (path, _) in paths {
        cluster.gateway.get(&format!("{}{path}", VERSIONS[1]), Caller::FrontProxy(&user)).await?;
    }
    cluster.gateway.get("/metrics", Caller::FrontProxy(&user)).await?;
    let asked = cluster.api.access().access_reviews();
    let seen: Vec<[&str; 4]> =
        asked.iter().map(|request| [&*request.verb, &request.resource, &request.namespace, &request.name]).collect();
    assert_eq!(seen[..5], paths.map(|(_, expected)| expected));
    assert_eq!((&*asked[5].verb, &*asked[5].path), ("get", "/metrics"));
    for request in &asked[..5] {
        assert_eq!((&*request.group, &*request.version, &*request.user.name), ("metrics.k8s.io", "v1", "reader"));
        assert!(request.user.groups.iter().any(|group| group == "team-a"), "{request:?}");
    }
    Ok(())
}

#[tokio::test]
async fn when_nobody_can_be_asked_the_door_stays_shut_and_says_when_to_come_again() -> Result<()> {
    let cluster = cluster(&[]).await?;
    cluster.api.stop().await;
    let reader = User::new("reader", &[]);
    let unasked = [Caller::FrontProxy(&reader), Caller::Token("unknown so far"), Caller::Anonymous];
    for caller in unasked {
        let answer = cluster.gateway.get(&nodes(), caller).await?;
        let body = answer.json();
        assert_eq!(
            (answer.status.as_u16(), &body["kind"], &body["reason"]),
            (503, &json!("Status"), &json!("ServiceUnavailable"))
        );
        assert!(answer.header("retry-after").is_some_and(|seconds| seconds != "0"), "{:?}", answer.headers);
    }
    let master = User::new("admin", &[MASTERS]);
    assert_eq!(cluster.gateway.get(&nodes(), Caller::FrontProxy(&master)).await?.status, StatusCode::OK);
    assert!(cluster.gateway.get("/livez", Caller::Anonymous).await?.status.is_success(), "probes ask nobody");
    Ok(())
}

#[tokio::test]
async fn an_api_server_that_fails_at_reviews_opens_nothing() -> Result<()> {
    let cluster = cluster(&[]).await?;
    let access = cluster.api.access();
    access.add_token("token-of-reader", User::new("reader", &[]));
    access.set_fault(ReviewFault { status: Some(StatusCode::FORBIDDEN), ..ReviewFault::default() });
    let answer = cluster.gateway.get(&nodes(), Caller::FrontProxy(&User::new("reader", &[]))).await?;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "{}", answer.text());
    let answer = cluster.gateway.get(&nodes(), Caller::Token("token-of-reader")).await?;
    assert!(!answer.status.is_success(), "{}", answer.text());
    access.set_fault(ReviewFault { token_error: Some("the issuer is down".to_owned()), ..ReviewFault::default() });
    let answer = cluster.gateway.get(&nodes(), Caller::Token("another token")).await?;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{}", answer.text());
    Ok(())
}

#[tokio::test]
async fn a_new_ca_of_the_front_proxy_counts_without_a_restart_and_the_old_one_no_more() -> Result<()> {
    let cluster = cluster(&[]).await?;
    let certs = cluster.api.certs();
    let new_ca = Authority::generate("new-front-proxy-ca");
    let old = certs.front_proxy_client();
    let new = new_ca.client(FRONT_PROXY_CLIENT, &[]);
    assert_eq!(ask(&cluster, Some(&old), &FORGED).await?.status, StatusCode::OK);
    assert_eq!(ask(&cluster, Some(&new), &FORGED).await?.status, StatusCode::UNAUTHORIZED);
    // A connection that outlives the change must not outlive what it was believed for.
    let kept = Client::new(cluster.gateway.address(), GATEWAY_HOST, certs.cluster.roots(), Some(&old));
    assert_eq!(kept.get(&nodes(), &FORGED).await?.status, StatusCode::OK);

    cluster.api.change_front_proxy_config(&[("requestheader-client-ca-file", Some(new_ca.pem()))]);
    eventually("the new CA to count", PATIENCE, async || {
        let status = ask(&cluster, Some(&new), &FORGED).await?.status;
        ensure!(status == StatusCode::OK, "{status}");
        Ok(())
    })
    .await?;
    check(&ask(&cluster, Some(&old), &FORGED).await?, 401, "Unauthorized", "Unauthorized");
    check(&kept.get(&nodes(), &FORGED).await?, 401, "Unauthorized", "Unauthorized");
    Ok(())
}

#[tokio::test]
async fn a_config_map_that_makes_no_sense_changes_nothing() -> Result<()> {
    let cluster = cluster(&[]).await?;
    let front_proxy = cluster.api.certs().front_proxy_client();
    let senseless = [
        ("requestheader-client-ca-file", Some("not PEM at all")),
        ("requestheader-allowed-names", Some("not JSON")),
        ("requestheader-client-ca-file", None),
    ];
    for (key, value) in senseless {
        let lines = cluster.gateway.log().matches("stays in force").count();
        cluster.api.change_front_proxy_config(&[(key, value)]);
        eventually("a line about it", PATIENCE, async || {
            let log = cluster.gateway.log();
            ensure!(log.matches("stays in force").count() > lines, "{key}: {log}");
            Ok(())
        })
        .await?;
        assert_eq!(ask(&cluster, Some(&front_proxy), &FORGED).await?.status, StatusCode::OK, "{key}");
    }
    Ok(())
}

#[tokio::test]
async fn flags_replace_what_the_config_map_says_of_the_front_proxy() -> Result<()> {
    let own_ca = Authority::generate("own-front-proxy-ca");
    let files = harness::directory::Directory::new("metrics-gateway-auth")?;
    std::fs::write(files.file("ca.crt"), own_ca.pem())?;
    let ca = format!("--requestheader-client-ca-file={}", files.file("ca.crt").display());
    let args = [&*ca, "--requestheader-allowed-names=own-proxy", "--requestheader-username-headers=X-Own-User"];
    let cluster = Cluster::start(FleetSpec { nodes: 1, ..FleetSpec::default() }, &args).await?;
    let own = own_ca.client("own-proxy", &[]);
    let headers = [("x-own-user", "admin"), ("x-remote-group", MASTERS)];
    eventually("an answer", PATIENCE, async || {
        let answer = ask(&cluster, Some(&own), &headers).await?;
        ensure!(answer.status == StatusCode::OK, "{}: {}", answer.status, cluster.gateway.log());
        Ok(())
    })
    .await?;
    let of_the_cluster = cluster.api.certs().front_proxy_client();
    check(&ask(&cluster, Some(&of_the_cluster), &FORGED).await?, 401, "Unauthorized", "Unauthorized");
    let other = own_ca.client("other-proxy", &[]);
    check(&ask(&cluster, Some(&other), &headers).await?, 401, "Unauthorized", "Unauthorized");
    Ok(())
}
