//! Circuit breaker transitions, read from order-service's log.
//!
//! A log is a file of JSON lines with a constant `message`; every message that contains "breaker" is a transition.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use serde::Deserialize;

const BREAKER: &str = "breaker";

/// Number of occurrences of each transition, in order of first occurrence.
pub(super) type Transitions = Vec<(String, u64)>;

/// Incremental reader of a log file.
#[derive(Debug)]
pub(super) struct BreakerLog {
    path: PathBuf,
    /// Offset after the last complete line read.
    read: u64,
}

#[derive(Deserialize)]
struct LogLine {
    message: String,
}

impl BreakerLog {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, read: 0 }
    }

    /// Breaker messages since the last call.
    fn news(&mut self) -> Result<Vec<String>> {
        let context = || format!("cannot read the log {}", self.path.display());
        let mut file = File::open(&self.path).with_context(context)?;
        file.seek(SeekFrom::Start(self.read))
            .with_context(context)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).with_context(context)?;
        // An incomplete last line is left for the next call.
        let whole = bytes.iter().rposition(|byte| *byte == b'\n');
        bytes.truncate(whole.map_or(0, |end| end + 1));
        self.read += bytes.len() as u64;
        Ok(messages(&String::from_utf8_lossy(&bytes)))
    }
}

/// Transitions of all replicas since the last call.
pub(super) fn transitions(logs: &mut [BreakerLog]) -> Result<Transitions> {
    let mut transitions = Transitions::new();
    for log in logs {
        for message in log.news()? {
            match transitions.iter_mut().find(|(known, _)| *known == message) {
                Some((_, count)) => *count += 1,
                None => transitions.push((message, 1)),
            }
        }
    }
    Ok(transitions)
}

/// Lines that are not JSON do not come from the service's logger: a panic, or output of a library.
fn messages(lines: &str) -> Vec<String> {
    let lines = lines.lines().filter(|line| line.contains(BREAKER));
    let messages = lines.filter_map(|line| serde_json::from_str::<LogLine>(line).ok());
    messages
        .map(|line| line.message)
        .filter(|message| message.contains(BREAKER))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn log(home: &tempfile::TempDir) -> (BreakerLog, File) {
        let path = home.path().join("order-service.log");
        let file = File::create(&path).unwrap();
        (BreakerLog::new(path), file)
    }

    #[test]
    fn transitions_are_counted_in_order_of_first_occurrence() {
        let home = tempfile::tempdir().unwrap();
        let (log, mut file) = log(&home);
        for message in [
            "serving",
            "circuit breaker opened",
            "circuit breaker half-open",
            "circuit breaker opened",
        ] {
            writeln!(file, r#"{{"level":"WARN","message":"{message}"}}"#).unwrap();
        }
        writeln!(file, "thread 'breaker' panicked").unwrap();
        writeln!(file, r#"{{"message":"listening","target":"breaker"}}"#).unwrap();

        let seen = transitions(&mut [log]).unwrap();

        let expected = [
            ("circuit breaker opened", 2),
            ("circuit breaker half-open", 1),
        ];
        assert_eq!(
            seen,
            expected.map(|(message, count)| (message.to_owned(), count))
        );
    }

    #[test]
    fn a_line_counts_once_and_only_when_it_is_complete() {
        let home = tempfile::tempdir().unwrap();
        let (log, mut file) = log(&home);
        let mut logs = [log];
        write!(file, r#"{{"message":"circuit brea"#).unwrap();

        let half = transitions(&mut logs).unwrap();
        writeln!(file, r#"ker closed"}}"#).unwrap();
        let whole = transitions(&mut logs).unwrap();
        let again = transitions(&mut logs).unwrap();

        assert_eq!(half, []);
        assert_eq!(whole, [("circuit breaker closed".to_owned(), 1)]);
        assert_eq!(again, []);
    }
}
