//! Source of the issuer's key set: a file or a URL.

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

/// After a timeout the fetch is retried later; the old keys stay valid until then.
const FETCH_TIMEOUT: Duration = Duration::from_secs(5);

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JwksSource {
    /// May be replaced while the service runs.
    File(PathBuf),
    Url(Url),
}

impl JwksSource {
    /// Parses a setting: a URL if it contains `://`, else a path. Keys that are fetched over plain HTTP could be
    /// replaced by an attacker, so the URL must be HTTPS, except to loopback.
    ///
    /// # Errors
    /// The expected format. The value is not repeated: it might contain a password.
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

/// Reads the source.
#[derive(Clone, Debug)]
pub(super) enum JwksReader {
    File(PathBuf),
    /// With its HTTP client.
    Url(Url, reqwest::Client),
}

#[derive(Debug, Error)]
pub(super) enum ReadError {
    /// Typically: the system has no trusted authorities.
    #[error("setting up the client")]
    Client(#[source] reqwest::Error),
    #[error("reading the file")]
    File(#[from] io::Error),
    /// No answer, or an error status.
    #[error("fetching from the issuer")]
    Fetch(#[source] reqwest::Error),
    /// Limit of a key set.
    #[error("more than {MAX_BYTES} bytes")]
    TooLarge,
}

impl JwksReader {
    /// Reads nothing yet.
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

    /// The current contents.
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
        // A redirect could leave HTTPS.
        .redirect(Policy::none())
        .build()
}

async fn fetch(client: &reqwest::Client, url: Url) -> Result<Vec<u8>, ReadError> {
    let response = client.get(url).send().await;
    let response = response.and_then(reqwest::Response::error_for_status);
    let mut response = response.map_err(ReadError::Fetch)?;
    let mut text = Vec::new();
    // Chunk by chunk: the announced length may be wrong.
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
    fn text_with_a_scheme_is_a_url_and_the_rest_are_paths() {
        let file = JwksSource::parse("/etc/keys/jwks.json").unwrap();
        let url = JwksSource::parse("https://issuer.example/jwks.json").unwrap();

        assert_eq!(file, JwksSource::File("/etc/keys/jwks.json".into()));
        assert!(matches!(url, JwksSource::Url(_)));
    }

    #[test]
    fn plain_http_is_allowed_to_loopback_only() {
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
