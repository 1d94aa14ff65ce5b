//! Wiring, and nothing else: builds the parts in the order in which data flows through them, owns every task, and
//! ends them in the reverse order.

mod lookup;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, bail};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{info, warn};

use crate::api::audit::{self, Audit};
use crate::api::certificate::ServingCertificates;
use crate::api::flow::Shutdown;
use crate::api::serve::Server;
use crate::api::{self, About, Api};
use crate::args::Args;
use crate::auth::review::KubeReviews;
use crate::auth::trust::TrustStore;
use crate::auth::{Door, Reviewers};
use crate::clock::Clock;
use crate::config::{Config, KubeletTls};
use crate::credentials;
use crate::discovery::{self, Cluster};
use crate::events;
use crate::generations::{Generations, Record, Sandbox};
use crate::model::units::UnixNanos;
use crate::report;
use crate::scrape::kubelet::{ClientOptions, KubeletClient};
use crate::shutdown::Signals;
use crate::store::{self, Store};
use crate::telemetry::Metrics;
use crate::telemetry::news::News;
use crate::tenants::Tenants;
use crate::tick::{self, Tick};
use lookup::KubePods;

/// How we introduce ourselves to API servers and kubelets.
const USER_AGENT: &str = concat!("metrics-gateway/", env!("CARGO_PKG_VERSION"));

/// How often files that may have been rotated are looked at. The kubelet itself renews a mounted token or
/// ConfigMap about once a minute, so this adds little to what a rotation takes.
const REFRESH_PERIOD: Duration = Duration::from_secs(10);

/// The gateway: every part built, no task running yet, the port taken.
pub struct App {
    config: Config,
    clock: Clock,
    client: kube::Client,
    authentication_client: kube::Client,
    cluster: Arc<Cluster>,
    kubelets: Arc<KubeletClient>,
    tick: Arc<Tick>,
    trust: Arc<TrustStore>,
    certificates: Arc<ServingCertificates>,
    server: Server,
    api: Arc<Api>,
    shutdown: Arc<Shutdown>,
    reload: Reload,
    /// Of audit events, if a record is kept.
    writer: Option<audit::Writer>,
    /// Where Events go, if anywhere, and what they are made of.
    announcement: Option<(events::Target, mpsc::Receiver<News>)>,
    about: About,
    /// Everything but connections.
    tasks: TaskTracker,
}

/// What is done about changes of policies, and when SIGHUP asks for them.
enum Reload {
    /// There is no file that could change.
    Nothing(Signal),
    /// The file is followed.
    Files(Box<Generations<Sandbox>>),
    /// A task does it.
    Begun,
}

impl App {
    /// Builds all parts. Nothing is asked of anybody but the API server, and of it only whom to trust.
    ///
    /// # Errors
    /// With whatever makes it impossible to start.
    pub async fn build(args: Args, config: Config) -> Result<Self> {
        let clock = system_clock();
        let tasks = TaskTracker::new();
        let metrics = Arc::new(Metrics::new(config.scrape.resolution));
        let about = About { name: host_name(), started: clock.now() };
        // Before anything can happen that is news.
        let announcement = announcement(&metrics);
        let (tenants, generations, reload) = start_generations(args, &config, &metrics, &clock).await?;
        let cluster = Arc::new(Cluster::new());
        let store = Arc::new(build_store(&config));
        let client = api_server_client(config.kubeconfig.as_deref()).await?;
        let kubelets = Arc::new(build_kubelet_client(&config).await?);
        let tick = Arc::new(Tick::new(
            tick::Parts {
                cluster: Arc::clone(&cluster),
                client: Arc::clone(&kubelets),
                tenants,
                store: Arc::clone(&store),
                metrics: Arc::clone(&metrics),
                clock: clock.clone(),
                tasks: tasks.clone(),
            },
            config.scrape.clone(),
            config.history.timestamp,
        ));
        let trust = TrustStore::load(&config.authentication).await?;
        let certificates = Arc::new(ServingCertificates::load(&config.serving, clock.now())?);
        let (audit, writer) = load_audit(&config, &clock, &metrics)?;
        // The port is taken before anything is waited for: what cannot work fails now, and clients queue meanwhile.
        let server =
            Server::bind(&config.serving, Arc::clone(&certificates), Arc::clone(&trust), Arc::clone(&metrics))?;
        let (authentication_client, door) = build_door(&config, &client, &trust, &clock).await?;
        trust.look_up(authentication_client.clone()).await?;
        let shutdown = Arc::new(Shutdown::default());
        let api = Arc::new(Api::new(
            api::Parts {
                door,
                cluster: Arc::clone(&cluster),
                store,
                tick: Arc::clone(&tick),
                metrics,
                clock: clock.clone(),
                shutdown: Arc::clone(&shutdown),
                audit,
                resource_metrics: config.api.resource_metrics,
                generations,
                about: about.clone(),
                lookup: Arc::new(KubePods::new(client.clone())),
            },
            &config.serving,
        ));
        Ok(Self {
            config,
            clock,
            client,
            authentication_client,
            cluster,
            kubelets,
            tick,
            trust,
            certificates,
            server,
            api,
            shutdown,
            reload,
            writer,
            announcement,
            about,
            tasks,
        })
    }

    /// Runs until the first signal, and then until what has begun is finished.
    ///
    /// # Errors
    /// If the system does not say where we listen.
    pub async fn run(mut self, mut signals: Signals) -> Result<()> {
        let (stop_serving, stop) = (CancellationToken::new(), CancellationToken::new());
        let connections = TaskTracker::new();
        let address = self.server.local_addr()?;
        self.spawn_watches(&stop);
        self.spawn_refresh(&stop);
        self.spawn_reload(&stop);
        if let Some(writer) = self.writer.take() {
            self.tasks.spawn(writer.run(self.tasks.clone(), stop.clone()));
        }
        if let Some((target, news)) = self.announcement.take() {
            let (client, instance) = (self.client.clone(), self.about.name.clone());
            self.tasks.spawn(events::announce(client, target, instance, news, stop.clone()));
        }
        self.tasks.spawn(Arc::clone(&self.tick).run(stop.clone()));
        self.tasks.spawn(self.server.run(Arc::clone(&self.api), connections.clone(), stop_serving.clone()));
        info!(%address, version = env!("CARGO_PKG_VERSION"), "serving");

        let signal = signals.next().await;
        let delay = self.config.serving.shutdown_delay;
        info!(signal, ?delay, "shutting down: not ready any more");
        self.shutdown.begin();
        let drain = async {
            tokio::time::sleep(delay).await;
            let limit = self.config.serving.request_timeout;
            if self.config.serving.shutdown_send_retry_after {
                // Who comes now is told to come back, which is more than a refused connection says. What is still not
                // answered then is waited for below, with a warning.
                let _ = tokio::time::timeout(limit, self.shutdown.turn_away()).await;
            }
            stop_serving.cancel();
            connections.close();
            if tokio::time::timeout(limit, connections.wait()).await.is_err() {
                warn!(connections = connections.len(), "requests outlast --request-timeout; ending without them");
            }
            stop.cancel();
            self.tasks.close();
            self.tasks.wait().await;
        };
        tokio::select! {
            () = drain => info!("ended in good order"),
            signal = signals.next() => bail!("ended at once by a second signal, {signal}"),
        }
        Ok(())
    }

    fn spawn_watches(&self, stop: &CancellationToken) {
        let (cluster, client) = (&self.cluster, &self.client);
        self.tasks.spawn(discovery::nodes::watch(Arc::clone(cluster), client.clone(), stop.clone()));
        self.tasks.spawn(discovery::pods::watch(Arc::clone(cluster), client.clone(), stop.clone()));
        self.tasks.spawn(discovery::namespaces::watch(Arc::clone(cluster), client.clone(), stop.clone()));
        self.spawn(stop, Arc::clone(&self.trust).follow_config_map(self.authentication_client.clone()));
        self.spawn(stop, Arc::clone(&self.trust).follow_files());
    }

    fn spawn_reload(&mut self, stop: &CancellationToken) {
        match std::mem::replace(&mut self.reload, Reload::Begun) {
            Reload::Files(generations) => {
                self.tasks.spawn(generations.run(stop.clone()));
            }
            Reload::Nothing(mut hangups) => self.spawn(stop, async move {
                while hangups.recv().await.is_some() {
                    info!("SIGHUP: there is no --config that could be read again");
                }
            }),
            Reload::Begun => {}
        }
    }

    /// Looks again and again at what may be rotated under us.
    fn spawn_refresh(&self, stop: &CancellationToken) {
        let (clock, certificates, kubelets) =
            (self.clock.clone(), Arc::clone(&self.certificates), Arc::clone(&self.kubelets));
        let (kubeconfig, tls) = (self.config.kubeconfig.clone(), self.config.scrape.tls.clone());
        self.spawn(stop, async move {
            let mut complaint = String::new();
            loop {
                tokio::time::sleep(REFRESH_PERIOD).await;
                certificates.refresh(clock.now());
                let refreshed = match credentials::kubelets(kubeconfig.as_deref(), &tls).await {
                    Ok(fresh) => kubelets.replace(fresh).map_err(anyhow::Error::from),
                    Err(error) => Err(error),
                };
                let now = refreshed.err().map_or_else(String::new, |error| format!("{error:#}"));
                if now != complaint && !now.is_empty() {
                    warn!("credentials for kubelets not replaced, those in force stay: {now}");
                }
                complaint = now;
            }
        });
    }

    fn spawn(&self, stop: &CancellationToken, part: impl Future<Output = ()> + Send + 'static) {
        let stop = stop.clone();
        self.tasks.spawn(async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = part => {}
            }
        });
    }
}

/// The policies in force, what is on record of them, and what puts others there. Without a file there are the built-in
/// ones, and no sandbox.
async fn start_generations(
    args: Args,
    config: &Config,
    metrics: &Arc<Metrics>,
    clock: &Clock,
) -> Result<(watch::Receiver<Arc<Tenants>>, Arc<Record>, Reload)> {
    let (tenants, in_force) = watch::channel(Arc::new(Tenants::upstream(config.scrape.addresses.clone())));
    if args.config.is_empty() {
        metrics.generations.current.set(1);
        metrics.generations.is_last_successful.set(1);
        let record = Arc::new(Record::built_in(clock.now()));
        return Ok((in_force, record, Reload::Nothing(signal(SignalKind::hangup())?)));
    }
    let sandbox = Sandbox::new(config, Arc::clone(metrics));
    let (config, metrics, clock) = (config.clone(), Arc::clone(metrics), clock.clone());
    let generations = Generations::start(args, config, sandbox, tenants, metrics, clock).await?;
    Ok((in_force, generations.record(), Reload::Files(Box::new(generations))))
}

/// What keeps the record of requests, and what writes it.
fn load_audit(
    config: &Config,
    clock: &Clock,
    metrics: &Arc<Metrics>,
) -> Result<(Option<Audit>, Option<audit::Writer>)> {
    let Some(audit) = &config.audit else { return Ok((None, None)) };
    let (audit, writer) = Audit::load(audit, clock.clone(), Arc::clone(metrics))?;
    Ok((Some(audit), Some(writer)))
}

/// The one place that asks the system for the time of day.
#[expect(clippy::disallowed_methods, reason = "somebody has to ask; everybody else is handed this clock")]
pub fn system_clock() -> Clock {
    Clock::new(|| UnixNanos::from_system(SystemTime::now()))
}

/// The Deployment that runs us, as its manifest says, and what there is to tell of us there.
fn announcement(metrics: &Metrics) -> Option<(events::Target, mpsc::Receiver<News>)> {
    const VARIABLE: &str = "METRICS_GATEWAY_DEPLOYMENT";
    let name = std::env::var_os(VARIABLE).filter(|name| !name.is_empty())?.to_string_lossy().into_owned();
    match name.parse() {
        Ok(target) => Some((target, metrics.generations.herald.listen()?)),
        Err(why) => {
            warn!("{VARIABLE} {name:?} {why}; no Events are sent");
            None
        }
    }
}

/// What tells replicas apart: in a cluster the host bears the name of the pod.
fn host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    report::line(name.trim(), 253)
}

fn build_store(config: &Config) -> Store {
    Store::new(store::Rules {
        history: config.history.clone(),
        container_order: config.api.container_order,
        resolution: config.scrape.resolution,
    })
}

async fn api_server_client(kubeconfig: Option<&std::path::Path>) -> Result<kube::Client> {
    let config = credentials::cluster(kubeconfig).await?;
    discovery::client(config).context("cannot set up a client for the API server")
}

async fn build_kubelet_client(config: &Config) -> Result<KubeletClient> {
    let scrape = &config.scrape;
    let credentials = credentials::kubelets(config.kubeconfig.as_deref(), &scrape.tls).await?;
    if scrape.tls == KubeletTls::Plain {
        warn!("kubelets are asked over plain HTTP: whoever is between us and them can read and change what they say");
    }
    let options = ClientOptions {
        timeout: scrape.timeout,
        max_body: scrape.max_body,
        gzip: scrape.gzip,
        user_agent: http::HeaderValue::from_static(USER_AGENT),
    };
    Ok(KubeletClient::try_new(options, credentials)?)
}

/// TokenReviews and SubjectAccessReviews may have kubeconfigs of their own.
async fn build_door(
    config: &Config,
    client: &kube::Client,
    trust: &Arc<TrustStore>,
    clock: &Clock,
) -> Result<(kube::Client, Door)> {
    let client_for = async |kubeconfig: &Option<std::path::PathBuf>| match kubeconfig {
        Some(path) => api_server_client(Some(path)).await,
        None => Ok(client.clone()),
    };
    let authentication = client_for(&config.authentication.kubeconfig).await?;
    let authorization = client_for(&config.authorization.kubeconfig).await?;
    let reviewers = Reviewers {
        tokens: Arc::new(KubeReviews::new(authentication.clone())),
        access: Arc::new(KubeReviews::new(authorization)),
    };
    let clock = clock.clone();
    let door = Door::new(
        Arc::clone(trust),
        reviewers,
        Arc::new(move || clock.now()),
        &config.authentication,
        &config.authorization,
    );
    Ok((authentication, door))
}
