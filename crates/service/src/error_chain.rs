//! An error with its causes.

use std::error::Error;
use std::fmt;

/// Shows an error and all its causes in one line. Error types here do not repeat their causes, so a log that shows
/// only the error itself would show only where it was noticed.
#[derive(Clone, Copy, Debug)]
pub struct ErrorChain<'a>(pub &'a (dyn Error + 'static));

impl fmt::Display for ErrorChain<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(formatter, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_follow_what_they_caused() {
        #[derive(Debug, thiserror::Error)]
        #[error("event is to be retried")]
        struct Failed(#[source] std::io::Error);
        let failed = Failed(std::io::Error::other("connection refused"));

        let text = ErrorChain(&failed).to_string();

        assert_eq!(text, "event is to be retried: connection refused");
    }
}
