//! Encryption and credentials of every Kafka client of this process.
//!
//! A broker's certificate and host name are always verified: no setting turns this off.

use std::fmt;
use std::fs::File;
use std::path::{Path, PathBuf};

use rdkafka::config::ClientConfig;
use strum::{EnumString, IntoStaticStr};

use service::config::{FromSetting, Settings, parse};

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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, EnumString, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumString, IntoStaticStr)]
pub enum Mechanism {
    /// Sends the password itself: only over TLS or in an isolated network.
    #[strum(serialize = "PLAIN")]
    Plain,
    /// A challenge-response mechanism: the password is not sent.
    #[strum(serialize = "SCRAM-SHA-256")]
    ScramSha256,
    #[strum(serialize = "SCRAM-SHA-512")]
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
        parse(text, "plaintext, ssl, sasl_plaintext or sasl_ssl")
    }
}

impl FromSetting for Mechanism {
    fn from_setting(text: &str) -> Result<Self, String> {
        parse(text, "PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512")
    }
}

impl Protocol {
    fn name(self) -> &'static str {
        self.into()
    }

    fn uses_tls(self) -> bool {
        matches!(self, Self::Ssl | Self::SaslSsl)
    }

    fn uses_sasl(self) -> bool {
        matches!(self, Self::SaslPlaintext | Self::SaslSsl)
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
        let why = format_args!("{} {NEEDS_TLS}", protocol.name());
        settings.require(TLS || !protocol.uses_tls(), PROTOCOL, why);
        Self {
            protocol,
            ca_file: read_file(
                settings,
                protocol,
                CA_FILE,
                "PEM file of the trusted certificate authorities; unset: the system's",
            ),
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
                .set("sasl.mechanism", <&str>::from(sasl.mechanism))
                .set("sasl.username", &sasl.username)
                .set("sasl.password", &sasl.password.0);
        }
    }
}

fn path(file: &Path) -> String {
    // A setting's text is Unicode, see `service::config`.
    file.to_string_lossy().into_owned()
}

fn read_certificate(settings: &mut Settings<'_>, protocol: Protocol) -> Option<ClientCertificate> {
    let certificate_file = read_file(
        settings,
        protocol,
        CERTIFICATE_FILE,
        "PEM file with this client's certificate, where brokers require one",
    );
    let key_file = read_file(
        settings,
        protocol,
        KEY_FILE,
        "PEM file with the private key of that certificate, not encrypted",
    );
    let (has_certificate, has_key) = (certificate_file.is_some(), key_file.is_some());
    let why = format_args!("must be set with {CERTIFICATE_FILE}");
    settings.require(has_key || !has_certificate, KEY_FILE, why);
    let why = format_args!("must be set with {KEY_FILE}");
    settings.require(has_certificate || !has_key, CERTIFICATE_FILE, why);
    Some(ClientCertificate {
        certificate_file: certificate_file?,
        key_file: key_file?,
    })
}

/// Reads the name of a TLS file. A file that would not be used is rejected: its operator would believe that the connection is
/// encrypted.
fn read_file(
    settings: &mut Settings<'_>,
    protocol: Protocol,
    name: &'static str,
    help: &'static str,
) -> Option<PathBuf> {
    let file: PathBuf = settings.optional(name, help)?;
    reject_unused(settings, protocol, name, !protocol.uses_tls());
    if let Err(error) = File::open(&file) {
        settings.reject(name, format!("cannot read {}: {error}", file.display()));
    }
    Some(file)
}

fn read_sasl(settings: &mut Settings<'_>, protocol: Protocol) -> Option<Sasl> {
    let mechanism: Option<Mechanism> = settings.optional(
        MECHANISM,
        "PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512; PLAIN if unset; SCRAM needs the cargo feature `kafka-tls` too",
    );
    let username: Option<String> = settings.optional(USERNAME, "user for a sasl protocol");
    let password: Option<Password> = settings.optional(PASSWORD, "its password");
    if !protocol.uses_sasl() {
        reject_unused(settings, protocol, MECHANISM, mechanism.is_some());
        reject_unused(settings, protocol, USERNAME, username.is_some());
        reject_unused(settings, protocol, PASSWORD, password.is_some());
        return None;
    }
    let mechanism = mechanism.unwrap_or(Mechanism::Plain);
    let why = format_args!("{} {NEEDS_TLS}", <&str>::from(mechanism));
    settings.require(TLS || mechanism == Mechanism::Plain, MECHANISM, why);
    let why = format!("must be set with {PROTOCOL}={}", protocol.name());
    settings.require(username.is_some(), USERNAME, &why);
    settings.require(password.is_some(), PASSWORD, &why);
    Some(Sasl {
        mechanism,
        username: username?,
        password: password?,
    })
}

fn reject_unused(settings: &mut Settings<'_>, protocol: Protocol, name: &'static str, given: bool) {
    let why = format_args!("has no effect with {PROTOCOL}={}", protocol.name());
    settings.require(!given, name, why);
}

#[cfg(test)]
mod tests;
