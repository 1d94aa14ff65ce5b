//! A real OCI registry on loopback: Debian's docker-registry, with its storage in a directory of its own.
//!
//! In: whether it speaks TLS, and whether it wants a password. Out: an address for the gateway, and a client for what the
//! gateway would not push: other layouts, signatures. Stopping it is what a network that is gone looks like; its port
//! stays ours meanwhile, and what it stored is there when it is started again.

use std::fs;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{Method, StatusCode, Uri};
use metrics_gateway::config::policies::OciSource;
use metrics_gateway::plugins::source::oci::Digest;
use tokio::net::TcpStream;

use crate::body::Body;
use crate::certs::{Certs, Validity};
use crate::client::{Answer, Client};
use crate::directory::Directory;
use crate::eventually::eventually;
use crate::port::ReservedPort;

/// The user that a registry with [`Door::Locked`] lets in.
pub const USER: &str = "gateway";
/// And the password.
pub const PASSWORD: &str = "open sesame";
/// [`USER`] and [`PASSWORD`] as `htpasswd -B` writes them; the registry takes nothing but bcrypt.
const HTPASSWD: &str = "gateway:$2y$05$abcdefghijklmnopqrstuupx2xBUC4954936wVIjyyPHmUBFu0wCW\n";

/// Who may enter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    /// Anybody, over TLS.
    Open,
    /// [`USER`] with [`PASSWORD`], over TLS.
    Locked,
    /// Anybody, without TLS.
    Plain,
}

/// The registry; ended, and its directory removed, when it is dropped.
pub struct Registry {
    child: Option<Child>,
    port: ReservedPort,
    door: Door,
    directory: Directory,
    certs: Certs,
}

impl Registry {
    /// Starts an empty one.
    ///
    /// # Errors
    /// Where there is no docker-registry, or it does not answer.
    pub async fn start(door: Door) -> Result<Self> {
        let (port, directory, certs) = (ReservedPort::take()?, Directory::new("oci-registry")?, Certs::generate());
        certs.cluster.server(&["127.0.0.1"], Validity::Long).write(directory.path(), "registry")?;
        fs::write(directory.file("ca.crt"), certs.cluster.pem())?;
        fs::write(directory.file("foreign-ca.crt"), certs.foreign.pem())?;
        fs::write(directory.file("htpasswd"), HTPASSWD)?;
        let mut registry = Self { child: None, port, door, directory, certs };
        fs::write(registry.directory.file("config.yml"), registry.configuration())?;
        registry.start_again().await?;
        Ok(registry)
    }

    /// Starts it after [`Registry::stop`], with what it has stored.
    ///
    /// # Errors
    /// As [`Registry::start`].
    pub async fn start_again(&mut self) -> Result<()> {
        let child = Command::new("docker-registry")
            .arg("serve")
            .arg(self.directory.file("config.yml"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::from(fs::File::create(self.directory.file("log"))?))
            .spawn()
            .context("docker-registry is missing: apt-get install docker-registry")?;
        self.child = Some(child);
        let address = self.port.address();
        let log = || fs::read_to_string(self.directory.file("log")).unwrap_or_default();
        eventually("docker-registry listens", Duration::from_secs(30), async || {
            TcpStream::connect(address).await.with_context(|| format!("its log is:\n{}", log()))
        })
        .await
        .map(drop)
    }

    /// Ends it: from now on connections are refused.
    pub fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // It may have ended by itself, which is as good.
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// A source for `rest`, as in `acme/ewma:1`, by which the registry is trusted, asked without a password.
    pub fn source(&self, rest: &str) -> OciSource {
        let is_plain = self.door == Door::Plain;
        OciSource {
            reference: format!("{}/{rest}", self.port.address()).into(),
            pull_secret: None,
            certificate_authority: (!is_plain).then(|| self.directory.file("ca.crt")),
            plain_http: is_plain,
            cosign_key: None,
        }
    }

    /// As [`Registry::source`], with a docker config.json that holds `password` for [`USER`].
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn source_with(&self, rest: &str, password: &str) -> Result<OciSource> {
        let path = self.directory.file("config.json");
        let auth = STANDARD.encode(format!("{USER}:{password}"));
        fs::write(&path, format!("{{\"auths\":{{\"https://{}\":{{\"auth\":\"{auth}\"}}}}}}", self.port.address()))?;
        Ok(OciSource { pull_secret: Some(path), ..self.source(rest) })
    }

    /// Where its files are: `ca.crt` and `foreign-ca.crt` among them.
    pub fn directory(&self) -> &Directory {
        &self.directory
    }

    /// Uploads a blob, whatever it is. Over TLS only.
    ///
    /// # Errors
    /// Where the registry does not take it.
    pub async fn put_blob(&self, repository: &str, bytes: &[u8]) -> Result<Digest> {
        let digest = Digest::of(bytes);
        let begun = self.ask(Method::POST, &format!("/v2/{repository}/blobs/uploads/"), "", b"").await?;
        ensure!(begun.status == StatusCode::ACCEPTED, "{begun:?}");
        let place: Uri = begun.header("location").context("no place for the upload")?.parse()?;
        let path = format!("{}&digest={digest}", place.path_and_query().context("no path")?);
        let uploaded = self.ask(Method::PUT, &path, "application/octet-stream", bytes).await?;
        ensure!(uploaded.status == StatusCode::CREATED, "{uploaded:?}");
        Ok(digest)
    }

    /// Has `tag` stand for a manifest of the type `kind`, whatever it is. Over TLS only.
    ///
    /// # Errors
    /// Where the registry does not take it.
    pub async fn put_manifest(&self, repository: &str, tag: &str, kind: &str, manifest: &str) -> Result<Digest> {
        let path = format!("/v2/{repository}/manifests/{tag}");
        let uploaded = self.ask(Method::PUT, &path, kind, manifest.as_bytes()).await?;
        ensure!(uploaded.status == StatusCode::CREATED, "{uploaded:?}");
        Ok(Digest::of(manifest.as_bytes()))
    }

    /// GETs `path`, asking for OCI manifests. Over TLS only.
    ///
    /// # Errors
    /// Where no whole answer comes; any status is an answer.
    pub async fn get(&self, path: &str) -> Result<Answer> {
        let accept = ("accept", "application/vnd.oci.image.manifest.v1+json");
        self.client().get(path, &[accept]).await
    }

    async fn ask(&self, method: Method, path: &str, kind: &str, bytes: &[u8]) -> Result<Answer> {
        let headers = [("content-type", kind)];
        self.client().request(method, path, &headers, Body::from(bytes.to_vec())).await
    }

    fn client(&self) -> Client {
        Client::new(self.port.address(), "127.0.0.1", self.certs.cluster.roots(), None)
    }

    fn configuration(&self) -> String {
        let (address, files) = (self.port.address(), self.directory.path().display());
        let tls = format!("  tls: {{certificate: {files}/registry.crt, key: {files}/registry.key}}\n");
        let auth = format!("auth: {{htpasswd: {{realm: tests, path: {files}/htpasswd}}}}\n");
        format!(
            "version: 0.1\nlog: {{level: warn, accesslog: {{disabled: true}}}}\n\
             storage: {{filesystem: {{rootdirectory: {files}/storage}}}}\n\
             http:\n  addr: {address}\n  secret: of no importance on loopback\n{}{}",
            if self.door == Door::Plain { "" } else { &tls },
            if self.door == Door::Locked { &auth } else { "" },
        )
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.stop();
    }
}
