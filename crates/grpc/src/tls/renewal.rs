//! Reloads certificates while the process runs.
//!
//! The contents of the files are polled every few seconds: an orchestrator swaps a symbolic link to their directory,
//! which a watch on the files would miss. Files that are replaced one after the other are loaded when two polls in a
//! row find the same contents, not while the certificate is new and the key still old. An unusable renewal changes
//! nothing: an old certificate is better than none.

use std::fmt;
use std::future::Future;
use std::hash::{DefaultHasher, Hasher};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::pem::{PemFile, TlsError};
use service::error_chain::ErrorChain;

/// A renewal is in use after at most two intervals. Reading a few small files this often costs nothing.
const INTERVAL: Duration = Duration::from_secs(2);

/// Files of one end of a connection.
pub trait KeyMaterial: Clone + fmt::Debug + Send + Sync + 'static {
    /// The rustls configuration that is built from them.
    type Config: Send + Sync + 'static;

    fn files(&self) -> Vec<&PemFile>;

    fn build(&self) -> Result<Self::Config, TlsError>;
}

/// A configuration that follows its files.
#[derive(Debug)]
pub struct ReloadableConfig<M: KeyMaterial> {
    material: M,
    config: Arc<RwLock<Arc<M::Config>>>,
    loaded: u64,
}

impl<M: KeyMaterial> Clone for ReloadableConfig<M> {
    fn clone(&self) -> Self {
        Self {
            material: self.material.clone(),
            config: self.config.clone(),
            loaded: self.loaded,
        }
    }
}

impl<M: KeyMaterial> ReloadableConfig<M> {
    pub fn load(material: &M) -> Result<Self, TlsError> {
        // Hash first: a change in between is found by the next poll.
        let loaded = contents(material);
        let config = material.build()?;
        Ok(Self {
            material: material.clone(),
            config: Arc::new(RwLock::new(Arc::new(config))),
            loaded,
        })
    }

    /// For a new connection.
    pub(crate) fn current(&self) -> Arc<M::Config> {
        self.config
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Polls for renewed files until `stop`; a failure is logged and changes nothing.
    pub fn renew(&self, stop: CancellationToken) -> impl Future<Output = ()> + use<M> {
        let watch = Arc::new(Mutex::new(FileWatch {
            renewed: self.clone(),
            decided: self.loaded,
            found: self.loaded,
        }));
        async move {
            let polling = async {
                loop {
                    tokio::time::sleep(INTERVAL).await;
                    let watch = Arc::clone(&watch);
                    let poll = move || watch.lock().unwrap_or_else(PoisonError::into_inner).poll();
                    // The files may be on a slow disk. A poll does not panic; if it did, the next one would follow.
                    let _ = tokio::task::spawn_blocking(poll).await;
                }
            };
            stop.run_until_cancelled(polling).await;
        }
    }
}

/// State of the polls.
struct FileWatch<M: KeyMaterial> {
    renewed: ReloadableConfig<M>,
    /// Contents that are in use or were rejected.
    decided: u64,
    /// Contents at the last poll.
    found: u64,
}

impl<M: KeyMaterial> FileWatch<M> {
    fn poll(&mut self) {
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
                let current = self.renewed.config.write();
                *current.unwrap_or_else(PoisonError::into_inner) = Arc::new(config);
                tracing::info!(files = ?self.renewed.material, "renewed certificates loaded");
            }
            Err(error) => tracing::error!(
                error = %ErrorChain(&error),
                "renewed certificates unusable, old ones kept",
            ),
        }
    }
}

/// A hash, so that keys are not kept in memory a second time.
fn contents(material: &impl KeyMaterial) -> u64 {
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

    /// A file whose contents decide whether it is usable.
    #[derive(Clone, Debug)]
    struct TestFile(PemFile);

    impl KeyMaterial for TestFile {
        type Config = String;

        fn files(&self) -> Vec<&PemFile> {
            vec![&self.0]
        }

        fn build(&self) -> Result<String, TlsError> {
            let word = std::fs::read_to_string(&self.0.path).unwrap_or_default();
            if word.is_empty() {
                return Err(self.0.error(crate::tls::pem::Problem::NoCertificate));
            }
            Ok(word)
        }
    }

    fn watch(path: &Path) -> FileWatch<TestFile> {
        let file = PemFile {
            setting: "FILE",
            path: path.to_owned(),
        };
        let renewed = ReloadableConfig::load(&TestFile(file)).unwrap();
        let loaded = renewed.loaded;
        FileWatch {
            renewed,
            decided: loaded,
            found: loaded,
        }
    }

    #[test]
    fn a_change_is_loaded_after_two_equal_polls() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("word");
        std::fs::write(&path, "old").unwrap();
        let mut watch = watch(&path);

        std::fs::write(&path, "new").unwrap();
        watch.poll();
        let after_one = watch.renewed.current();
        watch.poll();
        let after_two = watch.renewed.current();

        assert_eq!((after_one.as_str(), after_two.as_str()), ("old", "new"));
    }

    #[test]
    fn an_unusable_change_keeps_the_old_contents_until_a_usable_one() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("word");
        std::fs::write(&path, "old").unwrap();
        let mut watch = watch(&path);

        std::fs::remove_file(&path).unwrap();
        watch.poll();
        watch.poll();
        let without_file = watch.renewed.current();
        std::fs::write(&path, "new").unwrap();
        watch.poll();
        watch.poll();
        let with_file = watch.renewed.current();

        assert_eq!((without_file.as_str(), with_file.as_str()), ("old", "new"));
    }
}
