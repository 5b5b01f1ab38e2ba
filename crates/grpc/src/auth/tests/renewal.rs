//! Keys that change while the service runs.

use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::issuer::{Answer, Issuer};
use super::source::ReadError;
use super::*;
use service::backoff::Backoff;

/// Long enough for anything that works, short enough to see that something hangs.
const LIMIT: Duration = Duration::from_secs(30);

const AT_ONCE: Duration = Duration::from_millis(10);
const NEVER: Duration = Duration::from_secs(3_600);

fn pace(interval: Duration, gap: Duration) -> Pace {
    Pace {
        interval,
        gap,
        backoff: Backoff {
            initial: AT_ONCE,
            cap: AT_ONCE,
        },
    }
}

/// Authentication whose keys are kept fresh, until it is dropped.
struct Running {
    layer: AuthLayer,
    upkeep: JoinHandle<()>,
}

impl Running {
    async fn start(jwks: JwksSource, pace: Pace) -> Self {
        let authentication = Authentication::load_at(&config(jwks), "test", pace).await;
        let authentication = authentication.unwrap();
        let layer = authentication.layer();
        let upkeep = tokio::spawn(authentication.keep_fresh(CancellationToken::new()));
        Self { layer, upkeep }
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

impl Drop for Running {
    fn drop(&mut self) {
        self.upkeep.abort();
    }
}

#[tokio::test]
async fn a_file_is_renewed_without_a_restart_and_old_keys_count_no_longer() {
    let (old, new) = (Signer::es256("a"), Signer::es256("b"));
    let file = KeyFile::with(&[old.jwk()]);
    let jwks = JwksSource::File(file.path.clone());
    let running = Running::start(jwks, pace(AT_ONCE, NEVER)).await;
    let (of_old, of_new) = (old.sign(&claims("17850")), new.sign(&claims("17850")));
    assert_eq!(running.code(&of_old).await, Code::Ok);
    assert_eq!(running.code(&of_new).await, Code::Unauthenticated);

    file.replace(&[new.jwk()]);

    running.becomes(&of_new, Code::Ok).await;
    // Although it was believed a moment ago.
    assert_eq!(running.code(&of_old).await, Code::Unauthenticated);
}

#[tokio::test]
async fn a_file_that_breaks_leaves_the_old_keys() {
    let (old, new) = (Signer::es256("a"), Signer::es256("b"));
    let file = KeyFile::with(&[old.jwk()]);
    let jwks = JwksSource::File(file.path.clone());
    let running = Running::start(jwks, pace(AT_ONCE, Duration::ZERO)).await;

    // Each of the unknown keys has the file read.
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
async fn a_key_that_is_not_known_yet_is_fetched_for_the_call_that_needs_it() {
    let (old, new) = (Signer::es256("a"), Signer::es256("b"));
    let issuer = Issuer::start(Answer::Keys(vec![old.jwk()])).await;
    let running = Running::start(issuer.jwks(), pace(NEVER, Duration::ZERO)).await;
    running.becomes(&old.sign(&claims("17850")), Code::Ok).await;

    issuer.answer(Answer::Keys(vec![old.jwk(), new.jwk()]));
    let of_new = new.sign(&claims("17850"));
    let mut code = running.code(&of_new).await;
    // On a busy machine the issuer may be too slow for the call.
    while code == Code::Unavailable {
        code = running.code(&of_new).await;
    }

    assert_eq!(code, Code::Ok);
}

#[tokio::test]
async fn invented_keys_are_no_flood_at_the_issuer() {
    let signer = Signer::es256("a");
    let issuer = Issuer::start(Answer::Keys(vec![signer.jwk()])).await;
    let running = Running::start(issuer.jwks(), pace(NEVER, NEVER)).await;
    running
        .becomes(&signer.sign(&claims("17850")), Code::Ok)
        .await;

    let stranger = Signer::es256("x");
    for _ in 0..50 {
        let invented = stranger.sign(&claims("17850"));
        assert_eq!(running.code(&invented).await, Code::Unauthenticated);
    }

    assert_eq!(issuer.asked(), 1);
}

#[tokio::test]
async fn an_issuer_that_is_not_there_yet_is_waited_for() {
    let signer = Signer::es256("a");
    let token = signer.sign(&claims("17850"));
    let issuer = Issuer::start(Answer::Status(503)).await;
    let running = Running::start(issuer.jwks(), pace(NEVER, NEVER)).await;
    assert_eq!(running.code(&token).await, Code::Unavailable);

    issuer.answer(Answer::Keys(vec![signer.jwk()]));

    running.becomes(&token, Code::Ok).await;
}

#[tokio::test]
async fn an_issuer_that_answers_badly_changes_nothing() {
    let signer = Signer::es256("a");
    let token = signer.sign(&claims("17850"));
    let issuer = Issuer::start(Answer::Keys(vec![signer.jwk()])).await;
    let running = Running::start(issuer.jwks(), pace(AT_ONCE, NEVER)).await;
    running.becomes(&token, Code::Ok).await;

    for answer in [
        Answer::Status(500),
        Answer::Status(302),
        Answer::Garbage,
        Answer::Endless,
        Answer::HangUp,
    ] {
        issuer.answer(answer);
        let asked = issuer.asked();
        let two_more = async {
            while issuer.asked() < asked + 2 {
                sleep(AT_ONCE).await;
            }
        };
        timeout(LIMIT, two_more).await.unwrap();
        assert_eq!(running.code(&token).await, Code::Ok);
    }
}

#[tokio::test]
async fn a_key_set_without_end_is_cut_off() {
    let issuer = Issuer::start(Answer::Endless).await;

    let read = Reader::new(issuer.jwks()).unwrap().read().await;

    assert!(matches!(read, Err(ReadError::TooLarge)), "{read:?}");
}

#[tokio::test]
async fn a_call_waits_a_moment_only_for_an_issuer_that_is_silent() {
    let signer = Signer::es256("a");
    let token = signer.sign(&claims("17850"));
    let issuer = Issuer::start(Answer::Keys(vec![signer.jwk()])).await;
    let running = Running::start(issuer.jwks(), pace(NEVER, Duration::ZERO)).await;
    running.becomes(&token, Code::Ok).await;

    issuer.answer(Answer::Silence);

    let unknown = Signer::es256("b").sign(&claims("17850"));
    assert_eq!(running.code(&unknown).await, Code::Unavailable);
    assert_eq!(running.code(&token).await, Code::Ok);
}

#[tokio::test]
async fn a_stop_ends_the_upkeep() {
    let issuer = Issuer::start(Answer::Silence).await;
    let stopped = CancellationToken::new();
    stopped.cancel();

    let configured = Authentication::load(Some(&config(issuer.jwks())), "test").await;
    let none = Authentication::load(None, "test").await;

    for authentication in [configured, none] {
        let ended = authentication.unwrap().keep_fresh(stopped.clone());
        timeout(LIMIT, ended).await.unwrap();
    }
}
