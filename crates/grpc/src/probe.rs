//! Health probe of the server on this machine, for containers.
//!
//! Kubernetes probes by itself as long as the server has no TLS. Its gRPC probe supports no certificates, so with TLS
//! it runs this program with the service's settings and the argument `probe`. That needs no shell.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use http::Uri;
use service::command_line::{Command, ExitError};
use service::config::ConfigError;
use tonic::Status;
use tonic::transport::Endpoint;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tower::service_fn;

use crate::server::GrpcConfig;
use crate::tls::{TlsError, self_probe};

/// Less than a probe timeout in the manifests.
const TIMEOUT: Duration = Duration::from_secs(1);

/// Why the service does not count as ready.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    #[error("setting up TLS")]
    Tls(#[from] TlsError),
    #[error("connecting to {address}")]
    Connect {
        address: SocketAddr,
        source: tonic::transport::Error,
    },
    /// The health check returned an error.
    #[error("health check of {address}")]
    Refused {
        address: SocketAddr,
        source: Box<Status>,
    },
    /// The health check returned NOT_SERVING.
    #[error("{address} is not ready")]
    NotReady { address: SocketAddr },
    #[error("{address} has not answered within {} s", TIMEOUT.as_secs())]
    Late { address: SocketAddr },
}

/// The subcommand `probe`.
pub fn command(config: impl FnOnce() -> Result<GrpcConfig, ConfigError> + 'static) -> Command {
    let about =
        "Check whether the service on this machine is ready; exit code 0 if it is, 1 if not";
    Command::new("probe", about, async move || {
        ask(&config()?).await.map_err(ExitError::failed)
    })
}

/// Checks the server that runs with this configuration.
///
/// # Errors
/// [`ProbeError`] unless the server is SERVING.
pub async fn ask(config: &GrpcConfig) -> Result<(), ProbeError> {
    let address = reachable(config.listen);
    let asked = tokio::time::timeout(TIMEOUT, check(config, address)).await;
    asked.map_err(|_| ProbeError::Late { address })?
}

async fn check(config: &GrpcConfig, address: SocketAddr) -> Result<(), ProbeError> {
    let tls = config.tls.as_ref().map(self_probe::connector).transpose()?;
    let connect = service_fn(move |_: Uri| self_probe::connect(address, tls.clone()));
    let connecting = async {
        let endpoint = Endpoint::from_shared(format!("http://{address}"))?;
        endpoint.connect_with_connector(connect).await
    };
    let channel = connecting
        .await
        .map_err(|source| ProbeError::Connect { address, source })?;
    // An empty service name asks for the whole server, which is its readiness.
    let question = HealthCheckRequest::default();
    let answer = HealthClient::new(channel).check(question).await;
    let answer = answer.map_err(|status| ProbeError::Refused {
        address,
        source: Box::new(status),
    })?;
    if answer.into_inner().status() == ServingStatus::Serving {
        return Ok(());
    }
    Err(ProbeError::NotReady { address })
}

/// The address of a local server that listens here.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_on_all_interfaces_is_probed_on_loopback() {
        for (listen, asked) in [
            ("0.0.0.0:1", "127.0.0.1:1"),
            ("[::]:1", "[::1]:1"),
            ("10.0.0.1:1", "10.0.0.1:1"),
        ] {
            assert_eq!(reachable(listen.parse().unwrap()), asked.parse().unwrap());
        }
    }
}
