//! The bearer token that a caller shows where order-service wants one.

use std::path::Path;

use anyhow::Context as _;
use tonic::Request;
use tonic::metadata::{Ascii, MetadataValue};

/// A token, which no debug output shows.
#[derive(Clone, Debug)]
pub struct BearerToken(MetadataValue<Ascii>);

impl BearerToken {
    /// Reads it from a file: on a command line everybody on the machine could see it.
    pub fn read(file: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(file)
            .with_context(|| format!("reading the token in {}", file.display()))?;
        let value = format!("Bearer {}", text.trim()).parse();
        let mut value: MetadataValue<Ascii> = value
            .ok()
            .filter(|_| !text.trim().is_empty())
            .with_context(|| format!("{} has no token in it", file.display()))?;
        value.set_sensitive(true);
        Ok(Self(value))
    }

    /// Shows it with a request.
    pub fn show<T>(&self, request: &mut Request<T>) {
        let metadata = request.metadata_mut();
        metadata.insert("authorization", self.0.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_shown_to_the_service_and_to_nobody_else() {
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
    fn a_file_without_a_token_is_named() {
        let file = tempfile::NamedTempFile::new().unwrap();

        let error = BearerToken::read(file.path()).unwrap_err();

        let name = file.path().display().to_string();
        assert!(error.to_string().contains(&name), "{error}");
    }
}
