//! Authorities and the certificates that they issue.

use std::path::Path;

use grpc::tls::{IdentityFiles, PemFile};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};

pub(crate) const HOST: &str = "orders.test";

pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: String,
}

/// In PEM.
pub(crate) struct Identity {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new([]).unwrap();
        params
            .distinguished_name
            .push(DnType::CommonName, "an authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap().pem();
        Self {
            issuer: Issuer::new(params, key),
            certificate,
        }
    }

    pub(crate) fn issue(&self, name: &str) -> Identity {
        self.sign(CertificateParams::new([name.to_owned()]).unwrap())
    }

    pub(crate) fn issue_expired(&self, name: &str) -> Identity {
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        params.not_after = date_time_ymd(2020, 1, 1);
        self.sign(params)
    }

    fn sign(&self, params: CertificateParams) -> Identity {
        let key = KeyPair::generate().unwrap();
        Identity {
            certificate: params.signed_by(&key, &self.issuer).unwrap().pem(),
            key: key.serialize_pem(),
        }
    }

    /// Writes the authority's own certificate.
    pub(crate) fn write(&self, directory: &Path, name: &str) -> PemFile {
        write(directory, &format!("{name}.ca.pem"), &self.certificate)
    }
}

impl Identity {
    pub(crate) fn write(&self, directory: &Path, name: &str) -> IdentityFiles {
        IdentityFiles {
            certificate: write(directory, &format!("{name}.pem"), &self.certificate),
            key: write(directory, &format!("{name}.key"), &self.key),
        }
    }
}

fn write(directory: &Path, name: &str, text: &str) -> PemFile {
    let path = directory.join(name);
    std::fs::write(&path, text).unwrap();
    PemFile {
        setting: "A_FILE",
        path,
    }
}
