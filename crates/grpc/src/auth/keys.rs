//! Cache of the issuer's keys, refreshed periodically and on demand.
//!
//! ```text
//!  every few seconds or minutes ──┐
//!                                 ├─▶ read the source ─▶ valid? ─▶ replace the keys
//!  token with an unknown key id ──┘                        └─ no ─▶ keep the old keys
//! ```
//!
//! A source that cannot be read, or holds no key set, changes nothing: callers are not locked out while the issuer is
//! down. A key is revoked by a set without it, not by an empty set.

use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::jwks_source::{JwksReader, JwksSource, ReadError};
use super::key_set::{InvalidKeySet, KeySet};
use super::token_cache::TokenCache;
use service::backoff::Backoff;
use service::error_chain::ErrorChain;

/// When a source is read.
#[derive(Clone, Copy, Debug)]
pub(super) struct RefreshSchedule {
    /// Time between periodic reads.
    pub(super) interval: Duration,
    /// Minimum time between two reads: tokens with invented key ids must not flood the issuer.
    pub(super) min_interval: Duration,
    /// After failed reads.
    pub(super) backoff: Backoff,
}

/// Timeout of a call that waits for newer keys: a nearby issuer answers faster, and a call with an invented key id must
/// not hold its permit for long.
const RENEW_TIMEOUT: Duration = Duration::from_secs(1);

const BACKOFF: Backoff = Backoff {
    initial: Duration::from_secs(1),
    cap: Duration::from_secs(30),
};

impl RefreshSchedule {
    /// Reading a file is cheap; an issuer is fetched at the interval that its caches expect.
    pub(super) fn of(source: &JwksSource) -> Self {
        let (interval, min_interval) = match source {
            JwksSource::File(_) => (Duration::from_secs(5), Duration::from_secs(1)),
            JwksSource::Url(_) => (Duration::from_secs(300), Duration::from_secs(10)),
        };
        Self {
            interval,
            min_interval,
            backoff: BACKOFF,
        }
    }
}

/// Clones share the keys.
#[derive(Clone, Debug)]
pub(super) struct Keys {
    state: watch::Sender<KeysState>,
    wanted: Arc<Notify>,
    reader: JwksReader,
    schedule: RefreshSchedule,
}

#[derive(Debug, Default)]
struct KeysState {
    trusted: Option<Arc<TrustedKeys>>,
    /// Time of the last read, successful or not.
    read_at: Option<Instant>,
    /// Whether the last read got no key set, valid or not.
    is_unreachable: bool,
}

/// Keys with the tokens that they have verified: new keys start with an empty cache.
#[derive(Debug)]
pub(super) struct TrustedKeys {
    pub(super) keys: KeySet,
    pub(super) cache: TokenCache,
    text: Vec<u8>,
}

#[derive(Debug, Error)]
pub(super) enum KeysError {
    #[error("the key set cannot be read")]
    Read(#[from] ReadError),
    #[error("the key set cannot be used")]
    Invalid(#[from] InvalidKeySet),
}

impl Keys {
    /// No keys yet.
    pub(super) fn new(reader: JwksReader, schedule: RefreshSchedule) -> Self {
        Self {
            state: watch::Sender::default(),
            wanted: Arc::default(),
            reader,
            schedule,
        }
    }

    /// The current keys; `None` before the first read has succeeded.
    pub(super) fn trusted(&self) -> Option<Arc<TrustedKeys>> {
        self.state.borrow().trusted.clone()
    }

    /// Requests a read and waits for it, unless the last one was less than `min_interval` ago.
    pub(super) async fn renew(&self) -> Renewal {
        let mut state = self.state.subscribe();
        let is_recent = |at: Instant| at.elapsed() < self.schedule.min_interval;
        let outcome = if state.borrow_and_update().read_at.is_some_and(is_recent) {
            Renewal::Recent
        } else {
            self.wanted.notify_one();
            match timeout(RENEW_TIMEOUT, state.changed()).await {
                Ok(_) => Renewal::Done,
                Err(_) => return Renewal::Failed,
            }
        };
        match state.borrow().is_unreachable {
            true => Renewal::Failed,
            false => outcome,
        }
    }

    /// Reads the source once.
    ///
    /// # Errors
    /// [`KeysError`] if the old keys stay.
    pub(super) async fn read(&self) -> Result<(), KeysError> {
        let outcome = self.newer().await;
        self.state.send_modify(|state| {
            state.read_at = Some(Instant::now());
            state.is_unreachable = matches!(outcome, Err(KeysError::Read(_)));
            if let Ok(Some(trusted)) = &outcome {
                state.trusted = Some(Arc::clone(trusted));
            }
        });
        outcome.map(|_| ())
    }

    /// The keys of the source; `None` if unchanged.
    async fn newer(&self) -> Result<Option<Arc<TrustedKeys>>, KeysError> {
        let text = self.reader.read().await?;
        let known = self.trusted();
        if known.is_some_and(|trusted| trusted.text == text) {
            return Ok(None);
        }
        let keys = KeySet::parse(&text)?;
        tracing::info!("token keys loaded");
        Ok(Some(Arc::new(TrustedKeys {
            keys,
            cache: TokenCache::default(),
            text,
        })))
    }

    /// Reads the source on schedule and on demand, until `shutdown`.
    pub(super) async fn keep_fresh(self, shutdown: CancellationToken) {
        let mut failures = 0;
        loop {
            let pause = match self.trusted() {
                // The first read has not been tried yet.
                None if failures == 0 => Duration::ZERO,
                _ if failures == 0 => self.schedule.interval,
                _ => self.schedule.backoff.delay(failures),
            };
            // Biased: no read after shutdown.
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return,
                () = sleep(pause) => {}
                () = self.refresh_requested() => {}
            }
            match self.read().await {
                Ok(()) => failures = 0,
                Err(error) => {
                    failures += 1;
                    tracing::warn!(error = %ErrorChain(&error), "token keys refresh failed");
                }
            }
        }
    }

    async fn refresh_requested(&self) {
        let read_at = self.state.borrow().read_at;
        if let Some(read_at) = read_at {
            sleep_until(read_at + self.schedule.min_interval).await;
        }
        self.wanted.notified().await;
    }
}

/// Outcome of a requested read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Renewal {
    /// The source was read.
    Done,
    /// The last read was too recent, and was answered.
    Recent,
    /// The source did not answer, or not in time.
    Failed,
}
