//! The bearer token for an order-service that requires authentication.

use std::path::Path;

use anyhow::Context as _;
use tonic::Request;
use tonic::metadata::{Ascii, MetadataValue};

/// A token; debug output redacts it.
#[derive(Clone, Debug)]
pub struct BearerToken(MetadataValue<Ascii>);

impl BearerToken {
    /// Reads the token from a file: on the command line it would be visible to every user of the machine.
    pub fn read(file: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(file)
            .with_context(|| format!("reading the token in {}", file.display()))?;
        Self::parse(&text).with_context(|| format!("{} has no token in it", file.display()))
    }

    /// The token in a text, if it is one.
    pub fn parse(text: &str) -> Option<Self> {
        let token = text.trim();
        let value = format!("Bearer {token}").parse();
        let mut value: MetadataValue<Ascii> = value.ok().filter(|_| !token.is_empty())?;
        value.set_sensitive(true);
        Some(Self(value))
    }

    /// Adds the token to a request.
    pub fn show<T>(&self, request: &mut Request<T>) {
        let metadata = request.metadata_mut();
        metadata.insert("authorization", self.0.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_sent_to_the_service_and_redacted_in_debug_output() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "abc.def.ghi\n").unwrap();
        let mut request = Request::new(());

        let token = BearerToken::read(file.path()).unwrap();
        token.show(&mut request);

        let shown = request.metadata().get("authorization").unwrap();
        assert_eq!(shown, "Bearer abc.def.ghi");
        assert!(!format!("{token:?} {request:?}").contains("abc"));
    }

    #[test]
    fn an_empty_token_file_is_named() {
        let file = tempfile::NamedTempFile::new().unwrap();

        let error = BearerToken::read(file.path()).unwrap_err();

        let name = file.path().display().to_string();
        assert!(error.to_string().contains(&name), "{error}");
    }
}
