//! Which cluster a command speaks with: what `--kubeconfig` and `--context` say, and without them what kubectl would take
//! ($KUBECONFIG, `~/.kube/config`, or the pod that we run in).

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use clap::Args as ClapArgs;
use kube::config::{KubeConfigOptions, Kubeconfig};

/// The options of every command that speaks with a cluster.
#[derive(Clone, Debug, Default, ClapArgs)]
pub(super) struct ClusterOptions {
    /// Who asks, and which API server; without it as kubectl finds it.
    #[arg(long, value_name = "FILE")]
    pub(super) kubeconfig: Option<PathBuf>,
    /// Which context of the kubeconfig.
    #[arg(long, value_name = "NAME")]
    pub(super) context: Option<String>,
}

impl ClusterOptions {
    /// How the API server is reached.
    ///
    /// # Errors
    /// If nothing says how, or what says so cannot be read.
    pub(super) async fn config(&self) -> Result<kube::Config> {
        let options = KubeConfigOptions { context: self.context.clone(), ..KubeConfigOptions::default() };
        let Some(path) = &self.kubeconfig else {
            if self.context.is_some() {
                return kube::Config::from_kubeconfig(&options).await.context("cannot use the kubeconfig");
            }
            return kube::Config::infer().await.context("no cluster to speak with: give --kubeconfig");
        };
        let read = Kubeconfig::read_from(path).with_context(|| format!("--kubeconfig {}", path.display()))?;
        kube::Config::from_custom_kubeconfig(read, &options)
            .await
            .with_context(|| format!("--kubeconfig {}", path.display()))
    }
}
