//! Which tokens are accepted.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header};

use super::*;

/// Claims with one changed, or removed by null.
fn claims_but(name: &str, value: Value) -> Value {
    let mut claims = claims("17850");
    claims[name] = value;
    claims.as_object_mut().unwrap().retain(|_, v| !v.is_null());
    claims
}

#[tokio::test]
async fn a_token_of_each_algorithm_names_its_customer() {
    let (a, b, c) = (Signer::es256("a"), Signer::es384("b"), Signer::eddsa("c"));
    let (rsa, pss) = (Signer::rsa("d"), Signer::rsa("e"));
    let mut pss_key = pss.jwk();
    pss_key["alg"] = json!("PS256");
    let layer = layer(&[a.jwk(), b.jwk(), c.jwk(), rsa.jwk(), pss_key]).await;

    for signer in [&a, &b, &c, &rsa] {
        let token = signer.sign(&claims("17850"));
        assert_eq!(call(&layer, &token).await.unwrap(), customer("17850"));
    }
    let mut header = pss.header();
    header.alg = Algorithm::PS256;
    let token = pss.sign_as(&header, &claims("17850"));
    assert_eq!(call(&layer, &token).await.unwrap(), customer("17850"));
}

#[tokio::test]
async fn the_customer_is_the_customer_id_or_else_the_subject() {
    let signer = Signer::es256("a");
    let layer = layer(&[signer.jwk()]).await;

    let both = signer.sign(&claims_but("customer_id", json!("13047")));

    assert_eq!(call(&layer, &both).await.unwrap(), customer("13047"));
}

#[tokio::test]
async fn a_caller_with_the_role_is_an_operator() {
    let signer = Signer::es256("a");
    let layer = layer(&[signer.jwk()]).await;

    let operator = signer.sign(&claims_but("roles", json!(["auditor", "operator"])));
    let other = signer.sign(&claims_but("roles", json!(["auditor", "operators"])));

    let name = "17850".to_owned();
    assert_eq!(
        call(&layer, &operator).await.unwrap(),
        Caller::Operator { name }
    );
    assert_eq!(call(&layer, &other).await.unwrap(), customer("17850"));
}

#[tokio::test]
async fn a_token_for_another_service_or_time_is_rejected() {
    let signer = Signer::es256("a");
    let layer = layer(&[signer.jwk()]).await;

    for (name, value) in [
        ("exp", json!(in_seconds(-60))),
        ("exp", json!(null)),
        ("exp", json!("tomorrow")),
        ("exp", json!(-1)),
        ("nbf", json!(in_seconds(60))),
        ("nbf", json!("yesterday")),
        ("aud", json!("payments")),
        ("aud", json!(["payments", "stock"])),
        ("aud", json!(null)),
        ("iss", json!("https://other.example")),
        ("iss", json!(null)),
        ("sub", json!(null)),
        ("sub", json!("")),
        ("sub", json!("x".repeat(256))),
        ("customer_id", json!("")),
        ("roles", json!("operator")),
    ] {
        let token = signer.sign(&claims_but(name, value.clone()));
        let refused = call(&layer, &token).await.unwrap_err();
        assert_eq!(refused.code(), Code::Unauthenticated, "{name}: {value}");
    }
}

#[tokio::test]
async fn the_clock_skew_is_tolerated() {
    let signer = Signer::es256("a");
    let layer = layer(&[signer.jwk()]).await;

    for (name, seconds) in [("exp", -20), ("nbf", 20)] {
        let token = signer.sign(&claims_but(name, json!(in_seconds(seconds))));
        assert!(call(&layer, &token).await.is_ok(), "{name}");
    }
}

#[tokio::test]
async fn one_of_several_audiences_is_enough() {
    let signer = Signer::es256("a");
    let layer = layer(&[signer.jwk()]).await;

    let token = signer.sign(&claims_but("aud", json!(["stock", "orders"])));

    assert!(call(&layer, &token).await.is_ok());
}

#[tokio::test]
async fn a_foreign_key_is_not_accepted() {
    let layer = layer(&[Signer::es256("a").jwk()]).await;
    let foreign_signer = Signer::es256("a");
    let mut header = foreign_signer.header();
    header.jwk = serde_json::from_value(foreign_signer.jwk()).unwrap();

    assert_unauthenticated(call(&layer, &foreign_signer.sign(&claims("17850"))).await);
    // Nor one that the token itself contains.
    let token = foreign_signer.sign_as(&header, &claims("17850"));
    assert_unauthenticated(call(&layer, &token).await);
}

#[tokio::test]
async fn an_unsigned_token_is_rejected() {
    let signer = Signer::es256("a");
    let layer = layer(&[signer.jwk()]).await;
    let encode = |part: Value| URL_SAFE_NO_PAD.encode(part.to_string());
    let payload = encode(claims("17850"));

    for algorithm in ["none", "None", "NONE", ""] {
        let header = encode(json!({"alg": algorithm, "kid": "a"}));
        assert_unauthenticated(call(&layer, &format!("{header}.{payload}.")).await);
    }
    let header = encode(json!({"alg": "ES256", "kid": "a"}));
    assert_unauthenticated(call(&layer, &format!("{header}.{payload}.")).await);
}

#[tokio::test]
async fn a_public_key_is_no_shared_secret() {
    let signer = Signer::es256("a");
    let layer = layer(&[signer.jwk()]).await;
    let mut header = Header::new(Algorithm::HS256);
    header.kid = Some("a".to_owned());

    let published = signer.jwk().to_string();
    for secret in [signer.public(), published.as_bytes()] {
        let key = EncodingKey::from_secret(secret);
        let token = jsonwebtoken::encode(&header, &claims("17850"), &key).unwrap();
        assert_unauthenticated(call(&layer, &token).await);
    }
}

#[tokio::test]
async fn a_key_verifies_no_other_algorithm_than_its_own() {
    let signer = Signer::rsa("a");
    let layer = layer(&[signer.jwk()]).await;
    let mut header = signer.header();

    for algorithm in [Algorithm::PS256, Algorithm::RS384, Algorithm::RS512] {
        header.alg = algorithm;
        let token = signer.sign_as(&header, &claims("17850"));
        assert_unauthenticated(call(&layer, &token).await);
    }
}

#[tokio::test]
async fn a_modified_token_is_rejected() {
    let signer = Signer::es256("a");
    let layer = layer(&[signer.jwk()]).await;
    let token = signer.sign(&claims("17850"));
    let [header, _, signature] = token.split('.').collect::<Vec<_>>()[..] else {
        panic!("{token}");
    };
    let other = URL_SAFE_NO_PAD.encode(claims("13047").to_string());

    // The original is cached by now.
    call(&layer, &token).await.unwrap();

    assert_unauthenticated(call(&layer, &format!("{header}.{other}.{signature}")).await);
    assert_unauthenticated(call(&layer, &token[..token.len() - 4]).await);
    assert_unauthenticated(call(&layer, &format!("{token}.{signature}")).await);
}

#[tokio::test]
async fn a_token_with_critical_extensions_is_rejected() {
    let signer = Signer::es256("a");
    let layer = layer(&[signer.jwk()]).await;
    let mut header = signer.header();
    header.crit = Some(vec!["b64".to_owned()]);

    let token = signer.sign_as(&header, &claims("17850"));

    assert_unauthenticated(call(&layer, &token).await);
}

#[tokio::test]
async fn an_oversized_token_is_rejected_unread() {
    let signer = Signer::es256("a");
    let layer = layer(&[signer.jwk()]).await;
    let padded = |bytes: usize| signer.sign(&claims_but("note", json!("x".repeat(bytes))));

    assert!(call(&layer, &padded(5_000)).await.is_ok());
    assert_unauthenticated(call(&layer, &padded(7_000)).await);
}

#[tokio::test]
async fn a_token_without_a_key_id_is_accepted_if_there_is_one_key() {
    let (signer, other) = (Signer::es256("a"), Signer::es256("b"));
    let mut header = signer.header();
    header.kid = None;
    let token = signer.sign_as(&header, &claims("17850"));

    let one = layer(&[signer.jwk()]).await;
    let two = layer(&[signer.jwk(), other.jwk()]).await;

    assert_eq!(call(&one, &token).await.unwrap(), customer("17850"));
    assert_unauthenticated(call(&two, &token).await);
}

#[tokio::test]
async fn keys_with_the_same_id_are_all_tried() {
    let (old, new) = (Signer::es256("a"), Signer::es256("a"));
    let layer = layer(&[old.jwk(), new.jwk()]).await;

    for signer in [old, new] {
        assert!(call(&layer, &signer.sign(&claims("17850"))).await.is_ok());
    }
}
