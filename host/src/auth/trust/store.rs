//! Keeps the [`Trust`] current: files named by flags, else the ConfigMap that the API server keeps for its extensions.
//!
//! Keep last good: a ConfigMap that is deleted, lacks a CA it had, or cannot be read changes nothing; nor does such a
//! file. Each change, and each reason for not changing, is one line in the log, when it begins.
//!
//! Start-up is strict: [`TrustStore::load`] fails on a bad file, [`TrustStore::look_up`] on an API server that refuses.
//! Afterwards two futures go on for ever, to be spawned by whoever owns the tasks: [`TrustStore::follow_config_map`]
//! and [`TrustStore::follow_files`].

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use futures_util::StreamExt;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::runtime::{WatchStreamExt, watcher};
use parking_lot::Mutex;
use tokio::io::AsyncReadExt;
use tokio::sync::watch;
use tracing::{info, warn};

use super::{BadTrust, Data, FrontProxy, Pool, Trust, UserHeaders, client_ca_of, front_proxy_of};
use crate::config::{AuthenticationConfig, RequestHeaderFiles};

/// Holds the current [`Trust`] and replaces it whole.
pub struct TrustStore {
    current: ArcSwap<Trust>,
    generation: watch::Sender<u64>,
    client_ca_file: Option<PathBuf>,
    request_header: Option<RequestHeaderFiles>,
    skip_lookup: bool,
    tolerate_lookup_failure: bool,
    /// Guards changes; and per source, what is wrong with it, so that it is said once.
    complaints: Mutex<HashMap<Source, String>>,
}

/// Where trust comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Source {
    ClientCaFile,
    FrontProxyCaFile,
    ConfigMapClientCa,
    ConfigMapFrontProxy,
    Watch,
}

const NAMESPACE: &str = "kube-system";
const NAME: &str = "extension-apiserver-authentication";
/// How often files are looked at. Rotations leave both CAs in the bundle for much longer.
const FILE_PERIOD: Duration = Duration::from_secs(60);
/// As long as a ConfigMap can be.
const LONGEST_FILE: u64 = 1 << 20;

impl TrustStore {
    /// Reads the files that the flags name.
    ///
    /// # Errors
    /// [`TrustError::File`] where one cannot be read or holds no CA.
    pub async fn load(config: &AuthenticationConfig) -> Result<Arc<Self>, TrustError> {
        let store = Self {
            current: ArcSwap::from_pointee(Trust::default()),
            generation: watch::Sender::new(0),
            client_ca_file: config.client_ca_file.clone(),
            request_header: config.request_header.clone(),
            skip_lookup: config.skip_lookup,
            tolerate_lookup_failure: config.tolerate_lookup_failure,
            complaints: Mutex::default(),
        };
        let (client_ca, front_proxy) = (store.read_client_ca().await, store.read_front_proxy().await);
        store.take(Source::ClientCaFile, client_ca.transpose()?.map(Part::ClientCa));
        store.take(Source::FrontProxyCaFile, front_proxy.transpose()?.map(Part::FrontProxy));
        Ok(Arc::new(store))
    }

    /// Whom the door believes now.
    pub fn current(&self) -> Arc<Trust> {
        self.current.load_full()
    }

    /// Tells of changes, by the number of the generation.
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.generation.subscribe()
    }

    /// Whether the ConfigMap says anything that the flags do not.
    pub fn needs_config_map(&self) -> bool {
        !self.skip_lookup && (self.client_ca_file.is_none() || self.request_header.is_none())
    }

    /// Reads the ConfigMap once, at the start. That there is none is no error: requests by front proxies are then not
    /// believed until there is one.
    ///
    /// # Errors
    /// [`TrustError::LookUp`] where the API server gives no answer or refuses, unless the configuration tolerates it.
    pub async fn look_up(&self, client: kube::Client) -> Result<(), TrustError> {
        if !self.needs_config_map() {
            return Ok(());
        }
        let config_maps: Api<ConfigMap> = Api::namespaced(client, NAMESPACE);
        match config_maps.get_opt(NAME).await {
            Ok(found) => self.take_config_map(found.map(|found| found.data.unwrap_or_default()).as_ref()),
            Err(error) if self.tolerate_lookup_failure => {
                self.complain(Source::Watch, format!("ConfigMap \"{NAMESPACE}/{NAME}\" could not be read: {error}"));
            }
            Err(error) => return Err(TrustError::LookUp(Box::new(error))),
        }
        Ok(())
    }

    /// Follows the ConfigMap for ever. Ends at once where it does not count.
    pub async fn follow_config_map(self: Arc<Self>, client: kube::Client) {
        if !self.needs_config_map() {
            return;
        }
        let config_maps: Api<ConfigMap> = Api::namespaced(client, NAMESPACE);
        let config = watcher::Config::default().fields(&format!("metadata.name={NAME}"));
        let mut events = pin!(watcher(config_maps, config).default_backoff());
        let mut found = false;
        while let Some(event) = events.next().await {
            match event {
                Ok(event) => found = self.take_event(event, found),
                Err(error) => self.complain(Source::Watch, explain(&error)),
            }
        }
    }

    /// Looks at the files that the flags name, once a minute, for ever. Ends at once where there are none.
    pub async fn follow_files(self: Arc<Self>) {
        while self.client_ca_file.is_some() || self.request_header.is_some() {
            tokio::time::sleep(FILE_PERIOD).await;
            self.reread_files().await;
        }
    }

    /// Looks at the files that the flags name, now.
    pub async fn reread_files(&self) {
        match self.read_client_ca().await.transpose() {
            Ok(client_ca) => self.take(Source::ClientCaFile, client_ca.map(Part::ClientCa)),
            Err(error) => self.complain(Source::ClientCaFile, error.to_string()),
        }
        match self.read_front_proxy().await.transpose() {
            Ok(front_proxy) => self.take(Source::FrontProxyCaFile, front_proxy.map(Part::FrontProxy)),
            Err(error) => self.complain(Source::FrontProxyCaFile, error.to_string()),
        }
    }

    async fn read_client_ca(&self) -> Option<Result<Pool, TrustError>> {
        Some(read_pool(self.client_ca_file.as_deref()?).await)
    }

    async fn read_front_proxy(&self) -> Option<Result<FrontProxy, TrustError>> {
        let files = self.request_header.as_ref()?;
        let allowed_names = files.allowed_names.clone();
        let (name, uid) = (&files.username_headers, &files.uid_headers);
        let headers = UserHeaders::new(name, uid, &files.group_headers, &files.extra_headers_prefix);
        let pool = read_pool(&files.client_ca_file).await;
        Some(pool.map(|authorities| FrontProxy { authorities, allowed_names, headers }))
    }

    /// Whether the ConfigMap was among what the watch has found since it last began anew.
    pub(super) fn take_event(&self, event: watcher::Event<ConfigMap>, found: bool) -> bool {
        self.content(Source::Watch);
        match event {
            watcher::Event::Apply(object) | watcher::Event::InitApply(object) => {
                // A server that does not honour the field selector must not bring in somebody else's ConfigMap.
                let is_it = object.metadata.name.as_deref() == Some(NAME);
                if is_it {
                    self.take_config_map(Some(&object.data.unwrap_or_default()));
                }
                found || is_it
            }
            watcher::Event::Init => false,
            watcher::Event::InitDone if found => true,
            watcher::Event::InitDone | watcher::Event::Delete(_) => {
                self.take_config_map(None);
                false
            }
        }
    }

    /// Takes over what the ConfigMap says and the flags do not; None where there is no ConfigMap.
    pub(in crate::auth) fn take_config_map(&self, data: Option<&Data>) {
        if self.client_ca_file.is_none() {
            let client_ca = data.map_or(Ok(None), client_ca_of);
            let had_one = self.current.load().client_ca.is_some();
            self.take_part(Source::ConfigMapClientCa, client_ca.map(|pool| pool.map(Part::ClientCa)), had_one);
        }
        if self.request_header.is_none() {
            let front_proxy = data.map_or(Ok(None), front_proxy_of);
            let had_one = self.current.load().front_proxy.is_some();
            self.take_part(Source::ConfigMapFrontProxy, front_proxy.map(|proxy| proxy.map(Part::FrontProxy)), had_one);
        }
    }

    fn take_part(&self, source: Source, part: Result<Option<Part>, BadTrust>, had_one: bool) {
        match part {
            Ok(Some(part)) => self.take(source, Some(part)),
            Ok(None) if had_one => self.complain(source, "the ConfigMap or its CA is gone".to_owned()),
            Ok(None) => self.complain(source, "there is no ConfigMap, or no CA in it".to_owned()),
            Err(error) => self.complain(source, error.to_string()),
        }
    }

    /// Replaces one part of the trust, if it differs, and with it the whole.
    fn take(&self, source: Source, part: Option<Part>) {
        let Some(part) = part else { return };
        let mut complaints = self.complaints.lock();
        complaints.remove(&source);
        let old = self.current.load_full();
        let Some(mut new) = part.replaced_in(&old) else { return };
        new.generation = old.generation + 1;
        let generation = new.generation;
        info!(generation, source = source.name(), "trust in certificates changed");
        if new.lets_clients_impersonate() {
            warn!(
                generation,
                "every client certificate can pass for a front proxy, and so for any user: the CA of clients is also that \
                 of front proxies, and requestheader-allowed-names is empty"
            );
        }
        self.current.store(Arc::new(new));
        self.generation.send_replace(generation);
    }

    /// Says what is wrong with a source, unless that was said last.
    fn complain(&self, source: Source, problem: String) {
        let mut complaints = self.complaints.lock();
        if complaints.get(&source) != Some(&problem) {
            let generation = self.current.load().generation;
            warn!(generation, source = source.name(), "{problem}; what was trusted before stays in force");
            complaints.insert(source, problem);
        }
    }

    fn content(&self, source: Source) {
        self.complaints.lock().remove(&source);
    }

    /// What is wrong at present, for tests.
    #[cfg(test)]
    pub(in crate::auth) fn complaints(&self) -> Vec<String> {
        self.complaints.lock().values().cloned().collect()
    }
}

/// Of an answer of the API server only what is for people: kube's own text holds all of its fields.
fn explain(error: &watcher::Error) -> String {
    match error {
        watcher::Error::WatchError(status)
        | watcher::Error::InitialListFailed(kube::Error::Api(status))
        | watcher::Error::WatchStartFailed(kube::Error::Api(status))
        | watcher::Error::WatchFailed(kube::Error::Api(status)) => {
            let (code, reason, message) = (status.code, &status.reason, &status.message);
            format!(
                "the API server does not let us watch \"{NAMESPACE}/{NAME}\": it answers {code} {reason}: {message}"
            )
        }
        other => format!("watching \"{NAMESPACE}/{NAME}\" failed: {other}"),
    }
}

/// What a source brings.
enum Part {
    ClientCa(Pool),
    FrontProxy(FrontProxy),
}

impl Part {
    /// The trust with this part in place of its own; None where that is the same.
    fn replaced_in(self, old: &Trust) -> Option<Trust> {
        let mut new = old.clone();
        match self {
            Self::ClientCa(pool) if old.client_ca() == Some(&pool) => return None,
            Self::FrontProxy(proxy) if old.front_proxy() == Some(&proxy) => return None,
            Self::ClientCa(pool) => new.client_ca = Some(Arc::new(pool)),
            Self::FrontProxy(proxy) => new.front_proxy = Some(Arc::new(proxy)),
        }
        Some(new)
    }
}

impl Source {
    fn name(self) -> &'static str {
        match self {
            Self::ClientCaFile => "--client-ca-file",
            Self::FrontProxyCaFile => "--requestheader-client-ca-file",
            Self::ConfigMapClientCa => "client CA of ConfigMap kube-system/extension-apiserver-authentication",
            Self::ConfigMapFrontProxy => "front proxy of ConfigMap kube-system/extension-apiserver-authentication",
            Self::Watch => "watch of ConfigMap kube-system/extension-apiserver-authentication",
        }
    }
}

async fn read_pool(path: &Path) -> Result<Pool, TrustError> {
    let refuse = |problem: String| TrustError::File { path: path.to_owned(), problem };
    let file = tokio::fs::File::open(path).await.map_err(|error| refuse(error.to_string()))?;
    let mut pem = Vec::new();
    file.take(LONGEST_FILE).read_to_end(&mut pem).await.map_err(|error| refuse(error.to_string()))?;
    Pool::from_pem(&pem).map_err(|error| refuse(error.to_string()))
}

/// The gateway cannot start, as it does not know whom to believe.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// A file that a flag names is no good.
    #[error("CA file \"{}\": {problem}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        problem: String,
    },
    /// The ConfigMap could not be read.
    #[error(
        "ConfigMap \"kube-system/extension-apiserver-authentication\" could not be read; the Role of the same name with \
         -reader at its end allows it, and --authentication-tolerate-lookup-failure goes on without"
    )]
    LookUp(#[source] Box<kube::Error>),
}
