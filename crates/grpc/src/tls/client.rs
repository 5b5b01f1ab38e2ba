//! TLS of the client: trusted authorities and the client's own certificate.

use rustls::client::{Resumption, WantsClientCert};
use rustls::{ClientConfig, ConfigBuilder};

use super::identity::{IdentityFiles, read_file};
use super::pem::{PemFile, TlsError};
use super::renewal::{KeyMaterial, ReloadableConfig};
use super::{ALPN_HTTP2, provider};
use service::config::Settings;

/// Names of a client's settings: a process may have several clients.
#[derive(Clone, Copy, Debug)]
pub struct ClientTlsSettings {
    pub ca_file: &'static str,
    pub certificate_file: &'static str,
    pub key_file: &'static str,
}

/// The files of a client.
///
/// The authorities must be configured; the system's are never used: an internal service is signed by an internal
/// authority, and the hundred public ones of a system must not be able to impersonate it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientTlsFiles {
    /// Authorities that may sign the server's certificate.
    pub authorities: PemFile,
    /// Presented to a server that requests a certificate.
    pub identity: Option<IdentityFiles>,
}

impl ClientTlsFiles {
    /// Reads the settings, and the files once, so that invalid files are reported with all other mistakes.
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

impl KeyMaterial for ClientTlsFiles {
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
        finish(builder, self.identity.as_ref())
    }
}

/// The configuration of a client, with its certificate if it has one.
pub(super) fn finish(
    builder: ConfigBuilder<ClientConfig, WantsClientCert>,
    identity: Option<&IdentityFiles>,
) -> Result<ClientConfig, TlsError> {
    let mut config = match identity {
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

/// TLS of a client, reloaded when its files change.
pub type ClientTls = ReloadableConfig<ClientTlsFiles>;
