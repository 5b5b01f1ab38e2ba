//! What the circuit breakers of order-service did, as its log tells.
//!
//! A log is a file of JSON lines with a constant `message`; every message that speaks of a breaker is a transition.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use serde::Deserialize;

/// What every message of a breaker says.
const BREAKER: &str = "breaker";

/// How often breakers did something, in the order in which it was first done.
pub(super) type Transitions = Vec<(String, u64)>;

/// A log that others write, read on from where it was left.
#[derive(Debug)]
pub(super) struct BreakerLog {
    path: PathBuf,
    /// Bytes up to the end of the last whole line that was read.
    read: u64,
}

#[derive(Deserialize)]
struct Line {
    message: String,
}

impl BreakerLog {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, read: 0 }
    }

    /// Messages of breakers since the last call.
    fn news(&mut self) -> Result<Vec<String>> {
        let context = || format!("cannot read the log {}", self.path.display());
        let mut file = File::open(&self.path).with_context(context)?;
        file.seek(SeekFrom::Start(self.read))
            .with_context(context)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).with_context(context)?;
        // A line that is being written is for the next time.
        let whole = bytes.iter().rposition(|byte| *byte == b'\n');
        bytes.truncate(whole.map_or(0, |end| end + 1));
        self.read += bytes.len() as u64;
        Ok(messages(&String::from_utf8_lossy(&bytes)))
    }
}

/// What the breakers of all replicas did since the last call.
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

/// Lines that are not JSON are not from the service's logger: a panic, or output of a library.
fn messages(lines: &str) -> Vec<String> {
    let lines = lines.lines().filter(|line| line.contains(BREAKER));
    let messages = lines.filter_map(|line| serde_json::from_str::<Line>(line).ok());
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
    fn transitions_are_counted_in_the_order_in_which_they_came() {
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
    fn a_line_counts_once_and_only_when_it_is_whole() {
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
