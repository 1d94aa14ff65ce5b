//! Says which containers are served. This one drops those whose names are listed.

use metrics_gateway_sdk::filter::prelude::*;

/// What an operator may set.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Names of containers, or patterns of names (`*`, `?`), that are not served.
    pub containers: Vec<Pattern>,
}

/// The filter.
pub struct Policy(Settings);

impl Filter for Policy {
    type Settings = Settings;

    fn new(settings: Settings) -> Result<Self, String> {
        Ok(Self(settings))
    }

    fn verdict(&self, _pod: &Pod, container: &str) -> Verdict {
        let is_listed = self.0.containers.iter().any(|pattern| pattern.matches(container));
        if is_listed { Verdict::Drop } else { Verdict::Keep }
    }
}

metrics_gateway_sdk::export_filter!(Policy);

#[cfg(test)]
mod tests {
    use metrics_gateway_sdk::testing::pod;

    use super::*;

    #[test]
    fn only_listed_containers_are_dropped() {
        let policy = Policy::new(Settings { containers: vec![Pattern::new("linkerd-*")] }).unwrap();
        let cart = pod("shop", "cart-1").containers(["app", "linkerd-proxy"]).build();
        assert_eq!(policy.classify(&[cart]), [Verdict::Keep, Verdict::Drop]);
    }
}
