//! `metrics-gateway pki DIRECTORY`: makes what an aggregation layer needs of certificates, and prints what to do with it.
//!
//! What is there already stays: a second run makes what is missing, and with `--renew` the two pairs that expire, signed
//! by the CAs that are there, so that nobody's trust has to be changed.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result, ensure};
use base64::Engine as _;
use clap::Args as ClapArgs;

use crate::app;
use crate::model::units::UnixNanos;
use crate::pki::{self, Names, Pair, Role};

/// Makes the certificates of the aggregation layer, for clusters that nobody made them for.
///
/// Ends with 0 if all are there and good, and with 1 if one could not be made.
#[derive(Debug, ClapArgs)]
pub(super) struct PkiArgs {
    /// Where the files are, or shall be.
    directory: PathBuf,
    /// The gateway's Service.
    #[arg(long, value_name = "NAME", default_value = "metrics-server")]
    service: String,
    /// The Service's namespace.
    #[arg(long, value_name = "NAMESPACE", default_value = "kube-system")]
    namespace: String,
    /// The cluster's domain.
    #[arg(long, value_name = "DOMAIN", default_value = "cluster.local")]
    cluster_domain: String,
    /// The common name of the API server's client certificate.
    #[arg(long, value_name = "NAME", default_value = "front-proxy-client")]
    client_name: String,
    /// A further name or address of the gateway; may be repeated.
    #[arg(long = "name", value_name = "NAME")]
    further: Vec<String>,
    /// The directory that the files will have on the control plane, for the flags that are printed.
    #[arg(long, value_name = "DIRECTORY")]
    control_plane_directory: Option<PathBuf>,
    /// Makes the two pairs that the CAs sign anew.
    #[arg(long)]
    renew: bool,
}

/// Whoever reads the list should act before this many days are left.
const SOON: i64 = 30;

/// Does it.
///
/// # Errors
/// With what could not be read, made or written, and which file it was.
pub(super) fn run(args: &PkiArgs) -> Result<ExitCode> {
    let names = Names {
        service: args.service.clone(),
        namespace: args.namespace.clone(),
        cluster_domain: args.cluster_domain.clone(),
        client: args.client_name.clone(),
        further: args.further.clone(),
    };
    for (what, name) in [("--service", &names.service), ("--namespace", &names.namespace)] {
        ensure!(is_label(name), "{what} {name:?} is no name that Kubernetes takes");
    }
    let mut builder = fs::DirBuilder::new();
    let made = builder.recursive(true).mode(0o700).create(&args.directory);
    made.with_context(|| format!("cannot make the directory {}", args.directory.display()))?;
    let now = app::system_clock().now();
    let mut authority = None;
    for role in Role::ALL {
        let pair = provide(args, &names, role, authority.as_ref(), now)?;
        if role.signer().is_none() {
            authority = Some(pair);
        }
    }
    print_what_to_do(args, &names)?;
    Ok(ExitCode::SUCCESS)
}

/// A DNS label, which is what names of Services and namespaces are; they become names of files.
fn is_label(name: &str) -> bool {
    let is_inner = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
    (1..=63).contains(&name.len()) && name.bytes().all(is_inner) && !name.starts_with('-') && !name.ends_with('-')
}

/// The pair that is there, or else a new one; says which.
fn provide(args: &PkiArgs, names: &Names, role: Role, authority: Option<&Pair>, now: UnixNanos) -> Result<Pair> {
    let base = args.directory.join(role.file(names));
    let (certificate, key) = (base.with_added_extension("crt"), base.with_added_extension("key"));
    let is_there = certificate.exists() || key.exists();
    if is_there && !(args.renew && role.signer().is_some()) {
        let read = |path: &Path| fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()));
        let pair = Pair { certificate: read(&certificate)?, key: read(&key)? };
        let days = pki::days_left(&pair.certificate, now).with_context(|| certificate.display().to_string())?;
        let advice = match role.signer() {
            _ if days >= SOON => "",
            Some(_) => "; make it anew with --renew",
            None => "; every client that trusts it has to be given another in time",
        };
        eprintln!("kept {} ({days} days left{advice})", certificate.display());
        return Ok(pair);
    }
    let pair = match (role.signer(), authority) {
        (Some(signer), Some(authority)) => pki::leaf(role, names, authority, now).with_context(|| {
            let signer = args.directory.join(signer.file(names)).with_added_extension("crt");
            format!("{} cannot be signed by {}", certificate.display(), signer.display())
        })?,
        _ => pki::authority(role, names, now)?,
    };
    // The key first: whoever watches the certificate finds the key that belongs to it.
    write(&key, &pair.key, 0o600)?;
    write(&certificate, &pair.certificate, 0o644)?;
    eprintln!("made {}", certificate.display());
    Ok(pair)
}

/// Beside the file and then in its place, so that nobody reads half of it.
fn write(path: &Path, text: &str, mode: u32) -> Result<()> {
    let beside = path.with_added_extension("new");
    let mut options = fs::OpenOptions::new();
    let file = options.write(true).create(true).truncate(true).mode(mode).open(&beside);
    file.and_then(|mut file| file.write_all(text.as_bytes()))
        .and_then(|()| fs::rename(&beside, path))
        .with_context(|| format!("cannot write {}", path.display()))
}

fn print_what_to_do(args: &PkiArgs, names: &Names) -> Result<()> {
    let here = fs::canonicalize(&args.directory)?;
    let there = args.control_plane_directory.as_ref().unwrap_or(&here).display();
    let (here, service, namespace) = (here.display(), &names.service, &names.namespace);
    let authority = fs::read(args.directory.join(Role::ServingCa.file(names)).with_added_extension("crt"))?;
    let bundle = base64::engine::general_purpose::STANDARD.encode(authority);
    println!(
        "# 1. kube-apiserver: add these flags (the files front-proxy-*, and no CA's key, belong on the control plane).
--requestheader-client-ca-file={there}/front-proxy-ca.crt
--requestheader-allowed-names={client}
--requestheader-username-headers=X-Remote-User
--requestheader-group-headers=X-Remote-Group
--requestheader-extra-headers-prefix=X-Remote-Extra-
--proxy-client-cert-file={there}/front-proxy-client.crt
--proxy-client-key-file={there}/front-proxy-client.key
# And this one, where no kube-proxy runs beside the API server:
--enable-aggregator-routing=true

# 2. The gateway: give it its certificate, and tell the API server by which CA to know it.
kubectl --namespace {namespace} create secret tls {service}-tls --cert={here}/{service}.crt --key={here}/{service}.key
helm upgrade --install {service} deploy/chart --namespace {namespace} --set tls.type=existingSecret \\
  --set tls.existingSecret.name={service}-tls --set tls.existingSecret.lookup=true

# 2b. Without helm: mount the secret, start the gateway with --tls-cert-file and --tls-private-key-file, and then
for version in v1beta1 v1; do kubectl patch apiservice $version.metrics.k8s.io --type=merge \\
  --patch='{{\"spec\":{{\"insecureSkipTLSVerify\":null,\"caBundle\":\"{bundle}\"}}}}'; done",
        client = names.client,
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::is_label;

    #[test]
    fn what_would_leave_the_directory_is_no_name() {
        assert!(is_label("metrics-server") && is_label("m1"));
        for name in ["", "-a", "a-", "A", "a.b", "../etc", "a/b", &"a".repeat(64)] {
            assert!(!is_label(name), "{name:?}");
        }
    }
}
