//! Accepted and rejected settings, and the resulting properties.

use std::collections::BTreeMap;

use super::*;

/// Reads the settings; the error lists their mistakes.
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

fn mistakes(pairs: &[(&str, &str)]) -> Vec<String> {
    // Whether TLS is built in has tests of its own.
    read(pairs)
        .unwrap_err()
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
fn the_default_is_neither_encryption_nor_credentials() {
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
fn a_password_is_not_printed() {
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
fn unknown_values_are_rejected_with_the_known_ones() {
    assert_eq!(
        mistakes(&[(PROTOCOL, "tls")]),
        [
            "KAFKA_SECURITY_PROTOCOL: expected plaintext, ssl, sasl_plaintext or sasl_ssl, got \"tls\""
        ]
    );
    assert_eq!(
        mistakes(&[
            (PROTOCOL, "sasl_plaintext"),
            (MECHANISM, "GSSAPI"),
            (USERNAME, "orders"),
            (PASSWORD, "hunter2"),
        ]),
        ["KAFKA_SASL_MECHANISM: expected PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512, got \"GSSAPI\""]
    );
}

#[test]
fn a_sasl_protocol_needs_a_user_and_a_password() {
    assert_eq!(
        mistakes(&[(PROTOCOL, "sasl_plaintext")]),
        [
            "KAFKA_SASL_USERNAME: must be set with KAFKA_SECURITY_PROTOCOL=sasl_plaintext",
            "KAFKA_SASL_PASSWORD: must be set with KAFKA_SECURITY_PROTOCOL=sasl_plaintext",
        ]
    );
}

#[test]
fn settings_that_the_protocol_does_not_use_are_rejected() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let file = file.path().to_str().unwrap();

    assert_eq!(
        mistakes(&[
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
fn a_certificate_and_its_key_must_be_set_together() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let file = file.path().to_str().unwrap();

    // One more wrong setting, so that there are mistakes in every build.
    let with = |name| mistakes(&[(PROTOCOL, "ssl"), (name, file), (PASSWORD, "x")]);

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
fn a_file_that_cannot_be_read_is_rejected_by_name() {
    let mistakes = mistakes(&[(PROTOCOL, "ssl"), (CA_FILE, "/no/such/ca.pem")]);

    assert!(
        mistakes[0].starts_with("KAFKA_CA_FILE: cannot read /no/such/ca.pem: "),
        "{mistakes:?}"
    );
}

#[cfg(not(feature = "tls"))]
#[test]
fn a_build_without_tls_rejects_settings_that_need_it() {
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

#[cfg(feature = "tls")]
#[test]
fn over_tls_the_host_name_of_the_broker_is_verified() {
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
