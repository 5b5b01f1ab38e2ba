//! The `authorization` header, and the calls that need none.

use super::*;

async fn layer_and_token() -> (AuthLayer, String) {
    let signer = Signer::es256("a");
    (layer(&[signer.jwk()]).await, signer.sign(&claims("17850")))
}

fn request(path: &str, credentials: &[String]) -> Request<Body> {
    let mut request = Request::builder().uri(path);
    for value in credentials {
        request = request.header(AUTHORIZATION, value);
    }
    request.body(Body::empty()).unwrap()
}

#[tokio::test]
async fn the_scheme_is_case_insensitive() {
    let (layer, token) = layer_and_token().await;

    for scheme in ["Bearer", "bearer", "BEARER", "Bearer "] {
        let request = request(METHOD, &[format!("{scheme} {token}")]);
        assert_eq!(send(&layer, request).await.unwrap(), customer("17850"));
    }
}

#[tokio::test]
async fn anything_but_one_bearer_token_is_refused() {
    let (layer, token) = layer_and_token().await;
    let bearer = format!("Bearer {token}");

    for credentials in [
        vec![],
        vec![String::new()],
        vec![token.clone()],
        vec!["Bearer".to_owned()],
        vec!["Bearer ".to_owned()],
        vec![format!("Basic {token}")],
        vec![format!("Bearer {token} {token}")],
        vec![bearer.clone(), bearer.clone()],
        vec![format!("{bearer}, {bearer}")],
    ] {
        assert_unauthenticated(send(&layer, request(METHOD, &credentials)).await);
    }
}

#[tokio::test]
async fn only_health_needs_no_token() {
    let (layer, token) = layer_and_token().await;
    let handed_on = service_fn(async |request: Request<Body>| {
        assert!(!request.headers().contains_key(AUTHORIZATION));
        Ok::<_, Infallible>(Response::new(Body::empty()))
    });
    let status = async |path: &str, credentials: &[String]| {
        let service = MiddlewareLayer(layer.clone()).layer(handed_on);
        let response = service.oneshot(request(path, credentials)).await.unwrap();
        Status::from_header_map(response.headers()).map(|status| status.code())
    };

    let health = "/grpc.health.v1.Health/Check";
    assert_eq!(status(health, &[]).await, None);
    assert_eq!(status(health, &[format!("Bearer {token}")]).await, None);
    for path in [
        "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
        "/grpc.health.v1.Healthy/Check",
        "/orders.v1.OrderService/../grpc.health.v1.Health/Check",
        "//grpc.health.v1.Health/Check",
        "/",
    ] {
        assert_eq!(
            status(path, &[]).await,
            Some(Code::Unauthenticated),
            "{path}"
        );
    }
}

#[tokio::test]
async fn without_configuration_every_caller_is_anonymous() {
    let authentication = Authentication::load(None, "test").await.unwrap();

    let caller = send(&authentication.layer(), request(METHOD, &[])).await;

    assert_eq!(caller.unwrap(), Caller::Anonymous);
}
