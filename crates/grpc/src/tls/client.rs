//! The client's end: whom it believes, and what it shows if asked.

use std::future::Future;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::client::Resumption;
use tokio_util::sync::CancellationToken;

use super::identity::{IdentityFiles, read_file};
use super::pem::PemFile;
use super::renewal::{Material, Renewed};
use super::{ALPN_HTTP2, TlsError, provider};
use service::config::Settings;

/// The names of the settings of a client: there may be several clients in a process.
#[derive(Clone, Copy, Debug)]
pub struct ClientTlsSettings {
    /// Names the file of the authorities.
    pub ca_file: &'static str,
    /// Names the file of the client's certificate.
    pub certificate_file: &'static str,
    /// Names the file of its key.
    pub key_file: &'static str,
}

/// The files of a client.
///
/// The authorities have to be named, the system's are never used: a service of one's own is vouched for by an authority
/// of one's own, and the hundred others of a system must not be able to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientTlsFiles {
    /// Who must vouch for the server.
    pub authorities: PemFile,
    /// What the client shows to a server that asks.
    pub identity: Option<IdentityFiles>,
}

impl ClientTlsFiles {
    /// Reads the settings, and the files once, so that what is wrong with them is reported with every other mistake.
    pub fn read(settings: &mut Settings<'_>, names: ClientTlsSettings) -> Option<Self> {
        let authorities = read_file(
            settings,
            (
                names.ca_file,
                "PEM file of the authorities that may vouch for the server; needed for an https address. A renewed file is used without a restart",
            ),
        );
        let identity = IdentityFiles::read(
            settings,
            (
                names.certificate_file,
                "PEM file with this client's certificate and its chain, for a server that asks for one",
            ),
            (
                names.key_file,
                "PEM file with the private key of that certificate, not encrypted",
            ),
        );
        let Some(authorities) = authorities else {
            if let Some(identity) = identity {
                let why = format!("has no effect without {}", names.ca_file);
                settings.reject(identity.certificate.setting, why);
            }
            return None;
        };
        let files = Self {
            authorities,
            identity,
        };
        if let Err(error) = files.build() {
            error.reject(settings);
        }
        Some(files)
    }
}

impl Material for ClientTlsFiles {
    type Config = ClientConfig;

    fn files(&self) -> Vec<&PemFile> {
        let mut files = vec![&self.authorities];
        if let Some(identity) = &self.identity {
            files.extend([&identity.certificate, &identity.key]);
        }
        files
    }

    fn build(&self) -> Result<ClientConfig, TlsError> {
        let builder = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(rustls::DEFAULT_VERSIONS)
            .map_err(|error| self.authorities.error(error))?
            .with_root_certificates(self.authorities.authorities()?);
        let mut config = match &self.identity {
            None => builder.with_no_client_auth(),
            Some(identity) => {
                let (chain, key) = identity.load()?;
                builder
                    .with_client_auth_cert(chain, key)
                    .map_err(|error| identity.certificate.error(error))?
            }
        };
        config.alpn_protocols = vec![ALPN_HTTP2.to_vec()];
        config.resumption = Resumption::disabled();
        Ok(config)
    }
}

/// A client's TLS, as its files are now.
#[derive(Clone, Debug)]
pub struct ClientTls(Renewed<ClientTlsFiles>);

impl ClientTls {
    /// Loads the files.
    pub fn load(files: &ClientTlsFiles) -> Result<Self, TlsError> {
        Renewed::load(files).map(Self)
    }

    /// What the next handshake has to use.
    pub(crate) fn current(&self) -> Arc<ClientConfig> {
        self.0.current()
    }

    /// Looks for renewed files until `stop`; a failure is logged and changes nothing.
    pub fn renew(&self, stop: CancellationToken) -> impl Future<Output = ()> + use<> {
        self.0.renew(stop)
    }
}
