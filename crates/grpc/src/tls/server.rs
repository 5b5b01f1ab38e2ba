//! TLS of the server: its certificate, and the authorities of its clients.

use std::sync::Arc;

use rustls::ServerConfig;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};

use super::identity::{FileSetting, IdentityFiles, read_file};
use super::pem::{PemFile, TlsError};
use super::renewal::{KeyMaterial, ReloadableConfig};
use super::{ALPN_HTTP2, provider};
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

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerTlsFiles {
    pub identity: IdentityFiles,
    /// Authorities that must sign client certificates; `None`: clients need no certificate.
    pub client_authorities: Option<PemFile>,
}

impl ServerTlsFiles {
    /// Reads the settings, and the files once, so that invalid files are reported with all other mistakes.
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

impl KeyMaterial for ServerTlsFiles {
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
        // A resumed session would not present its certificate again.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(config)
    }
}

/// TLS of a server, reloaded when its files change.
pub type ServerTls = ReloadableConfig<ServerTlsFiles>;
