use super::*;
use crate::config::policies::PluginLimits;
use crate::model::selector::LabelSelector;

fn tenant(selector: Option<&str>, namespace_labels: bool) -> TenantConfig {
    let place = Place { file: "gateway.toml".into(), line: 1, key: "tenant".to_owned() };
    let filter = BindingConfig {
        plugin: "label-gate".into(),
        settings: "{}".to_owned(),
        on_error: OnError::Keep,
        history: None,
        namespace_labels,
        place: place.clone(),
    };
    TenantConfig {
        name: "payments".into(),
        namespaces: Vec::new(),
        globs: globset::GlobSet::empty(),
        namespace_selector: selector.map(|text| LabelSelector::parse(text).expect("it is a selector")),
        filter: vec![filter],
        window: None,
        cpu_per_tick: Duration::from_secs(1),
        place,
    }
}

#[test]
fn a_filter_sees_labels_of_namespaces_if_it_asks_or_its_own_tenant_goes_by_them() {
    let sees =
        |tenant: TenantConfig| (sees_namespace_labels(&tenant, &tenant.filter[0]), needs_namespace_labels(&tenant));
    assert_eq!(sees(tenant(None, false)), (false, false));
    assert_eq!(sees(tenant(None, true)), (true, true));
    assert_eq!(sees(tenant(Some("team=payments"), false)), (true, true));
}

#[test]
fn a_pin_that_does_not_fit_is_told_with_both_digests() {
    // SHA-256 of nothing, as anyone can look it up.
    let of_nothing = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    let found = check_pin(b"", Some([0xab; 32])).unwrap_err();
    let wanted = "ab".repeat(32);
    let text = format!("the artifact is not the pinned one: its sha256 is {of_nothing}, and {wanted} was pinned");
    assert_eq!(found, text);
    assert_eq!(check_pin(b"", None), Ok(()));
    assert_eq!(check_pin(b"", Some(Sha256::digest(b"").into())), Ok(()));
}

#[test]
fn a_chain_of_errors_is_told_once_each() {
    #[derive(Debug, thiserror::Error)]
    #[error("cannot fetch")]
    struct Outer(#[source] std::io::Error);
    assert_eq!(chain(&Outer(std::io::Error::other("no route"))), "cannot fetch: no route");
    let told = source::SourceError::File { path: "/p".into(), source: std::io::Error::other("no such file") };
    assert_eq!(chain(&told), "cannot read /p: no such file");
}

#[test]
fn what_nobody_holds_is_not_kept() {
    let kept: Kept<PluginLimits, u32> = Kept::default();
    let made = |number| kept.get_or_make(PluginLimits::default(), |_| number);
    let first = made(1);
    assert_eq!(*made(2), 1, "the first is held");
    drop(first);
    assert_eq!(*made(3), 3, "nobody holds it any more");
}
