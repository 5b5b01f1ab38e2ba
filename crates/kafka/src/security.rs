//! Encryption and credentials of every Kafka client of this process.
//!
//! A broker's certificate and host name are always verified: no setting turns this off.

use std::fmt;
use std::fs::File;
use std::path::{Path, PathBuf};

use rdkafka::config::ClientConfig;

use service::config::{FromSetting, Settings};

/// Whether librdkafka was built with OpenSSL.
const TLS: bool = cfg!(feature = "tls");

/// The error of a setting that needs TLS, in a build without OpenSSL.
const NEEDS_TLS: &str =
    "needs TLS, which this binary was built without: build it with the cargo feature `kafka-tls`";

const PROTOCOL: &str = "KAFKA_SECURITY_PROTOCOL";
const CA_FILE: &str = "KAFKA_CA_FILE";
const CERTIFICATE_FILE: &str = "KAFKA_CERTIFICATE_FILE";
const KEY_FILE: &str = "KAFKA_KEY_FILE";
const MECHANISM: &str = "KAFKA_SASL_MECHANISM";
const USERNAME: &str = "KAFKA_SASL_USERNAME";
const PASSWORD: &str = "KAFKA_SASL_PASSWORD";

/// Encryption and authentication of a connection. The default has neither.
#[derive(Clone, Debug, Default)]
pub struct Security {
    pub protocol: Protocol,
    /// PEM file of the trusted certificate authorities; the system's if unset.
    pub ca_file: Option<PathBuf>,
    pub certificate: Option<ClientCertificate>,
    pub sasl: Option<Sasl>,
}

/// `security.protocol`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protocol {
    /// Neither encryption nor credentials.
    #[default]
    Plaintext,
    /// TLS; the broker may ask for a client certificate.
    Ssl,
    /// Credentials without encryption: only for isolated networks.
    SaslPlaintext,
    /// Credentials over TLS.
    SaslSsl,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCertificate {
    /// PEM file with the certificate and its chain.
    pub certificate_file: PathBuf,
    /// PEM file with its private key, not encrypted.
    pub key_file: PathBuf,
}

#[derive(Clone, Debug)]
pub struct Sasl {
    pub mechanism: Mechanism,
    pub username: String,
    pub password: Password,
}

/// `sasl.mechanism`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mechanism {
    /// Sends the password itself: only over TLS or in an isolated network.
    Plain,
    /// A challenge-response mechanism: the password is not sent.
    ScramSha256,
    ScramSha512,
}

/// A password. Its `Debug` output is redacted.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(String);

impl fmt::Debug for Password {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Password(redacted)")
    }
}

impl FromSetting for Password {
    const SECRET: bool = true;

    fn from_setting(text: &str) -> Result<Self, String> {
        Ok(Self(text.to_owned()))
    }
}

impl FromSetting for Protocol {
    fn from_setting(text: &str) -> Result<Self, String> {
        match text {
            "plaintext" => Ok(Self::Plaintext),
            "ssl" => Ok(Self::Ssl),
            "sasl_plaintext" => Ok(Self::SaslPlaintext),
            "sasl_ssl" => Ok(Self::SaslSsl),
            _ => Err("plaintext, ssl, sasl_plaintext or sasl_ssl".to_owned()),
        }
    }
}

impl FromSetting for Mechanism {
    fn from_setting(text: &str) -> Result<Self, String> {
        match text {
            "PLAIN" => Ok(Self::Plain),
            "SCRAM-SHA-256" => Ok(Self::ScramSha256),
            "SCRAM-SHA-512" => Ok(Self::ScramSha512),
            _ => Err("PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512".to_owned()),
        }
    }
}

impl Protocol {
    fn name(self) -> &'static str {
        match self {
            Self::Plaintext => "plaintext",
            Self::Ssl => "ssl",
            Self::SaslPlaintext => "sasl_plaintext",
            Self::SaslSsl => "sasl_ssl",
        }
    }

    fn uses_tls(self) -> bool {
        matches!(self, Self::Ssl | Self::SaslSsl)
    }

    fn uses_sasl(self) -> bool {
        matches!(self, Self::SaslPlaintext | Self::SaslSsl)
    }
}

impl Mechanism {
    fn name(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::ScramSha512 => "SCRAM-SHA-512",
        }
    }
}

impl Security {
    /// Reads the settings.
    pub fn read(settings: &mut Settings<'_>) -> Self {
        let protocol: Protocol = settings.value(
            PROTOCOL,
            Protocol::default().name(),
            "plaintext, ssl, sasl_plaintext or sasl_ssl; TLS needs a build with the cargo feature `kafka-tls`, as the container image is",
        );
        if protocol.uses_tls() && !TLS {
            settings.reject(PROTOCOL, format!("{} {NEEDS_TLS}", protocol.name()));
        }
        Self {
            protocol,
            ca_file: read_ca_file(settings, protocol),
            certificate: read_certificate(settings, protocol),
            sasl: read_sasl(settings, protocol),
        }
    }

    pub(crate) fn apply(&self, config: &mut ClientConfig) {
        config.set("security.protocol", self.protocol.name());
        if self.protocol.uses_tls() {
            // The certificate must match the broker's host name: a valid certificate of another host is rejected.
            config
                .set("enable.ssl.certificate.verification", "true")
                .set("ssl.endpoint.identification.algorithm", "https");
            if let Some(file) = &self.ca_file {
                config.set("ssl.ca.location", path(file));
            }
            if let Some(certificate) = &self.certificate {
                config
                    .set(
                        "ssl.certificate.location",
                        path(&certificate.certificate_file),
                    )
                    .set("ssl.key.location", path(&certificate.key_file));
            }
        }
        if let (true, Some(sasl)) = (self.protocol.uses_sasl(), &self.sasl) {
            config
                .set("sasl.mechanism", sasl.mechanism.name())
                .set("sasl.username", &sasl.username)
                .set("sasl.password", &sasl.password.0);
        }
    }
}

fn path(file: &Path) -> String {
    // A setting's text is Unicode, see `service::config`.
    file.to_string_lossy().into_owned()
}

fn read_ca_file(settings: &mut Settings<'_>, protocol: Protocol) -> Option<PathBuf> {
    let file = settings.optional(
        CA_FILE,
        "PEM file of the trusted certificate authorities; unset: the system's",
    );
    reject_without_tls(settings, protocol, CA_FILE, file.as_ref());
    check_file(settings, CA_FILE, file.as_deref());
    file
}

fn read_certificate(settings: &mut Settings<'_>, protocol: Protocol) -> Option<ClientCertificate> {
    let certificate: Option<PathBuf> = settings.optional(
        CERTIFICATE_FILE,
        "PEM file with this client's certificate, where brokers require one",
    );
    let key: Option<PathBuf> = settings.optional(
        KEY_FILE,
        "PEM file with the private key of that certificate, not encrypted",
    );
    for (name, file) in [(CERTIFICATE_FILE, &certificate), (KEY_FILE, &key)] {
        reject_without_tls(settings, protocol, name, file.as_ref());
        check_file(settings, name, file.as_deref());
    }
    match (certificate, key) {
        (Some(certificate_file), Some(key_file)) => Some(ClientCertificate {
            certificate_file,
            key_file,
        }),
        (Some(_), None) => {
            settings.reject(KEY_FILE, format!("must be set with {CERTIFICATE_FILE}"));
            None
        }
        (None, Some(_)) => {
            settings.reject(CERTIFICATE_FILE, format!("must be set with {KEY_FILE}"));
            None
        }
        (None, None) => None,
    }
}

fn read_sasl(settings: &mut Settings<'_>, protocol: Protocol) -> Option<Sasl> {
    let mechanism: Option<Mechanism> = settings.optional(
        MECHANISM,
        "PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512; PLAIN if unset; SCRAM needs the cargo feature `kafka-tls` too",
    );
    let username: Option<String> = settings.optional(USERNAME, "user for a sasl protocol");
    let password: Option<Password> = settings.optional(PASSWORD, "its password");
    if !protocol.uses_sasl() {
        for (name, given) in [
            (MECHANISM, mechanism.is_some()),
            (USERNAME, username.is_some()),
            (PASSWORD, password.is_some()),
        ] {
            reject_unused(settings, protocol, name, given);
        }
        return None;
    }
    let mechanism = mechanism.unwrap_or(Mechanism::Plain);
    if mechanism != Mechanism::Plain && !TLS {
        settings.reject(MECHANISM, format!("{} {NEEDS_TLS}", mechanism.name()));
    }
    for (name, given) in [
        (USERNAME, username.is_some()),
        (PASSWORD, password.is_some()),
    ] {
        if !given {
            settings.reject(
                name,
                format!("must be set with {PROTOCOL}={}", protocol.name()),
            );
        }
    }
    Some(Sasl {
        mechanism,
        username: username?,
        password: password?,
    })
}

/// Rejects a TLS file that would not be used: its operator would believe that the connection is encrypted.
fn reject_without_tls(
    settings: &mut Settings<'_>,
    protocol: Protocol,
    name: &'static str,
    file: Option<&PathBuf>,
) {
    if !protocol.uses_tls() {
        reject_unused(settings, protocol, name, file.is_some());
    }
}

fn reject_unused(settings: &mut Settings<'_>, protocol: Protocol, name: &'static str, given: bool) {
    if given {
        settings.reject(
            name,
            format!("has no effect with {PROTOCOL}={}", protocol.name()),
        );
    }
}

fn check_file(settings: &mut Settings<'_>, name: &'static str, file: Option<&Path>) {
    let Some(file) = file else {
        return;
    };
    if let Err(error) = File::open(file) {
        settings.reject(name, format!("cannot read {}: {error}", file.display()));
    }
}

#[cfg(test)]
mod tests;
