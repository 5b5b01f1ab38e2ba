//! The tokens that were verified a moment ago, so that the next calls with them need no signature check.
//!
//! A client sends the same token with every call. A check costs 80 (RS256) to 180 microseconds (ES256), a look into this
//! memory 2 to 4, nearly all of it the hash: measured once, over 2,000 tokens of each kind, in a development build on a
//! busy machine of two cores. Under load that would be felt.
//!
//! A token is known by its SHA-256, so the memory holds no credentials; it is forgotten when it expires, or earlier.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use sha2::{Digest, Sha256};
use tokio::time::Instant;

use super::caller::Caller;

/// Longest that a token is believed without another look.
const MAX_AGE: Duration = Duration::from_secs(60);

/// Tokens in one generation; twice as many are remembered, at less than 1 MiB with the longest names.
const GENERATION: usize = 1_024;

/// A memory of bounded size. When a generation is full it becomes the older one, and the older one before it is dropped.
#[derive(Debug, Default)]
pub(super) struct VerifiedTokens {
    generations: Mutex<Generations>,
}

#[derive(Debug, Default)]
struct Generations {
    recent: HashMap<Fingerprint, Verified>,
    older: HashMap<Fingerprint, Verified>,
}

/// What a token is known by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Fingerprint([u8; 32]);

#[derive(Clone, Debug)]
struct Verified {
    caller: Caller,
    until: Instant,
}

impl Fingerprint {
    pub(super) fn of(token: &str) -> Self {
        Self(Sha256::digest(token).into())
    }
}

impl VerifiedTokens {
    /// Who presents the token, if that was verified and still holds.
    pub(super) fn get(&self, token: Fingerprint) -> Option<Caller> {
        let mut generations = self.lock();
        if let Some(verified) = generations.recent.get(&token) {
            return verified.caller();
        }
        let verified = generations.older.remove(&token)?;
        let caller = verified.caller()?;
        generations.insert(token, verified);
        Some(caller)
    }

    /// Remembers who presents a token that is valid for so long.
    pub(super) fn insert(&self, token: Fingerprint, caller: Caller, valid_for: Duration) {
        let until = Instant::now() + valid_for.min(MAX_AGE);
        self.lock().insert(token, Verified { caller, until });
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Generations> {
        // Every state between two of its changes is a good one.
        self.generations
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Generations {
    fn insert(&mut self, token: Fingerprint, verified: Verified) {
        if self.recent.len() >= GENERATION {
            self.older = std::mem::take(&mut self.recent);
        }
        self.recent.insert(token, verified);
    }
}

impl Verified {
    fn caller(&self) -> Option<Caller> {
        (Instant::now() < self.until).then(|| self.caller.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3_600);

    fn customer(name: &str) -> Caller {
        Caller::Customer(name.to_owned())
    }

    #[tokio::test(start_paused = true)]
    async fn a_token_is_known_for_a_minute_at_most() {
        let tokens = VerifiedTokens::default();
        let token = Fingerprint::of("a");
        tokens.insert(token, customer("17850"), HOUR);

        tokio::time::advance(MAX_AGE - Duration::from_millis(1)).await;
        assert_eq!(tokens.get(token), Some(customer("17850")));
        tokio::time::advance(Duration::from_millis(1)).await;

        assert_eq!(tokens.get(token), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_token_is_not_known_beyond_its_expiry() {
        let tokens = VerifiedTokens::default();
        let token = Fingerprint::of("a");

        tokens.insert(token, customer("17850"), Duration::from_secs(2));
        tokio::time::advance(Duration::from_secs(2)).await;

        assert_eq!(tokens.get(token), None);
    }

    #[tokio::test]
    async fn the_memory_is_bounded_and_keeps_what_is_used() {
        let tokens = VerifiedTokens::default();
        let used = Fingerprint::of("used");
        tokens.insert(used, customer("17850"), HOUR);

        for index in 0..10 * GENERATION {
            tokens.insert(Fingerprint::of(&index.to_string()), customer("guest"), HOUR);
            assert_eq!(tokens.get(used), Some(customer("17850")));
        }

        let generations = tokens.lock();
        assert!(generations.recent.len() + generations.older.len() <= 2 * GENERATION);
    }
}
