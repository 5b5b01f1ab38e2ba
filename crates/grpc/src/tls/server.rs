//! The server's end: its certificate, and whom it asks for one.

use std::future::Future;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use tokio_util::sync::CancellationToken;

use super::identity::{FileSetting, IdentityFiles, read_file};
use super::pem::PemFile;
use super::renewal::{Material, Renewed};
use super::{ALPN_HTTP2, TlsError, provider};
use service::config::Settings;

const CERTIFICATE: FileSetting = (
    "GRPC_TLS_CERTIFICATE_FILE",
    "PEM file with the server's certificate and its chain; unset: no TLS. A renewed file is used without a restart",
);
const KEY: FileSetting = (
    "GRPC_TLS_KEY_FILE",
    "PEM file with the private key of that certificate, not encrypted",
);
const CLIENT_CA: FileSetting = (
    "GRPC_TLS_CLIENT_CA_FILE",
    "PEM file of the authorities that vouch for clients; set: a client without such a certificate is refused",
);

/// The files of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerTlsFiles {
    /// What the server shows.
    pub identity: IdentityFiles,
    /// Who must vouch for a client; unset: clients need no certificate.
    pub client_authorities: Option<PemFile>,
}

impl ServerTlsFiles {
    /// Reads the settings, and the files once, so that what is wrong with them is reported with every other mistake.
    pub fn read(settings: &mut Settings<'_>) -> Option<Self> {
        let identity = IdentityFiles::read(settings, CERTIFICATE, KEY);
        let client_authorities = read_file(settings, CLIENT_CA);
        let Some(identity) = identity else {
            if client_authorities.is_some() {
                let why = format!("has no effect without {} and {}", CERTIFICATE.0, KEY.0);
                settings.reject(CLIENT_CA.0, why);
            }
            return None;
        };
        let files = Self {
            identity,
            client_authorities,
        };
        if let Err(error) = files.build() {
            error.reject(settings);
        }
        Some(files)
    }
}

impl Material for ServerTlsFiles {
    type Config = ServerConfig;

    fn files(&self) -> Vec<&PemFile> {
        let mut files = vec![&self.identity.certificate, &self.identity.key];
        files.extend(&self.client_authorities);
        files
    }

    fn build(&self) -> Result<ServerConfig, TlsError> {
        let of_identity = |error| self.identity.certificate.error(error);
        let builder = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(rustls::DEFAULT_VERSIONS)
            .map_err(of_identity)?;
        let builder = match &self.client_authorities {
            None => builder.with_no_client_auth(),
            Some(file) => {
                let authorities = Arc::new(file.authorities()?);
                let verifier = WebPkiClientVerifier::builder_with_provider(authorities, provider())
                    .build()
                    .map_err(|error| file.error(error))?;
                builder.with_client_cert_verifier(verifier)
            }
        };
        let (chain, key) = self.identity.load()?;
        let mut config = builder.with_single_cert(chain, key).map_err(of_identity)?;
        config.alpn_protocols = vec![ALPN_HTTP2.to_vec()];
        // A session that is resumed would not show its certificate again.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(config)
    }
}

/// A server's TLS, as its files are now.
#[derive(Clone, Debug)]
pub struct ServerTls(Renewed<ServerTlsFiles>);

impl ServerTls {
    /// Loads the files.
    pub fn load(files: &ServerTlsFiles) -> Result<Self, TlsError> {
        Renewed::load(files).map(Self)
    }

    /// What the next handshake has to use.
    pub(crate) fn current(&self) -> Arc<ServerConfig> {
        self.0.current()
    }

    /// Looks for renewed files until `stop`; a failure is logged and changes nothing.
    pub fn renew(&self, stop: CancellationToken) -> impl Future<Output = ()> + use<> {
        self.0.renew(stop)
    }
}
