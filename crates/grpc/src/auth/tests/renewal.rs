//! Key rotation while the service runs.

use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::issuer::{FaultyIssuer, IssuerAnswer};
use super::jwks_source::ReadError;
use super::*;
use service::backoff::Backoff;

/// Fails a test that hangs.
const LIMIT: Duration = Duration::from_secs(30);

const AT_ONCE: Duration = Duration::from_millis(10);
const NEVER: Duration = Duration::from_secs(3_600);

fn schedule(interval: Duration, min_interval: Duration) -> RefreshSchedule {
    RefreshSchedule {
        interval,
        min_interval,
        backoff: Backoff {
            initial: AT_ONCE,
            cap: AT_ONCE,
        },
    }
}

/// Authentication with key refresh, until it is dropped.
struct RunningAuthentication {
    layer: AuthLayer,
    refresh: JoinHandle<()>,
}

impl RunningAuthentication {
    async fn start(jwks: JwksSource, schedule: RefreshSchedule) -> Self {
        let authentication = Authentication::load_at(&config(jwks), "test", schedule).await;
        let authentication = authentication.unwrap();
        let layer = authentication.layer();
        let refresh = tokio::spawn(authentication.keep_fresh(CancellationToken::new()));
        Self { layer, refresh }
    }

    async fn code(&self, token: &str) -> Code {
        match call(&self.layer, token).await {
            Ok(_) => Code::Ok,
            Err(status) => status.code(),
        }
    }

    async fn becomes(&self, token: &str, code: Code) {
        let wait = async {
            while self.code(token).await != code {
                sleep(AT_ONCE).await;
            }
        };
        timeout(LIMIT, wait).await.unwrap();
    }
}

impl Drop for RunningAuthentication {
    fn drop(&mut self) {
        self.refresh.abort();
    }
}

#[tokio::test]
async fn a_renewed_file_is_loaded_without_a_restart_and_revokes_old_keys() {
    let (old, new) = (Signer::es256("a"), Signer::es256("b"));
    let file = KeyFile::with(&[old.jwk()]);
    let jwks = JwksSource::File(file.path.clone());
    let running = RunningAuthentication::start(jwks, schedule(AT_ONCE, NEVER)).await;
    let (of_old, of_new) = (old.sign(&claims("17850")), new.sign(&claims("17850")));
    assert_eq!(running.code(&of_old).await, Code::Ok);
    assert_eq!(running.code(&of_new).await, Code::Unauthenticated);

    file.replace(&[new.jwk()]);

    running.becomes(&of_new, Code::Ok).await;
    // Although it is cached.
    assert_eq!(running.code(&of_old).await, Code::Unauthenticated);
}

#[tokio::test]
async fn an_invalid_file_keeps_the_old_keys() {
    let (old, new) = (Signer::es256("a"), Signer::es256("b"));
    let file = KeyFile::with(&[old.jwk()]);
    let jwks = JwksSource::File(file.path.clone());
    let running = RunningAuthentication::start(jwks, schedule(AT_ONCE, Duration::ZERO)).await;

    // Each unknown key triggers a read of the file.
    for broken in ["", "garbage", r#"{"keys":[]}"#] {
        fs::write(&file.path, broken).unwrap();
        let unknown = Signer::es256("c").sign(&claims("17850"));
        assert_eq!(running.code(&unknown).await, Code::Unauthenticated);
        let of_old = old.sign(&claims("17850"));
        assert_eq!(running.code(&of_old).await, Code::Ok);
    }
    file.replace(&[new.jwk()]);

    running.becomes(&new.sign(&claims("17850")), Code::Ok).await;
}

#[tokio::test]
async fn an_unknown_key_is_fetched_by_the_call_that_needs_it() {
    let (old, new) = (Signer::es256("a"), Signer::es256("b"));
    let issuer = FaultyIssuer::start(IssuerAnswer::Keys(vec![old.jwk()])).await;
    let running =
        RunningAuthentication::start(issuer.jwks(), schedule(NEVER, Duration::ZERO)).await;
    running.becomes(&old.sign(&claims("17850")), Code::Ok).await;

    issuer.answer(IssuerAnswer::Keys(vec![old.jwk(), new.jwk()]));
    let of_new = new.sign(&claims("17850"));
    let mut code = running.code(&of_new).await;
    // On a busy machine the issuer may exceed the timeout of the call.
    while code == Code::Unavailable {
        code = running.code(&of_new).await;
    }

    assert_eq!(code, Code::Ok);
}

#[tokio::test]
async fn invented_key_ids_do_not_flood_the_issuer() {
    let signer = Signer::es256("a");
    let issuer = FaultyIssuer::start(IssuerAnswer::Keys(vec![signer.jwk()])).await;
    let running = RunningAuthentication::start(issuer.jwks(), schedule(NEVER, NEVER)).await;
    running
        .becomes(&signer.sign(&claims("17850")), Code::Ok)
        .await;

    let foreign_signer = Signer::es256("x");
    for _ in 0..50 {
        let invented = foreign_signer.sign(&claims("17850"));
        assert_eq!(running.code(&invented).await, Code::Unauthenticated);
    }

    assert_eq!(issuer.requests(), 1);
}

#[tokio::test]
async fn calls_are_unavailable_until_the_issuer_answers() {
    let signer = Signer::es256("a");
    let token = signer.sign(&claims("17850"));
    let issuer = FaultyIssuer::start(IssuerAnswer::Status(503)).await;
    let running = RunningAuthentication::start(issuer.jwks(), schedule(NEVER, NEVER)).await;
    assert_eq!(running.code(&token).await, Code::Unavailable);

    issuer.answer(IssuerAnswer::Keys(vec![signer.jwk()]));

    running.becomes(&token, Code::Ok).await;
}

#[tokio::test]
async fn an_invalid_answer_of_the_issuer_keeps_the_old_keys() {
    let signer = Signer::es256("a");
    let token = signer.sign(&claims("17850"));
    let issuer = FaultyIssuer::start(IssuerAnswer::Keys(vec![signer.jwk()])).await;
    let running = RunningAuthentication::start(issuer.jwks(), schedule(AT_ONCE, NEVER)).await;
    running.becomes(&token, Code::Ok).await;

    for answer in [
        IssuerAnswer::Status(500),
        IssuerAnswer::Status(302),
        IssuerAnswer::Garbage,
        IssuerAnswer::Endless,
        IssuerAnswer::HangUp,
    ] {
        issuer.answer(answer);
        let requests = issuer.requests();
        let two_more = async {
            while issuer.requests() < requests + 2 {
                sleep(AT_ONCE).await;
            }
        };
        timeout(LIMIT, two_more).await.unwrap();
        assert_eq!(running.code(&token).await, Code::Ok);
    }
}

#[tokio::test]
async fn an_endless_key_set_is_cut_off() {
    let issuer = FaultyIssuer::start(IssuerAnswer::Endless).await;

    let read = JwksReader::new(issuer.jwks()).unwrap().read().await;

    assert!(matches!(read, Err(ReadError::TooLarge)), "{read:?}");
}

#[tokio::test]
async fn a_call_waits_with_a_timeout_for_a_silent_issuer() {
    let signer = Signer::es256("a");
    let token = signer.sign(&claims("17850"));
    let issuer = FaultyIssuer::start(IssuerAnswer::Keys(vec![signer.jwk()])).await;
    let running =
        RunningAuthentication::start(issuer.jwks(), schedule(NEVER, Duration::ZERO)).await;
    running.becomes(&token, Code::Ok).await;

    issuer.answer(IssuerAnswer::Silence);

    let unknown = Signer::es256("b").sign(&claims("17850"));
    assert_eq!(running.code(&unknown).await, Code::Unavailable);
    assert_eq!(running.code(&token).await, Code::Ok);
}

/// The call reads the keys itself, or the last read is too recent to be repeated.
#[tokio::test]
async fn an_unknown_key_is_no_fault_of_the_caller_while_the_issuer_cannot_be_read() {
    for failure in [IssuerAnswer::Status(503), IssuerAnswer::HangUp] {
        for (interval, min_interval) in [(NEVER, Duration::ZERO), (AT_ONCE, NEVER)] {
            let signer = Signer::es256("a");
            let token = signer.sign(&claims("17850"));
            let issuer = FaultyIssuer::start(IssuerAnswer::Keys(vec![signer.jwk()])).await;
            let running =
                RunningAuthentication::start(issuer.jwks(), schedule(interval, min_interval)).await;
            running.becomes(&token, Code::Ok).await;

            issuer.answer(failure.clone());

            let unknown = Signer::es256("b").sign(&claims("17850"));
            running.becomes(&unknown, Code::Unavailable).await;
            assert_eq!(running.code(&unknown).await, Code::Unavailable);
            assert_eq!(running.code(&token).await, Code::Ok);
        }
    }
}

#[tokio::test]
async fn shutdown_ends_the_key_refresh() {
    let issuer = FaultyIssuer::start(IssuerAnswer::Silence).await;
    let stopped = CancellationToken::new();
    stopped.cancel();

    let configured = Authentication::load(Some(&config(issuer.jwks())), "test").await;
    let none = Authentication::load(None, "test").await;

    for authentication in [configured, none] {
        let ended = authentication.unwrap().keep_fresh(stopped.clone());
        timeout(LIMIT, ended).await.unwrap();
    }
}
