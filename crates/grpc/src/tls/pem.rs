//! A file with certificates or with a key.

use std::hash::{DefaultHasher, Hash};
use std::path::PathBuf;

use rustls::RootCertStore;
use rustls::pki_types::pem::{Error as PemError, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::{Problem, TlsError};

/// Where a file is, and the setting that says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PemFile {
    /// The setting.
    pub setting: &'static str,
    /// The file.
    pub path: PathBuf,
}

impl PemFile {
    /// What is wrong with this file.
    pub(super) fn error(&self, problem: impl Into<Problem>) -> TlsError {
        TlsError {
            setting: self.setting,
            path: self.path.clone(),
            source: problem.into(),
        }
    }

    /// All certificates of the file, in their order; at least one.
    pub(super) fn certificates(&self) -> Result<Vec<CertificateDer<'static>>, TlsError> {
        let text = self.read()?;
        let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
        // The cause would repeat the line that is malformed.
        let certificates = certificates.map_err(|_| self.error(Problem::NotPem))?;
        if certificates.is_empty() {
            return Err(self.error(Problem::NoCertificate));
        }
        Ok(certificates)
    }

    /// The file's certificates as authorities.
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

    /// Adds what the file holds now to a hash; that it cannot be read is something that it can hold.
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
