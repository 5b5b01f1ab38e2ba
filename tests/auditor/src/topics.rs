//! The file format of dumped topics: all records, the ends of all partitions, and the committed offsets of the groups.
//!
//! ```text
//! DIRECTORY/orders.order.events.v1.jsonl    a record per line, each partition in order; one such file per topic
//! DIRECTORY/partitions.jsonl                a partition per line
//! ```
//!
//! Topics and groups are named as in the contract, without the prefix of an installation.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::ops::Range;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Topics with their consumer groups. A group has the name of its service.
pub const GROUPS: [(&str, &str); 2] = [
    (proto::topics::ORDER_EVENTS, "processing-service"),
    (proto::topics::PROCESSING_EVENTS, "order-service"),
];

pub const PARTITIONS: &str = "partitions.jsonl";

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DumpedRecord {
    pub partition: i32,
    pub offset: i64,
    /// Unix milliseconds, if the broker reports it.
    pub timestamp: Option<i64>,
    pub key: Option<Bytes>,
    pub headers: Vec<(String, Bytes)>,
    pub payload: Option<Bytes>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DumpedPartition {
    pub topic: String,
    pub partition: i32,
    /// The first offset on the broker.
    pub low: i64,
    /// The offset of the next record.
    pub end: i64,
    /// Committed offsets by group; groups without one are absent.
    pub committed: BTreeMap<String, i64>,
    /// Offsets of records that the broker deleted before their group had read them.
    #[serde(default)]
    pub deleted_unread: Vec<Range<i64>>,
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

pub fn file_of(directory: &Path, topic: &str) -> PathBuf {
    directory.join(format!("{topic}.jsonl"))
}

/// Reads a file of JSON lines.
///
/// # Errors
/// When the file is missing; per value, when its line cannot be parsed.
pub fn read<T: DeserializeOwned>(path: &Path) -> Result<impl Iterator<Item = Result<T>> + use<T>> {
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
