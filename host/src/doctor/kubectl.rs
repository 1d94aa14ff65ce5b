//! Commands to paste: kubectl as whoever runs doctor has it, with every word quoted that needs to be.

use serde_json::Value;

use super::printable::word;

/// How kubectl is called so that it speaks with the cluster that was looked at.
#[derive(Clone, Debug, Default)]
pub struct Kubectl {
    options: Vec<String>,
}

impl Kubectl {
    /// With the options that doctor was given.
    pub fn new(kubeconfig: Option<&str>, context: Option<&str>) -> Self {
        let option = |name: &str, value: Option<&str>| value.map(|value| format!("--{name}={value}"));
        Self { options: option("kubeconfig", kubeconfig).into_iter().chain(option("context", context)).collect() }
    }

    /// One command.
    pub(super) fn line(&self, words: &[&str]) -> String {
        let words = self.options.iter().map(String::as_str).chain(words.iter().copied());
        std::iter::once("kubectl".to_owned()).chain(words.map(word)).collect::<Vec<_>>().join(" ")
    }

    /// A change of one object.
    pub(super) fn patch(&self, object: &[&str], kind: &str, patch: &Value) -> String {
        let (kind, patch) = (format!("--type={kind}"), patch.to_string());
        let words: Vec<&str> = ["patch"].iter().chain(object).copied().chain([&*kind, "-p", &*patch]).collect();
        self.line(&words)
    }
}
