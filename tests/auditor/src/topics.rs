//! Topics as files: every record that lay on them, how far each partition went, and what the groups had committed.
//!
//! ```text
//! DIRECTORY/orders.order.events.v1.jsonl    a record per line, each partition in order; one such file per topic
//! DIRECTORY/partitions.jsonl                a partition per line
//! ```

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Consumer groups by the topic that they consume. A group has the name of its service.
pub const GROUPS: [(&str, &str); 2] = [
    (proto::topics::ORDER_EVENTS, "processing-service"),
    (proto::topics::PROCESSING_EVENTS, "order-service"),
];

/// The file of the partitions.
pub const PARTITIONS: &str = "partitions.jsonl";

/// A record as it lay on its topic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopicRecord {
    /// The partition.
    pub partition: i32,
    /// The offset.
    pub offset: i64,
    /// When it was written, in unix milliseconds, if the broker says so.
    pub timestamp: Option<i64>,
    /// The key.
    pub key: Option<Bytes>,
    /// The headers, in order.
    pub headers: Vec<(String, Bytes)>,
    /// The value.
    pub payload: Option<Bytes>,
}

/// A partition when it was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Partition {
    /// The topic.
    pub topic: String,
    /// Its partition.
    pub partition: i32,
    /// The first offset that the broker still had.
    pub low: i64,
    /// The offset that the next record would have got.
    pub end: i64,
    /// What groups had committed; those that had not are not in it.
    pub committed: BTreeMap<String, i64>,
}

/// Bytes; base64 in a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bytes(pub Vec<u8>);

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        STANDARD.decode(text).map(Self).map_err(D::Error::custom)
    }
}

/// The file of a topic.
pub fn file_of(directory: &Path, topic: &str) -> PathBuf {
    directory.join(format!("{topic}.jsonl"))
}

/// The values in a file, a JSON line each.
///
/// # Errors
/// When there is no such file; each value, when its line cannot be read.
pub fn read<T: DeserializeOwned>(path: &Path) -> Result<impl Iterator<Item = Result<T>>> {
    let file = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
    let name = path.display().to_string();
    let lines = BufReader::new(file).lines().enumerate();
    Ok(lines.map(move |(position, line)| {
        let value = line
            .map_err(anyhow::Error::from)
            .and_then(|line| Ok(serde_json::from_str(&line)?));
        value.with_context(|| format!("line {} of {name}", position + 1))
    }))
}
