//! Where a key set comes from: a file, or a URL of the issuer.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::Url;
use reqwest::redirect::Policy;
use thiserror::Error;
use tokio::fs::File;
use tokio::io::AsyncReadExt;

use super::key_set::MAX_BYTES;

/// A provider that does not answer by then is asked again later; the old keys do until then.
const FETCH_TIMEOUT: Duration = Duration::from_secs(5);

/// Where the keys are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JwksSource {
    /// In a file, which may be replaced while the service runs.
    File(PathBuf),
    /// At the issuer's.
    Url(Url),
}

impl JwksSource {
    /// Reads a setting: a URL if it looks like one, a path otherwise. Keys over a connection that anybody can change
    /// would be anybody's keys, so it must be HTTPS, except on this machine.
    ///
    /// # Errors
    /// What was expected. The text is not repeated: it might hold a password.
    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        const EXPECTED: &str = "expected a path or a URL such as https://issuer.example/jwks.json; http:// only to loopback, and no credentials in it";
        if !text.contains("://") {
            return Ok(Self::File(PathBuf::from(text)));
        }
        let url = Url::parse(text).map_err(|_| EXPECTED)?;
        let has_credentials = !url.username().is_empty() || url.password().is_some();
        let is_safe = match url.scheme() {
            "https" => true,
            "http" => is_loopback(&url),
            _ => false,
        };
        if is_safe && !has_credentials {
            Ok(Self::Url(url))
        } else {
            Err(EXPECTED)
        }
    }
}

impl fmt::Display for JwksSource {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(formatter),
            Self::Url(url) => url.fmt(formatter),
        }
    }
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost"
        || address
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

/// Reads a source again and again.
#[derive(Debug)]
pub(super) enum Reader {
    /// A file.
    File(PathBuf),
    /// A URL, and the client that fetches it.
    Url(Url, reqwest::Client),
}

/// Why a source cannot be read.
#[derive(Debug, Error)]
pub enum ReadError {
    /// The client cannot be made: the system has no authorities to trust.
    #[error("setting up the client")]
    Client(#[source] reqwest::Error),
    /// The file cannot be read.
    #[error("reading the file")]
    File(#[from] io::Error),
    /// The issuer did not answer, or not with a key set.
    #[error("fetching from the issuer")]
    Fetch(#[source] reqwest::Error),
    /// Nobody's key set is so large.
    #[error("more than {MAX_BYTES} bytes")]
    TooLarge,
}

impl Reader {
    /// A reader of this source; nothing is read yet.
    ///
    /// # Errors
    /// [`ReadError::Client`].
    pub(super) fn new(source: JwksSource) -> Result<Self, ReadError> {
        match source {
            JwksSource::File(path) => Ok(Self::File(path)),
            JwksSource::Url(url) => {
                let client = client().map_err(ReadError::Client)?;
                Ok(Self::Url(url, client))
            }
        }
    }

    /// What is there now.
    ///
    /// # Errors
    /// [`ReadError`].
    pub(super) async fn read(&self) -> Result<Vec<u8>, ReadError> {
        match self {
            Self::File(path) => read_file(path).await,
            Self::Url(url, client) => fetch(client, url.clone()).await,
        }
    }
}

fn client() -> Result<reqwest::Client, reqwest::Error> {
    reqwest::Client::builder()
        .timeout(FETCH_TIMEOUT)
        // A redirect could lead away from HTTPS.
        .redirect(Policy::none())
        .build()
}

async fn fetch(client: &reqwest::Client, url: Url) -> Result<Vec<u8>, ReadError> {
    let response = client.get(url).send().await;
    let response = response.and_then(reqwest::Response::error_for_status);
    let mut response = response.map_err(ReadError::Fetch)?;
    let mut text = Vec::new();
    // By chunks: a length that is announced need not be true.
    while let Some(chunk) = response.chunk().await.map_err(ReadError::Fetch)? {
        if text.len() + chunk.len() > MAX_BYTES {
            return Err(ReadError::TooLarge);
        }
        text.extend_from_slice(&chunk);
    }
    Ok(text)
}

async fn read_file(path: &Path) -> Result<Vec<u8>, ReadError> {
    let file = File::open(path).await?;
    let mut text = Vec::new();
    let one_too_many = MAX_BYTES as u64 + 1;
    file.take(one_too_many).read_to_end(&mut text).await?;
    if text.len() > MAX_BYTES {
        return Err(ReadError::TooLarge);
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_looks_like_a_url_is_one_and_the_rest_are_paths() {
        let file = JwksSource::parse("/etc/keys/jwks.json").unwrap();
        let url = JwksSource::parse("https://issuer.example/jwks.json").unwrap();

        assert_eq!(file, JwksSource::File("/etc/keys/jwks.json".into()));
        assert!(matches!(url, JwksSource::Url(_)));
    }

    #[test]
    fn plain_http_goes_no_further_than_this_machine() {
        for text in [
            "http://127.0.0.1:8080/jwks",
            "http://[::1]/jwks",
            "http://localhost/jwks",
        ] {
            assert!(JwksSource::parse(text).is_ok(), "{text}");
        }
        for text in [
            "http://issuer.example/jwks",
            "http://127.0.0.1.example/jwks",
            "http://10.0.0.1/jwks",
            "ftp://127.0.0.1/jwks",
            "file:///jwks.json",
            "https://user:hunter2@issuer.example/jwks",
            "https://",
        ] {
            let refused = JwksSource::parse(text).unwrap_err();
            assert!(!refused.contains("hunter2"), "{text}");
        }
    }
}
