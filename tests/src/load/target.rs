//! The deployment under load: addresses, TLS, and the token.
//!
//! A name that resolves to several addresses stands for all of them: connections are spread over the replicas, as a
//! balancing client would. Certificates are verified for the name, not for the address.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use clap::Args;
use tokio::time::timeout;
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint, Identity, Uri};

use crate::client::connections::tuned;
use crate::client::token::BearerToken;

/// The variable with the token; on the command line it would be visible to every user of the machine.
const TOKEN: &str = "ORDERS_LOAD_TOKEN";

/// TCP, TLS and HTTP/2 together.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Target")]
pub(super) struct TargetArguments {
    /// Address of order-service, such as http://127.0.0.1:50051; may be repeated. A name with several addresses stands
    /// for all of them [default: a stack of its own, started for the run].
    #[arg(
        long = "target",
        value_name = "URL",
        env = "ORDERS_LOAD_TARGET",
        value_delimiter = ','
    )]
    pub(super) targets: Vec<String>,

    /// PEM file of the authorities that may sign the server's certificate [default: those of the system].
    #[arg(long, value_name = "FILE", requires = "targets")]
    ca: Option<PathBuf>,

    /// PEM file of the certificate that this client presents.
    #[arg(long, value_name = "FILE", requires = "key")]
    cert: Option<PathBuf>,

    /// PEM file of its private key.
    #[arg(long, value_name = "FILE", requires = "cert")]
    key: Option<PathBuf>,

    /// File with a bearer token [default: the variable ORDERS_LOAD_TOKEN, if it is set].
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
}

/// A resolved target.
#[derive(Clone, Debug)]
pub(super) struct Target {
    pub(super) endpoints: Vec<Endpoint>,
    pub(super) token: Option<BearerToken>,
}

impl TargetArguments {
    /// These addresses instead, without TLS.
    pub(super) fn plain(targets: Vec<String>) -> Self {
        Self {
            targets,
            ..Self::default()
        }
    }

    /// Resolves the addresses and keeps those that answer.
    ///
    /// # Errors
    /// When an address is malformed, a file cannot be read, or no address answers.
    pub(super) async fn connect(&self) -> Result<Target> {
        let token = self.token()?;
        let mut endpoints = Vec::new();
        for address in &self.targets {
            endpoints.extend(self.reachable(address).await?);
        }
        Ok(Target { endpoints, token })
    }

    fn token(&self) -> Result<Option<BearerToken>> {
        if let Some(file) = &self.token_file {
            return BearerToken::read(file).map(Some);
        }
        let text = std::env::var(TOKEN).ok().filter(|text| !text.is_empty());
        let token = text
            .map(|text| BearerToken::parse(&text).with_context(|| format!("{TOKEN} is no token")));
        token.transpose()
    }

    async fn reachable(&self, address: &str) -> Result<Vec<Endpoint>> {
        let uri = parse(address)?;
        let mut answering = Vec::new();
        let mut last = None;
        for socket in resolve(&uri).await? {
            let endpoint = self.endpoint(&uri, socket)?;
            match timeout(CONNECT_TIMEOUT, endpoint.connect()).await {
                Ok(Ok(_)) => answering.push(endpoint),
                Ok(Err(error)) => {
                    last =
                        Some(anyhow::Error::new(error).context(format!("connecting to {socket}")))
                }
                Err(_) => {
                    last = Some(anyhow::anyhow!(
                        "no answer from {socket} within {CONNECT_TIMEOUT:?}"
                    ))
                }
            }
        }
        match (answering.is_empty(), last) {
            (true, Some(error)) => Err(error.context(format!("cannot reach {address}"))),
            (true, None) => bail!("cannot reach {address}: the name has no address"),
            _ => Ok(answering),
        }
    }

    fn endpoint(&self, uri: &Uri, socket: SocketAddr) -> Result<Endpoint> {
        let scheme = uri.scheme_str().unwrap_or("http");
        let endpoint = Endpoint::from_shared(format!("{scheme}://{socket}"))?.origin(uri.clone());
        let endpoint = match scheme {
            "https" => endpoint.tls_config(self.tls(uri)?)?,
            _ => endpoint,
        };
        Ok(tuned(endpoint))
    }

    fn tls(&self, uri: &Uri) -> Result<ClientTlsConfig> {
        let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
        let mut tls = ClientTlsConfig::new().domain_name(host);
        tls = match &self.ca {
            Some(file) => tls.ca_certificate(Certificate::from_pem(read(file)?)),
            None => tls.with_native_roots(),
        };
        if let Some((certificate, key)) = self.cert.as_deref().zip(self.key.as_deref()) {
            tls = tls.identity(Identity::from_pem(read(certificate)?, read(key)?));
        }
        Ok(tls)
    }
}

fn parse(address: &str) -> Result<Uri> {
    let expected =
        || format!("{address:?} is no address; expected http://HOST:PORT or https://HOST:PORT");
    let uri: Uri = address.parse().ok().with_context(expected)?;
    let is_complete = matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some();
    ensure!(is_complete, expected());
    Ok(uri)
}

async fn resolve(uri: &Uri) -> Result<Vec<SocketAddr>> {
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
    let port = uri
        .port_u16()
        .unwrap_or(if uri.scheme_str() == Some("https") {
            443
        } else {
            80
        });
    let addresses = tokio::net::lookup_host((host, port)).await;
    let addresses = addresses.with_context(|| format!("cannot resolve {host}"))?;
    Ok(addresses.collect())
}

fn read(file: &Path) -> Result<Vec<u8>> {
    fs::read(file).with_context(|| format!("cannot read {}", file.display()))
}

#[cfg(test)]
mod tests;
