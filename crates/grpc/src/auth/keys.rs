//! The keys that count now, and how they are kept fresh.
//!
//! ```text
//!  every few seconds or minutes ─┐
//!                                ├─▶ read the source ─▶ valid? ─▶ the new keys count, the old ones no longer
//!  a token names an unknown key ─┘                        └─ no ─▶ the old ones stay
//! ```
//!
//! A source that cannot be read, or holds no key set, changes nothing: nobody is locked out because the issuer is away.
//! So keys are revoked by a set without them, not by a set without any.

use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::key_set::{InvalidKeySet, KeySet};
use super::source::{JwksSource, ReadError, Reader};
use super::verified::VerifiedTokens;
use service::backoff::Backoff;
use service::error_chain::ErrorChain;

/// How often a source is read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    /// Time between two reads that nobody asked for.
    pub(super) interval: Duration,
    /// Least time between two reads: tokens with invented key ids must not become a flood at the issuer.
    pub(super) gap: Duration,
    /// Time before the next read after one that failed.
    pub(super) backoff: Backoff,
}

/// How long a call waits for keys that may make its token valid: an issuer nearby answers in less, and a call with an
/// invented key id must not hold a place for long.
const WAIT_LIMIT: Duration = Duration::from_secs(1);

const BACKOFF: Backoff = Backoff {
    initial: Duration::from_secs(1),
    cap: Duration::from_secs(30),
};

impl Pace {
    /// A file costs nothing to look at; an issuer is asked as its caches expect it.
    pub(super) fn of(source: &JwksSource) -> Self {
        let (interval, gap) = match source {
            JwksSource::File(_) => (Duration::from_secs(5), Duration::from_secs(1)),
            JwksSource::Url(_) => (Duration::from_secs(300), Duration::from_secs(10)),
        };
        Self {
            interval,
            gap,
            backoff: BACKOFF,
        }
    }
}

/// The keys as they are now. Clones share them.
#[derive(Clone, Debug)]
pub(super) struct Keys {
    state: watch::Sender<State>,
    wanted: Arc<Notify>,
    gap: Duration,
}

#[derive(Debug, Default)]
struct State {
    trusted: Option<Arc<Trusted>>,
    /// When the source was read last, with whatever success.
    read_at: Option<Instant>,
}

/// Keys, and the tokens that they have verified: the ones do not outlive the others.
#[derive(Debug)]
pub(super) struct Trusted {
    pub(super) keys: KeySet,
    pub(super) verified: VerifiedTokens,
    text: Vec<u8>,
}

/// Why there are no keys, or no newer ones.
#[derive(Debug, Error)]
pub enum KeysError {
    /// The source cannot be read.
    #[error("the key set cannot be read")]
    Read(#[from] ReadError),
    /// What it holds is no key set.
    #[error("the key set cannot be used")]
    Invalid(#[from] InvalidKeySet),
}

impl Keys {
    /// No keys yet.
    pub(super) fn none(gap: Duration) -> Self {
        Self {
            state: watch::Sender::default(),
            wanted: Arc::default(),
            gap,
        }
    }

    /// The keys that count now; `None` before the first ones have come.
    pub(super) fn trusted(&self) -> Option<Arc<Trusted>> {
        self.state.borrow().trusted.clone()
    }

    /// Has the source read and waits for it, unless that was done just now.
    pub(super) async fn renew(&self) -> Renewal {
        let mut state = self.state.subscribe();
        let is_recent = |at: Instant| at.elapsed() < self.gap;
        if state.borrow_and_update().read_at.is_some_and(is_recent) {
            return Renewal::Recent;
        }
        self.wanted.notify_one();
        match timeout(WAIT_LIMIT, state.changed()).await {
            Ok(_) => Renewal::Done,
            Err(_) => Renewal::Slow,
        }
    }

    /// Reads the source once.
    ///
    /// # Errors
    /// [`KeysError`] when the old keys stay.
    pub(super) async fn read(&self, reader: &Reader) -> Result<(), KeysError> {
        let outcome = self.newer(reader).await;
        self.state.send_modify(|state| {
            state.read_at = Some(Instant::now());
            if let Ok(Some(trusted)) = &outcome {
                state.trusted = Some(Arc::clone(trusted));
            }
        });
        outcome.map(|_| ())
    }

    /// What the source holds, if it is not what is known already.
    async fn newer(&self, reader: &Reader) -> Result<Option<Arc<Trusted>>, KeysError> {
        let text = reader.read().await?;
        let known = self.trusted();
        if known.is_some_and(|trusted| trusted.text == text) {
            return Ok(None);
        }
        let keys = KeySet::parse(&text)?;
        tracing::info!("token keys loaded");
        Ok(Some(Arc::new(Trusted {
            keys,
            verified: VerifiedTokens::default(),
            text,
        })))
    }

    /// Reads the source at its pace, and when a call wants it, until `shutdown`.
    pub(super) async fn keep_fresh(self, reader: Reader, pace: Pace, shutdown: CancellationToken) {
        let mut failures = 0;
        loop {
            let pause = match self.trusted() {
                // Nothing is there yet: nothing to wait for.
                None if failures == 0 => Duration::ZERO,
                _ if failures == 0 => pace.interval,
                _ => pace.backoff.delay(failures),
            };
            // Biased: a stopping service fetches nothing any more.
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return,
                () = sleep(pause) => {}
                () = self.asked_for() => {}
            }
            match self.read(&reader).await {
                Ok(()) => failures = 0,
                Err(error) => {
                    failures += 1;
                    tracing::warn!(error = %ErrorChain(&error), "token keys not renewed");
                }
            }
        }
    }

    async fn asked_for(&self) {
        let read_at = self.state.borrow().read_at;
        if let Some(read_at) = read_at {
            sleep_until(read_at + self.gap).await;
        }
        self.wanted.notified().await;
    }
}

/// What became of the wish for newer keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Renewal {
    /// The source was read, with whatever success.
    Done,
    /// It was read so shortly before that nothing was done.
    Recent,
    /// It does not answer.
    Slow,
}
