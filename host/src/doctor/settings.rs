//! What the gateway goes by: its flags and its gateway.toml, from the command line or from its Deployment.
//!
//! In: the flags after `--`, or the Deployment. Out: the [`Config`] and the [`Tenants`] that the gateway would make of them,
//! so that doctor asks nodes where the gateway asks them; and findings where it would refuse to start.
//!
//! A Deployment's flags name files of its pod. On an operator's machine those are not there: gateway.toml is read from the
//! ConfigMap that is mounted in its place, plugins are done without, which is said.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;

use super::backend::Backend;
use super::cause::Cause;
use super::report::{Finding, Remedy};
use super::server::{Server, items, text};
use crate::args::{self, Args, Invocation};
use crate::config::{self, Config, KubeletTls, KubeletVerify, Problems};
use crate::generations::{Loader as _, Sandbox, without_plugins};
use crate::plugins::load::Loaded;
use crate::telemetry::Metrics;
use crate::tenants::Tenants;

/// Where the flags are from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// The command line: their files are here.
    Given,
    /// The Deployment: their files are in its pod.
    Deployment,
    /// Nobody says any.
    Defaults,
}

impl Origin {
    fn words(self) -> &'static str {
        match self {
            Self::Given => "the flags given",
            Self::Deployment => "the Deployment's flags",
            Self::Defaults => {
                "the default flags, as there is no Deployment to read them from and none are given after `--`"
            }
        }
    }
}

/// The gateway's own way to see things.
pub(super) struct Settings {
    pub(super) config: Config,
    pub(super) tenants: Arc<Tenants>,
    pub(super) origin: Origin,
}

/// Finds them out. The last resort are the defaults.
pub(super) async fn gather(
    server: &Server,
    backend: &Backend,
    given: Option<Args>,
    is_in_pod: bool,
) -> (Settings, Vec<Finding>) {
    let mut findings = Vec::new();
    let (args, origin) = match (given, of_deployment(backend)) {
        (Some(args), _) => (args, Origin::Given),
        (None, Some(Ok(args))) => (args, Origin::Deployment),
        (None, Some(Err(why))) => {
            findings.push(refused(&why));
            (defaults(), Origin::Defaults)
        }
        (None, None) => (defaults(), Origin::Defaults),
    };
    let has_files = origin == Origin::Given || is_in_pod;
    let loaded = if has_files { config::load(&args) } else { load_from_cluster(server, backend, &args).await };
    let mut config = match loaded {
        Ok((config, _)) => config,
        Err(problems) => {
            findings.push(refused(&problems.to_string()));
            let (config, _) = config::load(&defaults()).expect("the defaults have no problems");
            config
        }
    };
    if let Some(problems) = config.policies_set_aside.take() {
        findings.push(refused(&problems.to_string()));
    }
    if !has_files {
        stand_in_for_files(&mut config, &mut findings);
    }
    let tenants = Arc::new(tenants(&config, has_files, &mut findings).await);
    if findings.is_empty() {
        findings.push(Finding::ok("gateway-flags", "", told(&config, origin)));
    }
    (Settings { config, tenants, origin }, findings)
}

fn told(config: &Config, origin: Origin) -> String {
    let kinds = config.scrape.addresses.kinds.join(",");
    let verify = match &config.scrape.tls {
        KubeletTls::Plain => "plain HTTP".to_owned(),
        KubeletTls::Tls { verify: KubeletVerify::Insecure, .. } => "kubelet certificates are not verified".to_owned(),
        KubeletTls::Tls { verify: KubeletVerify::ClusterCa, .. } => {
            "kubelet certificates by the cluster's CA".to_owned()
        }
        KubeletTls::Tls { verify: KubeletVerify::File(path), .. } => {
            format!("kubelet certificates by {}", path.display())
        }
    };
    let pools = config.policies.node_pools.len();
    let pools = if pools == 0 { String::new() } else { format!(", {}", super::backend::count(pools, "node pool")) };
    format!("by {}: addresses {kinds}, {verify}{pools}", origin.words())
}

fn refused(why: &str) -> Finding {
    let remedy = Remedy::text("mend what it names; `metrics-gateway config check FILE FLAGS` says the same");
    Finding::failed(
        "gateway-flags",
        "",
        Cause::FlagsRefused,
        format!("the gateway would refuse to start: {why}"),
        remedy,
    )
}

fn defaults() -> Args {
    parse(std::iter::empty()).expect("no flags at all are good flags")
}

/// The gateway's arguments, as its own program reads them.
pub(super) fn parse(flags: impl IntoIterator<Item = OsString>) -> Result<Args, String> {
    match args::parse(flags) {
        Ok(Invocation::Run(args)) => Ok(*args),
        Ok(_) => Err("these are no flags to run the gateway with".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

/// None: there is no Deployment.
fn of_deployment(backend: &Backend) -> Option<Result<Args, String>> {
    let container = backend.container()?;
    let words = items(container, "/args").iter().filter_map(Value::as_str).map(OsString::from);
    Some(parse(words))
}

/// gateway.toml from the ConfigMap that is mounted where the flag points.
async fn load_from_cluster(server: &Server, backend: &Backend, args: &Args) -> Result<(Config, Vec<String>), Problems> {
    let toml = match mounted(backend, Path::new(&args.config)) {
        Some((map, key)) => {
            let path = format!("/api/v1/namespaces/{}/configmaps/{map}", backend.namespace);
            let object = server.get(&path).await.unwrap_or_default();
            object["data"][&key].as_str().unwrap_or_default().to_owned()
        }
        None => String::new(),
    };
    config::load_text(args, &toml)
}

/// The ConfigMap and the key behind a file of the container.
fn mounted(backend: &Backend, file: &Path) -> Option<(String, String)> {
    let (directory, name) = (file.parent()?, file.file_name()?.to_str()?);
    let mounts = items(backend.container()?, "/volumeMounts").iter();
    let mount = mounts.into_iter().find(|mount| Path::new(text(mount, "/mountPath")) == directory)?;
    let volumes = items(backend.deployment()?, "/spec/template/spec/volumes").iter();
    let volume = volumes.into_iter().find(|volume| text(volume, "/name") == text(mount, "/name"))?;
    let map = text(volume, "/configMap/name");
    if map.is_empty() { None } else { Some((map.to_owned(), name.to_owned())) }
}

/// What the pod has in files, and this machine has not.
fn stand_in_for_files(config: &mut Config, findings: &mut Vec<Finding>) {
    // The kubeconfig of the pod is not ours to use, nor is it here.
    config.kubeconfig = None;
    let KubeletTls::Tls { verify, client_pair } = &mut config.scrape.tls else { return };
    *client_pair = None;
    let KubeletVerify::File(path) = verify else { return };
    let is_cluster_ca = path.starts_with("/var/run/secrets/kubernetes.io/serviceaccount");
    if !is_cluster_ca {
        let message = format!(
            "--kubelet-certificate-authority={} is a file of the pod: here the cluster's CA stands in for it",
            path.display()
        );
        findings.push(Finding::skipped("gateway-flags", "", message));
    }
    *verify = KubeletVerify::ClusterCa;
}

/// With plugins where they can be loaded; addresses are asked of them.
async fn tenants(config: &Config, has_files: bool, findings: &mut Vec<Finding>) -> Tenants {
    let (policies, addresses) = (&config.policies, &config.scrape.addresses);
    let built_in = || without_plugins(policies, 1, addresses.clone());
    if policies.plugins.is_empty() {
        return built_in();
    }
    let loader = Sandbox::new(config, Arc::new(Metrics::new(config.scrape.resolution)));
    match loader.load(policies, 1, addresses).await {
        Ok(Loaded { tenants, .. }) => tenants,
        Err(problems) if has_files => {
            findings.push(refused(&problems.to_string()));
            built_in()
        }
        Err(_) => {
            let message = "plugins are files of the pod, or cannot be fetched from here: node addresses are chosen by the \
                           built-in rule; run doctor in the pod to have the plugins asked";
            findings.push(Finding::skipped("gateway-flags", "", message));
            built_in()
        }
    }
}

impl Settings {
    /// The gateway's own kubeconfig, where its flags name one that is here.
    pub(super) fn kubeconfig(&self) -> Option<&PathBuf> {
        self.config.kubeconfig.as_ref()
    }
}
