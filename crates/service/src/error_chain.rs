//! Formats an error with its causes.

use std::error::Error;
use std::fmt;

/// An error and all its causes in one line. The error types of this repository do not repeat their causes, so the outer
/// error alone names only the failed step.
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
    fn the_outer_error_comes_first_and_its_causes_follow() {
        #[derive(Debug, thiserror::Error)]
        #[error("event is to be retried")]
        struct Failed(#[source] std::io::Error);
        let failed = Failed(std::io::Error::other("connection refused"));

        let text = ErrorChain(&failed).to_string();

        assert_eq!(text, "event is to be retried: connection refused");
    }
}
