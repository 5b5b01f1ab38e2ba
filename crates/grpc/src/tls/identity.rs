//! Who this process is: its certificate and the key to it.

use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::TlsError;
use super::pem::PemFile;
use service::config::Settings;

/// The files of a certificate and of its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdentityFiles {
    /// The certificate, followed by those that lead to the authority.
    pub certificate: PemFile,
    /// Its private key, not encrypted.
    pub key: PemFile,
}

/// A setting that names a file, and its help.
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

/// Reads a setting that names a file.
pub(super) fn read_file(
    settings: &mut Settings<'_>,
    (setting, help): FileSetting,
) -> Option<PemFile> {
    let path = settings.optional(setting, help)?;
    Some(PemFile { setting, path })
}
