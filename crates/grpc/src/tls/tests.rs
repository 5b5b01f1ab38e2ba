use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use rcgen::{CertifiedKey, generate_simple_self_signed};

use service::config::Settings;

use super::*;

const NAMES: ClientTlsSettings = ClientTlsSettings {
    ca_file: "CA_FILE",
    certificate_file: "CERTIFICATE_FILE",
    key_file: "KEY_FILE",
};

/// The mistakes of a configuration whose settings name these files.
fn mistakes<T>(
    directory: &Path,
    files: &[(&str, &str)],
    read: impl Fn(&mut Settings<'_>) -> Option<T>,
) -> Vec<String> {
    let environment: BTreeMap<String, String> = files
        .iter()
        .map(|(setting, file)| {
            let path = directory.join(file);
            ((*setting).to_owned(), path.display().to_string())
        })
        .collect();
    let mut settings = Settings::new(&environment);
    read(&mut settings);
    match settings.finish(()) {
        Ok(()) => Vec::new(),
        Err(error) => error.mistakes().to_vec(),
    }
}

/// A directory with valid and invalid certificates and keys.
fn directory() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(directory.path().join(name), text).unwrap();
    for name in ["one", "other"] {
        let CertifiedKey { cert, signing_key } =
            generate_simple_self_signed([name.to_owned()]).unwrap();
        write(&format!("{name}.pem"), &cert.pem());
        write(&format!("{name}.key"), &signing_key.serialize_pem());
    }
    write("empty.pem", "");
    write("bad.pem", "-----BEGIN hunter2\n");
    directory
}

#[test]
fn matching_files_are_accepted() {
    let directory = directory();
    let one = [
        ("GRPC_TLS_CERTIFICATE_FILE", "one.pem"),
        ("GRPC_TLS_KEY_FILE", "one.key"),
        ("GRPC_TLS_CLIENT_CA_FILE", "other.pem"),
    ];
    let other = [
        ("CA_FILE", "one.pem"),
        ("CERTIFICATE_FILE", "other.pem"),
        ("KEY_FILE", "other.key"),
    ];

    let server = mistakes(directory.path(), &one, ServerTlsFiles::read);
    let client = mistakes(directory.path(), &other, |settings| {
        ClientTlsFiles::read(settings, NAMES)
    });

    assert_eq!((server, client), (vec![], vec![]));
}

#[test]
fn an_unusable_file_is_reported_with_its_setting_and_without_its_contents() {
    let directory = directory();
    for (certificate, key, setting, why) in [
        ("no.pem", "one.key", "CERTIFICATE_FILE", "cannot be read"),
        ("one.pem", "no.key", "KEY_FILE", "cannot be read"),
        ("empty.pem", "one.key", "CERTIFICATE_FILE", "no certificate"),
        ("one.key", "one.key", "CERTIFICATE_FILE", "no certificate"),
        ("bad.pem", "one.key", "CERTIFICATE_FILE", "PEM format"),
        ("one.pem", "empty.pem", "KEY_FILE", "no private key"),
        ("one.pem", "bad.pem", "KEY_FILE", "PEM format"),
        ("one.pem", "other.key", "CERTIFICATE_FILE", "KeyMismatch"),
    ] {
        let files = [
            ("GRPC_TLS_CERTIFICATE_FILE", certificate),
            ("GRPC_TLS_KEY_FILE", key),
        ];

        let mistakes = mistakes(directory.path(), &files, ServerTlsFiles::read);

        let [mistake] = mistakes.as_slice() else {
            panic!("{certificate} {key}: {mistakes:?}");
        };
        assert!(
            mistake.starts_with(&format!("GRPC_TLS_{setting}: /")),
            "{mistake}"
        );
        assert!(mistake.contains(why), "{mistake}");
        assert!(!mistake.contains("hunter2"), "{mistake}");
    }
}

#[test]
fn a_certificate_needs_its_key_and_a_key_its_certificate() {
    let directory = directory();
    let mistakes = |file| mistakes(directory.path(), &[file], ServerTlsFiles::read);

    assert_eq!(
        mistakes(("GRPC_TLS_CERTIFICATE_FILE", "one.pem")),
        ["GRPC_TLS_KEY_FILE: must be set with GRPC_TLS_CERTIFICATE_FILE"]
    );
    assert_eq!(
        mistakes(("GRPC_TLS_KEY_FILE", "one.key")),
        ["GRPC_TLS_CERTIFICATE_FILE: must be set with GRPC_TLS_KEY_FILE"]
    );
}

#[test]
fn a_file_without_effect_is_a_mistake() {
    let directory = directory();
    let certificate = [("CERTIFICATE_FILE", "one.pem"), ("KEY_FILE", "one.key")];
    let authorities = [("GRPC_TLS_CLIENT_CA_FILE", "one.pem")];

    let client = mistakes(directory.path(), &certificate, |settings| {
        ClientTlsFiles::read(settings, NAMES)
    });
    let server = mistakes(directory.path(), &authorities, ServerTlsFiles::read);

    assert_eq!(client, ["CERTIFICATE_FILE: has no effect without CA_FILE"]);
    assert_eq!(
        server,
        [
            "GRPC_TLS_CLIENT_CA_FILE: has no effect without GRPC_TLS_CERTIFICATE_FILE and GRPC_TLS_KEY_FILE"
        ]
    );
}
