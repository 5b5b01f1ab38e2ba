use serde_json::{Value, json};

use super::*;

fn retrying() -> Value {
    json!({
        "methodConfig": [{
            "name": [{"service": "a.Service", "method": "Do"}],
            "timeout": "1.5s",
            "waitForReady": true,
            "retryPolicy": {
                "maxAttempts": 3,
                "initialBackoff": "0.005s",
                "maxBackoff": "1s",
                "backoffMultiplier": 1.5,
                "retryableStatusCodes": ["UNAVAILABLE", 10],
            },
        }],
        "retryThrottling": {"maxTokens": 10, "tokenRatio": 0.1234},
    })
}

fn parse(document: &Value) -> Result<ServiceConfig, ServiceConfigError> {
    ServiceConfig::parse(&document.to_string())
}

#[test]
fn the_policy_of_a_method_is_read() {
    let config = parse(&retrying()).unwrap();

    let policy = config.policy("/a.Service/Do");
    assert_eq!(policy.timeout, Some(Duration::from_millis(1_500)));
    let retry = CallRetryPolicy {
        max_attempts: 3,
        initial_backoff: Duration::from_millis(5),
        max_backoff: Duration::from_secs(1),
        backoff_multiplier: 1.5,
        codes: vec![Code::Unavailable, Code::Aborted],
    };
    assert_eq!(policy.retry, Some(retry));
    assert_eq!(config.policy("/a.Service/Other"), MethodPolicy::default());
    let throttling = Throttling {
        max_tokens: 10_000,
        token_ratio: 123,
    };
    assert_eq!(config.throttling, Some(throttling));
}

#[test]
fn a_method_policy_overrides_its_service_and_the_service_overrides_the_default() {
    let config = parse(&json!({"methodConfig": [
        {"name": [{"service": "a.Service", "method": "Do"}], "timeout": "1s"},
        {"name": [{"service": "a.Service"}], "timeout": "2s"},
        {"name": [{}], "timeout": "3s"},
    ]}));

    let config = config.unwrap();
    let seconds = ["/a.Service/Do", "/a.Service/Other", "/b.Service/Do"]
        .map(|path| config.policy(path).timeout.unwrap().as_secs());
    assert_eq!(seconds, [1, 2, 3]);
}

#[test]
fn an_error_names_its_path() {
    let policy = "methodConfig[0].retryPolicy";
    let cases = [
        ("/methodConfig", json!({}), "methodConfig".to_owned()),
        ("/methodConfig/0", json!(1), "methodConfig[0]".to_owned()),
        (
            "/methodConfig/0/timeout",
            json!("1m"),
            "methodConfig[0].timeout".to_owned(),
        ),
        (
            "/methodConfig/0/name/0/service",
            json!(""),
            "methodConfig[0].name[0]".to_owned(),
        ),
        (
            "/methodConfig/0/retryPolicy/maxAttempts",
            json!(1),
            format!("{policy}.maxAttempts"),
        ),
        (
            "/methodConfig/0/retryPolicy/maxAttempts",
            json!(2.5),
            format!("{policy}.maxAttempts"),
        ),
        (
            "/methodConfig/0/retryPolicy/initialBackoff",
            json!("0s"),
            format!("{policy}.initialBackoff"),
        ),
        (
            "/methodConfig/0/retryPolicy/maxBackoff",
            json!(null),
            format!("{policy}.maxBackoff"),
        ),
        (
            "/methodConfig/0/retryPolicy/backoffMultiplier",
            json!(0),
            format!("{policy}.backoffMultiplier"),
        ),
        (
            "/methodConfig/0/retryPolicy/retryableStatusCodes",
            json!([]),
            format!("{policy}.retryableStatusCodes"),
        ),
        (
            "/methodConfig/0/retryPolicy/retryableStatusCodes/1",
            json!("AWAY"),
            format!("{policy}.retryableStatusCodes[1]"),
        ),
        (
            "/retryThrottling/maxTokens",
            json!(1_001),
            "retryThrottling.maxTokens".to_owned(),
        ),
        (
            "/retryThrottling/tokenRatio",
            json!(0),
            "retryThrottling.tokenRatio".to_owned(),
        ),
    ];
    for (pointer, value, path) in cases {
        let mut document = retrying();
        *document.pointer_mut(pointer).unwrap() = value;

        let error = parse(&document).unwrap_err();

        assert_eq!(error.path, path, "{error}");
    }
}

#[test]
fn two_policies_for_one_method_are_refused() {
    let policy = json!({"name": [{"service": "a.Service", "method": "Do"}]});

    let error = parse(&json!({"methodConfig": [policy, policy]})).unwrap_err();

    assert_eq!(error.path, "methodConfig[1].name[0]");
}

#[test]
fn more_than_five_attempts_are_five() {
    let mut document = retrying();
    *document
        .pointer_mut("/methodConfig/0/retryPolicy/maxAttempts")
        .unwrap() = json!(50);

    let retry = parse(&document).unwrap().policy("/a.Service/Do").retry;

    assert_eq!(retry.unwrap().max_attempts, 5);
}

#[test]
fn invalid_json_is_rejected_with_its_line() {
    let error = ServiceConfig::parse("{\n  nonsense").unwrap_err();

    assert_eq!(error.path, "line 2 column 3");
}
