//! One node: its candidate addresses, to the bytes of its kubelet's answer or an outcome with its reason.
//!
//! `/metrics/resource` is asked for, or the path that the candidate or else the node's annotation names. A kubelet that
//! has no `/metrics/resource` (404; before 1.14, or with the endpoint turned off) is asked for `/stats/summary` instead,
//! for as long as the connection lasts: a kubelet that is upgraded is restarted, and the new connection asks afresh.
//!
//! Candidates are tried in order when a connection cannot be made. What a kubelet that answered has said, stands.
//!
//! Absent on purpose: which candidates a node has, storing, serving, and any retry of an answer. The next tick is the
//! retry.

pub mod kubelet;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use tokio::time::Instant;

use crate::decode::{DecodeError, Form};
use crate::model::Node;
use crate::model::policy::{Candidate, NoAddress};
use kubelet::{Connection, KubeletClient};

/// What a kubelet said.
#[derive(Debug)]
pub struct Answer {
    /// The body, decompressed.
    pub body: Bytes,
    /// What it is written in.
    pub form: Form,
}

/// Why a node yields no answer. Each variant is one reason, in the log and in metrics.
#[derive(Debug, thiserror::Error)]
pub enum ScrapeError {
    /// No address of the node is one to dial. The operator's: the preferred types, or the node's status.
    #[error(transparent)]
    NoAddress(#[from] NoAddress),
    /// The name of the node cannot be resolved.
    #[error("cannot resolve {host:?}: {source}")]
    Dns {
        /// What was looked up.
        host: String,
        /// What the resolver said.
        source: std::io::Error,
    },
    /// Nobody answers there.
    #[error("cannot connect to {address}: {source}")]
    Connect {
        /// Where.
        address: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// The kubelet's certificate is not for the name or address that it has to bear.
    #[error("the certificate of {host:?} does not name {}: {detail}", it_or_another(host, expected))]
    TlsName {
        /// What was dialled.
        host: String,
        /// The name or address that the certificate has to bear: what was dialled, unless we were told another.
        expected: String,
        /// Which names it does have.
        detail: String,
    },
    /// The kubelet's certificate is by an issuer that is not trusted.
    #[error("the certificate of {host:?} is by nobody we trust: {detail}")]
    TlsCa {
        /// What was dialled.
        host: String,
        /// What is wrong with it.
        detail: String,
    },
    /// The kubelet's certificate is expired, or not valid yet.
    #[error("the certificate of {host:?} is not valid at this time: {detail}")]
    TlsExpired {
        /// What was dialled.
        host: String,
        /// When it is valid.
        detail: String,
    },
    /// Any other failure of TLS, on either side.
    #[error("TLS with {host:?} failed: {detail}")]
    Tls {
        /// What was dialled.
        host: String,
        /// What TLS said.
        detail: String,
    },
    /// The kubelet answered with a status that is not 200.
    #[error("request failed, status: \"{status}\"{hint}")]
    Status {
        /// The status.
        status: http::StatusCode,
        /// What it usually means, for those that people meet.
        hint: &'static str,
        /// What the kubelet said beside it, in full only where that is short. Not for the log: it is the kubelet's to choose.
        said: Box<str>,
    },
    /// The kubelet took longer than it has.
    #[error("no complete answer within {limit:?}")]
    Timeout {
        /// `--kubelet-request-timeout`.
        limit: Duration,
    },
    /// The answer is longer than we read.
    #[error("the answer is longer than {limit} bytes; the rest was not read")]
    TooLarge {
        /// `scrape.max_body`.
        limit: usize,
    },
    /// The connection ended, or what came over it is not HTTP.
    #[error("the exchange broke off: {0}")]
    BrokenOff(String),
    /// The answer cannot be read.
    #[error("cannot read the answer: {0}")]
    Decode(#[from] DecodeError),
    /// Our own credentials for kubelets are unusable.
    #[error("no usable credentials for kubelets: {0}")]
    Credentials(String),
}

impl ScrapeError {
    /// The reason as a fixed word, for logs and for labels of metrics.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::NoAddress(_) => "no-address",
            Self::Dns { .. } => "dns",
            Self::Connect { .. } => "connect",
            Self::TlsName { .. } => "tls-name",
            Self::TlsCa { .. } => "tls-ca",
            Self::TlsExpired { .. } => "tls-expired",
            Self::Tls { .. } => "tls",
            Self::Status { status, .. } => match status.as_u16() {
                401 => "401",
                403 => "403",
                404 => "404",
                _ => "status",
            },
            Self::Timeout { .. } => "timeout",
            Self::TooLarge { .. } => "too-large",
            Self::BrokenOff(_) => "broken-off",
            Self::Decode(_) => "decode",
            Self::Credentials(_) => "credentials",
        }
    }

    /// Whether another address of the node may fare better.
    fn is_about_the_address(&self) -> bool {
        matches!(
            self,
            Self::Dns { .. }
                | Self::Connect { .. }
                | Self::TlsName { .. }
                | Self::TlsCa { .. }
                | Self::TlsExpired { .. }
                | Self::Tls { .. }
        )
    }
}

fn it_or_another(host: &str, expected: &str) -> String {
    if host == expected { "it".to_owned() } else { format!("{expected:?}") }
}

/// Asks one node's kubelet, again and again, over one connection where it can.
pub struct NodeScraper {
    client: Arc<KubeletClient>,
    node: Arc<Node>,
    /// What the address policy says of the node as it is.
    candidates: Result<Vec<Candidate>, NoAddress>,
    connection: Option<Connection>,
    form: Form,
}

impl NodeScraper {
    /// A scraper that does not know yet where to ask.
    pub fn new(client: Arc<KubeletClient>, node: Arc<Node>) -> Self {
        Self { client, node, candidates: Ok(Vec::new()), connection: None, form: Form::Text }
    }

    /// The node that is asked.
    pub fn node(&self) -> &Arc<Node> {
        &self.node
    }

    /// Whether the node is not to be asked, which is no failure; why.
    pub fn skipped(&self) -> Option<&NoAddress> {
        self.candidates.as_ref().err().filter(|reason| matches!(reason, NoAddress::Skipped { .. }))
    }

    /// From now on the node is as this, and is asked there. Where the candidates are as before, as when only a label of
    /// the node has changed, the connection goes on being used.
    pub fn update(&mut self, node: Arc<Node>, candidates: Result<Vec<Candidate>, NoAddress>) {
        if candidates != self.candidates {
            self.connection = None;
        }
        (self.node, self.candidates) = (node, candidates);
    }

    /// Asks once, within the client's time limit.
    ///
    /// # Errors
    /// With the reason. Nothing is kept of a failed exchange but the knowledge that it failed.
    pub async fn scrape(&mut self) -> Result<Answer, ScrapeError> {
        let limit = self.client.timeout();
        let deadline = Instant::now() + limit;
        let answer = tokio::time::timeout_at(deadline, self.ask(deadline)).await;
        answer.unwrap_or(Err(ScrapeError::Timeout { limit }))
    }

    async fn ask(&mut self, deadline: Instant) -> Result<Answer, ScrapeError> {
        // The kubelet may have closed the kept connection meanwhile: that is worth one new one.
        if let Some(kept) = self.connection.take().filter(|kept| self.client.is_current(kept)) {
            match self.ask_over(kept).await {
                Err(ScrapeError::BrokenOff(_)) => {}
                outcome => return outcome,
            }
        }
        self.form = Form::Text;
        let connection = self.connect(deadline).await?;
        self.ask_over(connection).await
    }

    async fn ask_over(&mut self, mut connection: Connection) -> Result<Answer, ScrapeError> {
        let named = connection.path().or(self.node.resource_metrics_path.as_deref()).map(escaped);
        let mut answer = self.client.get(&mut connection, named.as_deref().unwrap_or(self.usual_path())).await;
        let is_404 = matches!(&answer, Err(error) if error.reason() == "404");
        if is_404 && connection.is_open() && self.form == Form::Text && named.is_none() {
            self.form = Form::Summary;
            answer = self.client.get(&mut connection, self.usual_path()).await;
        }
        self.connection = Some(connection).filter(Connection::is_open);
        let body = answer?;
        Ok(Answer { body, form: self.form })
    }

    async fn connect(&mut self, deadline: Instant) -> Result<Connection, ScrapeError> {
        let candidates = self.candidates.clone()?;
        let mut first_error = None;
        for (at, candidate) in candidates.iter().enumerate() {
            match self.connect_to(candidate, deadline, candidates.len() - at).await {
                Ok(connection) => return Ok(connection),
                Err(error) if error.is_about_the_address() => first_error = first_error.or(Some(error)),
                Err(error) => return Err(error),
            }
        }
        // The best address is the one the operator meant: its failure is the one to mend.
        Err(first_error.unwrap_or(ScrapeError::NoAddress(NoAddress::NoneMatched { wanted: Vec::new() })))
    }

    /// A candidate that does not answer may take up only its share of the time that is left.
    async fn connect_to(
        &mut self,
        candidate: &Candidate,
        deadline: Instant,
        candidates_left: usize,
    ) -> Result<Connection, ScrapeError> {
        let left = deadline.saturating_duration_since(Instant::now());
        let share = left / u32::try_from(candidates_left).unwrap_or(u32::MAX);
        let connecting = tokio::time::timeout(share, self.client.connect(candidate));
        connecting.await.unwrap_or_else(|_| {
            let address = kubelet::authority(candidate);
            let source = std::io::Error::new(std::io::ErrorKind::TimedOut, format!("no answer within {share:?}"));
            Err(if candidates_left == 1 && left <= share {
                ScrapeError::Timeout { limit: self.client.timeout() }
            } else {
                ScrapeError::Connect { address, source }
            })
        })
    }

    /// Where nobody names another.
    fn usual_path(&self) -> &'static str {
        match self.form {
            Form::Summary => "/stats/summary?only_cpu_and_memory=true",
            Form::Text => "/metrics/resource",
        }
    }
}

/// An annotation or a policy names a path, never a query: as upstream, a `?` in it is escaped.
fn escaped(path: &str) -> String {
    const NOT_IN_A_PATH: &AsciiSet = &CONTROLS
        .add(b' ')
        .add(b'"')
        .add(b'#')
        .add(b'<')
        .add(b'>')
        .add(b'?')
        .add(b'%')
        .add(b'[')
        .add(b']')
        .add(b'`')
        .add(b'{')
        .add(b'}')
        .add(b'|')
        .add(b'\\')
        .add(b'^');
    let escaped = utf8_percent_encode(path, NOT_IN_A_PATH);
    if path.starts_with('/') { escaped.to_string() } else { format!("/{escaped}") }
}

#[cfg(test)]
mod tests;
