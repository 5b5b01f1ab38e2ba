//! Certificate and private key of this process.

use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::pem::{PemFile, TlsError};
use service::config::Settings;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdentityFiles {
    /// The certificate, followed by its chain up to the authority.
    pub certificate: PemFile,
    /// Not encrypted.
    pub key: PemFile,
}

/// Setting and its help.
pub(super) type FileSetting = (&'static str, &'static str);

impl IdentityFiles {
    /// Reads the settings: both files or none.
    pub(super) fn read(
        settings: &mut Settings<'_>,
        certificate: FileSetting,
        key: FileSetting,
    ) -> Option<Self> {
        match (read_file(settings, certificate), read_file(settings, key)) {
            (Some(certificate), Some(key)) => Some(Self { certificate, key }),
            (Some(given), None) => {
                settings.reject(key.0, format!("must be set with {}", given.setting));
                None
            }
            (None, Some(given)) => {
                settings.reject(certificate.0, format!("must be set with {}", given.setting));
                None
            }
            (None, None) => None,
        }
    }

    pub(super) fn load(
        &self,
    ) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), TlsError> {
        Ok((self.certificate.certificates()?, self.key.key()?))
    }
}

pub(super) fn read_file(
    settings: &mut Settings<'_>,
    (setting, help): FileSetting,
) -> Option<PemFile> {
    let path = settings.optional(setting, help)?;
    Some(PemFile { setting, path })
}
