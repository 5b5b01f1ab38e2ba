//! Certificates that are renewed while the process runs.
//!
//! The files are looked at by their contents, every few seconds: an orchestrator swaps a symbolic link to the directory
//! they lie in, which no watch on the files themselves would see. Files that are replaced one after the other are
//! loaded when two looks in a row found the same, and not when the certificate is already new and the key still old. A
//! renewal that cannot be used changes nothing: better an old certificate than none.

use std::fmt;
use std::future::Future;
use std::hash::{DefaultHasher, Hasher};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::TlsError;
use super::pem::PemFile;
use service::error_chain::ErrorChain;

/// A renewal is used after at most two of these. Reading a few small files this often costs nothing.
const INTERVAL: Duration = Duration::from_secs(2);

/// The files of one end of a connection.
pub(super) trait Material: Clone + fmt::Debug + Send + Sync + 'static {
    /// What rustls makes of them.
    type Config: Send + Sync + 'static;

    fn files(&self) -> Vec<&PemFile>;

    fn build(&self) -> Result<Self::Config, TlsError>;
}

/// What was made of the files, as they are now.
#[derive(Debug)]
pub(super) struct Renewed<M: Material> {
    material: M,
    config: Arc<RwLock<Arc<M::Config>>>,
    loaded: u64,
}

impl<M: Material> Clone for Renewed<M> {
    fn clone(&self) -> Self {
        Self {
            material: self.material.clone(),
            config: self.config.clone(),
            loaded: self.loaded,
        }
    }
}

impl<M: Material> Renewed<M> {
    pub(super) fn load(material: &M) -> Result<Self, TlsError> {
        // Looked at first: what changes in between is found by the next look.
        let loaded = contents(material);
        let config = material.build()?;
        Ok(Self {
            material: material.clone(),
            config: Arc::new(RwLock::new(Arc::new(config))),
            loaded,
        })
    }

    /// What a new connection has to use.
    pub(super) fn current(&self) -> Arc<M::Config> {
        self.config
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Looks at the files until `stop`.
    pub(super) fn renew(&self, stop: CancellationToken) -> impl Future<Output = ()> + use<M> {
        let mut watch = Watch {
            renewed: self.clone(),
            decided: self.loaded,
            found: self.loaded,
        };
        async move {
            let looking = async {
                loop {
                    tokio::time::sleep(INTERVAL).await;
                    watch = watch.look_elsewhere().await;
                }
            };
            stop.run_until_cancelled(looking).await;
        }
    }
}

/// What the looks at the files have found so far.
struct Watch<M: Material> {
    renewed: Renewed<M>,
    /// The contents that are in use or were found to be useless.
    decided: u64,
    /// The contents that the last look found.
    found: u64,
}

impl<M: Material> Watch<M> {
    /// Files may lie on a disk that is slow.
    async fn look_elsewhere(mut self) -> Self {
        let undisturbed = Self {
            renewed: self.renewed.clone(),
            ..self
        };
        let looked = tokio::task::spawn_blocking(move || {
            self.look();
            self
        });
        // It does not panic; if it did, the next look would begin where this one did.
        looked.await.unwrap_or(undisturbed)
    }

    fn look(&mut self) {
        let found = contents(&self.renewed.material);
        let settled = found == self.found;
        self.found = found;
        if settled && found != self.decided {
            self.decided = found;
            self.replace();
        }
    }

    fn replace(&self) {
        match self.renewed.material.build() {
            Ok(config) => {
                let mut current = self
                    .renewed
                    .config
                    .write()
                    .unwrap_or_else(PoisonError::into_inner);
                *current = Arc::new(config);
                tracing::info!(files = ?self.renewed.material, "renewed certificates are in use");
            }
            Err(error) => tracing::error!(
                error = %ErrorChain(&error),
                "renewed certificates cannot be used, the old ones stay",
            ),
        }
    }
}

/// A hash, so that keys are not kept in memory a second time.
fn contents(material: &impl Material) -> u64 {
    let mut hasher = DefaultHasher::new();
    for file in material.files() {
        file.hash_contents(&mut hasher);
    }
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    /// A file that is as good as its contents say.
    #[derive(Clone, Debug)]
    struct Word(PemFile);

    impl Material for Word {
        type Config = String;

        fn files(&self) -> Vec<&PemFile> {
            vec![&self.0]
        }

        fn build(&self) -> Result<String, TlsError> {
            let word = std::fs::read_to_string(&self.0.path).unwrap_or_default();
            if word.is_empty() {
                return Err(self.0.error(super::super::Problem::NoCertificate));
            }
            Ok(word)
        }
    }

    fn watch(path: &Path) -> Watch<Word> {
        let file = PemFile {
            setting: "FILE",
            path: path.to_owned(),
        };
        let renewed = Renewed::load(&Word(file)).unwrap();
        let loaded = renewed.loaded;
        Watch {
            renewed,
            decided: loaded,
            found: loaded,
        }
    }

    #[test]
    fn a_change_is_used_when_two_looks_have_found_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("word");
        std::fs::write(&path, "old").unwrap();
        let mut watch = watch(&path);

        std::fs::write(&path, "new").unwrap();
        watch.look();
        let after_one = watch.renewed.current();
        watch.look();
        let after_two = watch.renewed.current();

        assert_eq!((after_one.as_str(), after_two.as_str()), ("old", "new"));
    }

    #[test]
    fn a_change_for_the_worse_is_not_used_and_one_for_the_better_is() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("word");
        std::fs::write(&path, "old").unwrap();
        let mut watch = watch(&path);

        std::fs::remove_file(&path).unwrap();
        watch.look();
        watch.look();
        let without_file = watch.renewed.current();
        std::fs::write(&path, "new").unwrap();
        watch.look();
        watch.look();
        let with_file = watch.renewed.current();

        assert_eq!((without_file.as_str(), with_file.as_str()), ("old", "new"));
    }
}
