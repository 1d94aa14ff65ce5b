use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, KeyPair, date_time_ymd};
use serde_json::{Value, json};

use super::{Aggregation, judge};
use crate::doctor::cause::Cause;
use crate::doctor::kubectl::Kubectl;
use crate::doctor::report::Verdict;
use crate::doctor::server::{Read, Unread};

const NOW: i64 = 1_795_219_200;

fn ca(last_year: i32) -> String {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name.push(DnType::CommonName, "front-proxy-ca");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(last_year, 1, 1);
    params.self_signed(&KeyPair::generate().unwrap()).unwrap().pem()
}

fn config(changes: &[(&str, Option<&str>)]) -> Value {
    let mut data = json!({
        "client-ca-file": ca(2030),
        "requestheader-allowed-names": "[\"front-proxy-client\"]",
        "requestheader-client-ca-file": ca(2030),
        "requestheader-extra-headers-prefix": "[\"X-Remote-Extra-\"]",
        "requestheader-group-headers": "[\"X-Remote-Group\"]",
        "requestheader-username-headers": "[\"X-Remote-User\"]",
    });
    for (key, value) in changes {
        match value {
            Some(value) => data[key] = (*value).into(),
            None => drop(data.as_object_mut().unwrap().remove(*key)),
        }
    }
    json!({"data": data})
}

fn check_config(config: Read, expected: (Verdict, Option<Cause>)) {
    let seen = Aggregation { config, flags: Ok(None), router: Ok(None) };
    let findings = judge(&seen, true, NOW, &Kubectl::default());
    assert_eq!((findings[0].verdict, findings[0].cause), expected, "{findings:?}");
}

#[test]
fn each_fault_of_the_config_map_has_its_cause() {
    use Verdict::{Failed, Ok as Good, Skipped, Warning};
    check_config(Ok(config(&[])), (Good, None));
    let unread = |status| Err(Unread { status, text: "said".to_owned() });
    check_config(unread(Some(404)), (Failed, Some(Cause::AuthenticationConfigMissing)));
    check_config(unread(Some(403)), (Warning, Some(Cause::AuthenticationConfigUnreadable)));
    check_config(unread(None), (Skipped, None));
    let missing = [("requestheader-client-ca-file", None)];
    check_config(Ok(config(&missing)), (Failed, Some(Cause::RequestheaderFlagsMissing)));
    let users = [("requestheader-username-headers", Some("[]"))];
    check_config(Ok(config(&users)), (Failed, Some(Cause::RequestheaderHeadersMissing)));
    let groups = [("requestheader-group-headers", None)];
    check_config(Ok(config(&groups)), (Warning, Some(Cause::RequestheaderHeadersMissing)));
    let broken = [("requestheader-client-ca-file", Some("no PEM"))];
    check_config(Ok(config(&broken)), (Failed, Some(Cause::AuthenticationCaInvalid)));
    let old = ca(2025);
    let expired = [("requestheader-client-ca-file", Some(&*old))];
    check_config(Ok(config(&expired)), (Failed, Some(Cause::AuthenticationCaExpired)));
    let both = format!("{old}{}", ca(2030));
    let rotating = [("requestheader-client-ca-file", Some(&*both))];
    check_config(Ok(config(&rotating)), (Good, None));
}

fn check_flags(flags: &[&str], router: Option<&str>, is_available: bool, expected: [Option<Cause>; 2]) {
    let flags = flags.iter().map(|flag| (*flag).to_owned()).collect();
    let seen = Aggregation { config: Ok(config(&[])), flags: Ok(Some(flags)), router: Ok(router.map(str::to_owned)) };
    let findings = judge(&seen, is_available, NOW, &Kubectl::default());
    assert_eq!([findings[1].cause, findings[2].cause], expected, "{findings:?}");
}

#[test]
fn each_missing_flag_of_the_api_server_has_its_cause() {
    let request = ["--requestheader-client-ca-file=a", "--requestheader-username-headers=X-Remote-User"];
    let proxy = ["--proxy-client-cert-file=c", "--proxy-client-key-file=k"];
    let all = [request, proxy].concat();
    check_flags(&all, Some("DaemonSet kube-proxy"), false, [None, None]);
    check_flags(&all, None, false, [None, Some(Cause::NoServiceRouting)]);
    check_flags(&all, None, true, [None, None]);
    let routing = [&all[..], &["--enable-aggregator-routing=true"]].concat();
    check_flags(&routing, None, false, [None, None]);
    let off = [&all[..], &["--enable-aggregator-routing=false"]].concat();
    check_flags(&off, None, false, [None, Some(Cause::NoServiceRouting)]);
    check_flags(&proxy, Some("x"), false, [Some(Cause::RequestheaderFlagsMissing), None]);
    check_flags(&request, Some("x"), false, [Some(Cause::ProxyClientFlagsMissing), None]);
}
