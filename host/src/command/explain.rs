//! `metrics-gateway explain …`: why a running gateway serves a pod or a node as it does, or does not.
//!
//! In: a name. Out: the gateway's own explanation, laid out for people or as it came. It ends with 0 where the object is
//! served, held or not, and with 1 where it is not, so that scripts can wait for it.

mod text;

use std::process::ExitCode;
use std::str::FromStr;

use anyhow::Result;
use clap::{Args as ClapArgs, Subcommand, ValueEnum};
use serde_json::Value;

use super::cluster::ClusterOptions;
use super::gateway::{ask, read, segment};
use crate::report::explanation::{MISSING, NODE, NodeExplanation, POD, PodExplanation};

/// `metrics-gateway explain …`
#[derive(Debug, Subcommand)]
pub(super) enum ExplainCommand {
    /// Says why a pod is served as it is, or why it is missing.
    Pod {
        /// The pod.
        #[arg(value_name = "NAMESPACE/NAME")]
        pod: PodName,
        #[command(flatten)]
        options: Options,
    },
    /// Says why a node is served as it is, or why it is missing.
    Node {
        /// The node.
        name: String,
        #[command(flatten)]
        options: Options,
    },
}

#[derive(Debug, ClapArgs)]
pub(super) struct Options {
    #[command(flatten)]
    cluster: ClusterOptions,
    /// For people, or for programs.
    #[arg(short, long, value_enum, default_value = "text")]
    output: Output,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Output {
    Text,
    Json,
}

/// A pod on the command line.
#[derive(Clone, Debug)]
pub(super) struct PodName {
    namespace: String,
    name: String,
}

impl FromStr for PodName {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once('/') {
            Some((namespace, name)) if !namespace.is_empty() && !name.is_empty() && !name.contains('/') => {
                Ok(Self { namespace: namespace.to_owned(), name: name.to_owned() })
            }
            _ => Err("write NAMESPACE/NAME"),
        }
    }
}

/// Does it.
///
/// # Errors
/// With what stands in the way.
#[tokio::main(flavor = "current_thread")]
pub(super) async fn run(command: ExplainCommand) -> Result<ExitCode> {
    let (path, options) = match &command {
        ExplainCommand::Pod { pod: PodName { namespace, name }, options } => {
            (format!("namespaces/{}/pods/{}/explain", segment(namespace), segment(name)), options)
        }
        ExplainCommand::Node { name, options } => (format!("nodes/{}/explain", segment(name)), options),
    };
    let document = ask(&options.cluster, &path).await?;
    let is_missing = document["state"] == MISSING;
    match options.output {
        Output::Json => println!("{document:#}"),
        Output::Text => print!("{}", laid_out(&command, document)?),
    }
    Ok(if is_missing { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn laid_out(command: &ExplainCommand, document: Value) -> Result<String> {
    Ok(match command {
        ExplainCommand::Pod { .. } => text::pod(&read::<PodExplanation>(document, POD)?),
        ExplainCommand::Node { .. } => text::node(&read::<NodeExplanation>(document, NODE)?),
    })
}
