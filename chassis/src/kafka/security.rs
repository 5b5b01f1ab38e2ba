//! Encryption and credentials of every Kafka client of this process.
//!
//! A broker's certificate is always checked, its host name included: there is no setting that turns this off.

use std::fmt;
use std::fs::File;
use std::path::{Path, PathBuf};

use rdkafka::config::ClientConfig;

use crate::config::{FromSetting, Settings};

/// Whether librdkafka was built with OpenSSL.
const TLS: bool = cfg!(feature = "kafka-tls");

/// What a build without OpenSSL says to a setting that needs it.
const NEEDS_TLS: &str =
    "needs TLS, which this binary was built without: build it with the cargo feature `kafka-tls`";

const PROTOCOL: &str = "KAFKA_SECURITY_PROTOCOL";
const CA_FILE: &str = "KAFKA_CA_FILE";
const CERTIFICATE_FILE: &str = "KAFKA_CERTIFICATE_FILE";
const KEY_FILE: &str = "KAFKA_KEY_FILE";
const MECHANISM: &str = "KAFKA_SASL_MECHANISM";
const USERNAME: &str = "KAFKA_SASL_USERNAME";
const PASSWORD: &str = "KAFKA_SASL_PASSWORD";

/// How clients and brokers prove to each other who they are. The default: not at all.
#[derive(Clone, Debug, Default)]
pub struct Security {
    /// What the connection is made of.
    pub protocol: Protocol,
    /// PEM file of the authorities that may vouch for a broker; the system's if unset.
    pub ca_file: Option<PathBuf>,
    /// What this client shows to the broker.
    pub certificate: Option<ClientCertificate>,
    /// Whom this client says it is.
    pub sasl: Option<Sasl>,
}

/// What a connection to a broker is made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protocol {
    /// Neither encryption nor credentials.
    #[default]
    Plaintext,
    /// TLS; the broker may ask for a client certificate.
    Ssl,
    /// Credentials without encryption: for networks that nobody else can listen to.
    SaslPlaintext,
    /// Credentials over TLS.
    SaslSsl,
}

/// A client certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCertificate {
    /// PEM file with the certificate and its chain.
    pub certificate_file: PathBuf,
    /// PEM file with its private key, not encrypted.
    pub key_file: PathBuf,
}

/// Credentials.
#[derive(Clone, Debug)]
pub struct Sasl {
    /// How they are shown to the broker.
    pub mechanism: Mechanism,
    /// The user.
    pub username: String,
    /// Its password.
    pub password: Password,
}

/// How credentials are shown to the broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mechanism {
    /// The password itself crosses the wire: only over TLS, except on a network of one's own.
    Plain,
    /// The password stays here.
    ScramSha256,
    /// The password stays here.
    ScramSha512,
}

/// A password: it cannot be printed.
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

    pub(super) fn apply(&self, config: &mut ClientConfig) {
        config.set("security.protocol", self.protocol.name());
        if self.protocol.uses_tls() {
            // The certificate must be the broker's own, not just anybody's whom the authority vouches for.
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
    // A setting's text was Unicode, see `config::Environment`.
    file.to_string_lossy().into_owned()
}

fn read_ca_file(settings: &mut Settings<'_>, protocol: Protocol) -> Option<PathBuf> {
    let file = settings.optional(
        CA_FILE,
        "PEM file of the authorities that may vouch for a broker; unset: the system's",
    );
    refuse_without_tls(settings, protocol, CA_FILE, file.as_ref());
    check_file(settings, CA_FILE, file.as_deref());
    file
}

fn read_certificate(settings: &mut Settings<'_>, protocol: Protocol) -> Option<ClientCertificate> {
    let certificate: Option<PathBuf> = settings.optional(
        CERTIFICATE_FILE,
        "PEM file with this client's certificate, where brokers ask for one",
    );
    let key: Option<PathBuf> = settings.optional(
        KEY_FILE,
        "PEM file with the private key of that certificate, not encrypted",
    );
    for (name, file) in [(CERTIFICATE_FILE, &certificate), (KEY_FILE, &key)] {
        refuse_without_tls(settings, protocol, name, file.as_ref());
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
            refuse_unused(settings, protocol, name, given);
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

/// A file that nothing looks at is a mistake: whoever set it believes that the connection is safer than it is.
fn refuse_without_tls(
    settings: &mut Settings<'_>,
    protocol: Protocol,
    name: &'static str,
    file: Option<&PathBuf>,
) {
    if !protocol.uses_tls() {
        refuse_unused(settings, protocol, name, file.is_some());
    }
}

fn refuse_unused(settings: &mut Settings<'_>, protocol: Protocol, name: &'static str, given: bool) {
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
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// What is wrong with these settings, or what they mean.
    fn read(pairs: &[(&str, &str)]) -> Result<Security, Vec<String>> {
        let source: BTreeMap<String, String> = pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        let mut settings = Settings::new(&source);
        let security = Security::read(&mut settings);
        settings
            .finish(security)
            .map_err(|error| error.mistakes().to_vec())
    }

    fn refused(pairs: &[(&str, &str)]) -> Vec<String> {
        let mistakes = read(pairs).unwrap_err();
        // Whether TLS is built in is the subject of tests of its own.
        mistakes
            .into_iter()
            .filter(|mistake| !mistake.contains("kafka-tls"))
            .collect()
    }

    fn properties(security: &Security) -> ClientConfig {
        let mut config = ClientConfig::new();
        security.apply(&mut config);
        config
    }

    #[test]
    fn without_settings_nothing_is_encrypted_and_nobody_is_asked() {
        let security = read(&[]).unwrap();

        let config = properties(&security);
        assert_eq!(config.get("security.protocol"), Some("plaintext"));
        assert_eq!(config.get("sasl.username"), None);
    }

    #[test]
    fn plain_credentials_without_encryption_work_in_every_build() {
        let security = read(&[
            (PROTOCOL, "sasl_plaintext"),
            (USERNAME, "orders"),
            (PASSWORD, "hunter2"),
        ])
        .unwrap();

        let config = properties(&security);
        assert_eq!(config.get("sasl.mechanism"), Some("PLAIN"));
        assert_eq!(config.get("sasl.username"), Some("orders"));
        assert_eq!(config.get("sasl.password"), Some("hunter2"));
        config.create_native_config().unwrap();
    }

    #[test]
    fn a_password_shows_itself_nowhere() {
        let security = read(&[
            (PROTOCOL, "sasl_plaintext"),
            (USERNAME, "orders"),
            (PASSWORD, "hunter2"),
        ])
        .unwrap();

        let shown = format!("{security:?}");
        assert!(shown.contains("orders"), "{shown}");
        assert!(!shown.contains("hunter2"), "{shown}");
    }

    #[test]
    fn unknown_words_are_refused_with_those_that_are_known() {
        assert_eq!(
            refused(&[(PROTOCOL, "tls")]),
            [
                "KAFKA_SECURITY_PROTOCOL: expected plaintext, ssl, sasl_plaintext or sasl_ssl, got \"tls\""
            ]
        );
        assert_eq!(
            refused(&[
                (PROTOCOL, "sasl_plaintext"),
                (MECHANISM, "GSSAPI"),
                (USERNAME, "orders"),
                (PASSWORD, "hunter2"),
            ]),
            [
                "KAFKA_SASL_MECHANISM: expected PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512, got \"GSSAPI\""
            ]
        );
    }

    #[test]
    fn a_sasl_protocol_needs_a_user_and_a_password() {
        assert_eq!(
            refused(&[(PROTOCOL, "sasl_plaintext")]),
            [
                "KAFKA_SASL_USERNAME: must be set with KAFKA_SECURITY_PROTOCOL=sasl_plaintext",
                "KAFKA_SASL_PASSWORD: must be set with KAFKA_SECURITY_PROTOCOL=sasl_plaintext",
            ]
        );
    }

    #[test]
    fn settings_that_the_protocol_does_not_use_are_refused() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let file = file.path().to_str().unwrap();

        assert_eq!(
            refused(&[
                (CA_FILE, file),
                (CERTIFICATE_FILE, file),
                (KEY_FILE, file),
                (MECHANISM, "PLAIN"),
                (USERNAME, "orders"),
                (PASSWORD, "hunter2"),
            ]),
            [
                "KAFKA_CA_FILE: has no effect with KAFKA_SECURITY_PROTOCOL=plaintext",
                "KAFKA_CERTIFICATE_FILE: has no effect with KAFKA_SECURITY_PROTOCOL=plaintext",
                "KAFKA_KEY_FILE: has no effect with KAFKA_SECURITY_PROTOCOL=plaintext",
                "KAFKA_SASL_MECHANISM: has no effect with KAFKA_SECURITY_PROTOCOL=plaintext",
                "KAFKA_SASL_USERNAME: has no effect with KAFKA_SECURITY_PROTOCOL=plaintext",
                "KAFKA_SASL_PASSWORD: has no effect with KAFKA_SECURITY_PROTOCOL=plaintext",
            ]
        );
    }

    #[test]
    fn a_certificate_and_its_key_come_together() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let file = file.path().to_str().unwrap();

        // One more setting that is wrong, so that the result is a list of mistakes in every build.
        let with = |name| refused(&[(PROTOCOL, "ssl"), (name, file), (PASSWORD, "x")]);

        assert_eq!(
            with(CERTIFICATE_FILE)[0],
            "KAFKA_KEY_FILE: must be set with KAFKA_CERTIFICATE_FILE"
        );
        assert_eq!(
            with(KEY_FILE)[0],
            "KAFKA_CERTIFICATE_FILE: must be set with KAFKA_KEY_FILE"
        );
    }

    #[test]
    fn a_file_that_cannot_be_read_is_refused_by_name() {
        let mistakes = refused(&[(PROTOCOL, "ssl"), (CA_FILE, "/no/such/ca.pem")]);

        assert!(
            mistakes[0].starts_with("KAFKA_CA_FILE: cannot read /no/such/ca.pem: "),
            "{mistakes:?}"
        );
    }

    #[cfg(not(feature = "kafka-tls"))]
    #[test]
    fn a_build_without_tls_says_what_it_lacks() {
        assert_eq!(
            read(&[
                (PROTOCOL, "sasl_ssl"),
                (MECHANISM, "SCRAM-SHA-512"),
                (USERNAME, "orders"),
                (PASSWORD, "hunter2"),
            ])
            .unwrap_err(),
            [
                "KAFKA_SECURITY_PROTOCOL: sasl_ssl needs TLS, which this binary was built without: build it with the cargo feature `kafka-tls`",
                "KAFKA_SASL_MECHANISM: SCRAM-SHA-512 needs TLS, which this binary was built without: build it with the cargo feature `kafka-tls`",
            ]
        );
    }

    #[cfg(feature = "kafka-tls")]
    #[test]
    fn over_tls_the_name_of_the_broker_is_checked() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let path = file.path().to_str().unwrap();

        let security = read(&[
            (PROTOCOL, "sasl_ssl"),
            (CA_FILE, path),
            (CERTIFICATE_FILE, path),
            (KEY_FILE, path),
            (MECHANISM, "SCRAM-SHA-512"),
            (USERNAME, "orders"),
            (PASSWORD, "hunter2"),
        ])
        .unwrap();

        let config = properties(&security);
        assert_eq!(
            config.get("enable.ssl.certificate.verification"),
            Some("true")
        );
        assert_eq!(
            config.get("ssl.endpoint.identification.algorithm"),
            Some("https")
        );
        assert_eq!(config.get("ssl.ca.location"), Some(path));
        assert_eq!(config.get("ssl.certificate.location"), Some(path));
        assert_eq!(config.get("ssl.key.location"), Some(path));
        assert_eq!(config.get("sasl.mechanism"), Some("SCRAM-SHA-512"));
        config.create_native_config().unwrap();
    }
}
