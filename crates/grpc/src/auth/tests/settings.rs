//! Settings, and errors of a start with invalid keys.

use std::collections::BTreeMap;
use std::time::Duration;

use super::*;
use crate::auth::config::{AUDIENCE, CLOCK_SKEW, ISSUER, JWKS};
use service::config::{ConfigError, Settings};
use service::error_chain::ErrorChain;

fn read(pairs: &[(&str, &str)]) -> Result<Option<AuthConfig>, ConfigError> {
    let owned = pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let source: BTreeMap<_, _> = owned.collect();
    let mut settings = Settings::new(&source);
    let config = AuthConfig::read(&mut settings);
    settings.finish(config)
}

fn mistakes(pairs: &[(&str, &str)]) -> Vec<String> {
    let error = read(pairs).unwrap_err();
    let names = error.mistakes().iter();
    names
        .map(|mistake| mistake.split(':').next().unwrap().to_owned())
        .collect()
}

#[test]
fn without_settings_there_is_no_authentication() {
    assert!(read(&[]).unwrap().is_none());
}

#[test]
fn optional_settings_have_defaults() {
    let config = read(&[
        (JWKS, "/etc/jwks.json"),
        (AUDIENCE, "orders"),
        (ISSUER, "https://issuer.example"),
    ]);

    let config = config.unwrap().unwrap();
    assert_eq!(config.jwks, JwksSource::File("/etc/jwks.json".into()));
    assert_eq!(config.clock_skew, Duration::from_secs(30));
    assert_eq!(config.operator_role, "operator");
}

#[test]
fn incomplete_settings_are_rejected() {
    assert_eq!(mistakes(&[(JWKS, "jwks.json")]), [AUDIENCE, ISSUER]);
    assert_eq!(
        mistakes(&[(AUDIENCE, "orders"), (ISSUER, "issuer")]),
        [AUDIENCE, ISSUER]
    );
    assert_eq!(
        mistakes(&[
            (JWKS, "http://issuer.example/jwks"),
            (AUDIENCE, "orders"),
            (ISSUER, "issuer"),
            (CLOCK_SKEW, "6m")
        ]),
        [CLOCK_SKEW, JWKS]
    );
}

#[tokio::test]
async fn an_unusable_key_file_is_reported_with_setting_and_path() {
    let directory = tempfile::tempdir().unwrap();
    let missing = directory.path().join("missing.json");
    let garbage = directory.path().join("garbage.json");
    fs::write(&garbage, "garbage").unwrap();
    let huge = directory.path().join("huge.json");
    fs::write(&huge, vec![b' '; 300 * 1024]).unwrap();

    for path in [missing, garbage, huge, directory.path().to_owned()] {
        let config = config(JwksSource::File(path.clone()));
        let refused = Authentication::load(Some(&config), "test").await;
        let text = ErrorChain(&refused.unwrap_err()).to_string();
        assert!(text.starts_with("AUTH_JWKS"), "{text}");
        assert!(text.contains(&path.display().to_string()), "{text}");
    }
}
