//! What can be configured, and what a start with wrong keys says.

use std::collections::BTreeMap;

use super::*;
use service::config::ConfigError;
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
fn nothing_set_is_no_authentication() {
    assert!(read(&[]).unwrap().is_none());
}

#[test]
fn the_defaults_beside_what_must_be_set() {
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
fn half_an_authentication_is_refused() {
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
async fn a_start_with_a_wrong_file_names_the_setting_and_the_file() {
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
