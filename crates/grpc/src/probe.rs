//! Asks the service that runs beside this process whether it is ready: what a container runs where nobody outside can
//! ask.
//!
//! Kubernetes asks by itself as long as the server has no TLS. Its gRPC probe knows no certificates, so with TLS it runs
//! the program once more instead, with the settings of the service and `probe` as argument. That needs no shell.

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

/// A service on the same machine that takes longer is not ready for anybody; less than what a manifest gives a probe.
const WAIT_LIMIT: Duration = Duration::from_secs(1);

/// Why the service does not count as ready.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// Its files cannot be used.
    #[error("setting up TLS")]
    Tls(#[from] TlsError),
    /// Nobody serves there.
    #[error("connecting to {address}")]
    Connect {
        /// Where.
        address: SocketAddr,
        /// What it is.
        source: tonic::transport::Error,
    },
    /// It has refused the question.
    #[error("asking {address}")]
    Refused {
        /// Whom.
        address: SocketAddr,
        /// What it said.
        source: Box<Status>,
    },
    /// It says so itself.
    #[error("{address} is not ready")]
    NotReady {
        /// Who.
        address: SocketAddr,
    },
    /// It says nothing.
    #[error("{address} has not answered within {} s", WAIT_LIMIT.as_secs())]
    Late {
        /// Who.
        address: SocketAddr,
    },
}

/// The subcommand `probe`.
pub fn command(config: impl FnOnce() -> Result<GrpcConfig, ConfigError> + 'static) -> Command {
    let about =
        "Ask the running service on this machine whether it is ready and end: 0 if it is, 1 if not";
    Command::new("probe", about, async move || {
        ask(&config()?).await.map_err(ExitError::failed)
    })
}

/// Asks the server that runs with this configuration.
///
/// # Errors
/// [`ProbeError`] unless it says that it is ready.
pub async fn ask(config: &GrpcConfig) -> Result<(), ProbeError> {
    let address = reachable(config.listen);
    let asked = tokio::time::timeout(WAIT_LIMIT, check(config, address)).await;
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
    // Without a name it is the whole server that is asked for, which tells its readiness.
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

/// Where a server that listens here is reached from its own machine.
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
    fn a_server_that_listens_everywhere_is_asked_on_loopback() {
        for (listen, asked) in [
            ("0.0.0.0:1", "127.0.0.1:1"),
            ("[::]:1", "[::1]:1"),
            ("10.0.0.1:1", "10.0.0.1:1"),
        ] {
            assert_eq!(reachable(listen.parse().unwrap()), asked.parse().unwrap());
        }
    }
}
