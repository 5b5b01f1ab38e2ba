//! PEM files with certificates or a private key.

use std::hash::{DefaultHasher, Hash};
use std::path::PathBuf;

use rustls::RootCertStore;
use rustls::pki_types::pem::{Error as PemError, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::VerifierBuilderError;

use service::config::Settings;
use service::error_chain::ErrorChain;

/// An unusable file. Its contents are never shown: it may be a key.
#[derive(Debug, thiserror::Error)]
#[error("using the file {} of {setting}", path.display())]
pub struct TlsError {
    setting: &'static str,
    path: PathBuf,
    source: Problem,
}

#[derive(Debug, thiserror::Error)]
pub(super) enum Problem {
    #[error("it cannot be read")]
    Unreadable(#[source] std::io::Error),
    #[error("it is not in the PEM format")]
    NotPem,
    #[error("there is no certificate in it")]
    NoCertificate,
    #[error("there is no private key in it")]
    NoKey,
    #[error("it cannot be used")]
    Refused(#[from] rustls::Error),
    #[error("it cannot be used to check certificates")]
    NoVerifier(#[from] VerifierBuilderError),
}

impl TlsError {
    /// Reports it as a mistake of the configuration.
    pub(super) fn reject(&self, settings: &mut Settings<'_>) {
        let why = format!("{}: {}", self.path.display(), ErrorChain(&self.source));
        settings.reject(self.setting, why);
    }
}

/// A file and the setting that names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PemFile {
    pub setting: &'static str,
    pub path: PathBuf,
}

impl PemFile {
    pub(super) fn error(&self, problem: impl Into<Problem>) -> TlsError {
        TlsError {
            setting: self.setting,
            path: self.path.clone(),
            source: problem.into(),
        }
    }

    /// All certificates of the file in their order; at least one.
    pub(super) fn certificates(&self) -> Result<Vec<CertificateDer<'static>>, TlsError> {
        let text = self.read()?;
        let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
        // The cause would repeat the malformed line.
        let certificates = certificates.map_err(|_| self.error(Problem::NotPem))?;
        if certificates.is_empty() {
            return Err(self.error(Problem::NoCertificate));
        }
        Ok(certificates)
    }

    /// The certificates of the file as trusted authorities.
    pub(super) fn authorities(&self) -> Result<RootCertStore, TlsError> {
        let mut authorities = RootCertStore::empty();
        for certificate in self.certificates()? {
            authorities
                .add(certificate)
                .map_err(|error| self.error(error))?;
        }
        Ok(authorities)
    }

    /// The first private key of the file.
    pub(super) fn key(&self) -> Result<PrivateKeyDer<'static>, TlsError> {
        PrivateKeyDer::from_pem_slice(&self.read()?).map_err(|error| {
            self.error(match error {
                PemError::NoItemsFound => Problem::NoKey,
                _ => Problem::NotPem,
            })
        })
    }

    /// Adds the current contents to a hash; an unreadable file counts as contents too.
    pub(super) fn hash_contents(&self, hasher: &mut DefaultHasher) {
        match std::fs::read(&self.path) {
            Ok(contents) => contents.hash(hasher),
            Err(error) => error.kind().hash(hasher),
        }
    }

    fn read(&self) -> Result<Vec<u8>, TlsError> {
        std::fs::read(&self.path).map_err(|error| self.error(Problem::Unreadable(error)))
    }
}
