//! A record, and one attempt to handle it.

use std::ops::Deref;
use std::sync::Arc;

use rdkafka::Message;
use rdkafka::message::{BorrowedMessage, Headers as _};

use super::lanes::Lane;
use crate::headers::Headers;

/// A record as the broker delivered it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// The topic it was read from.
    pub topic: String,
    /// The partition of the topic.
    pub partition: i32,
    /// Its position in the partition.
    pub offset: i64,
    /// The broker's or the producer's time, in milliseconds since 1970.
    pub timestamp_ms: Option<i64>,
    /// The key, as bytes.
    pub key: Option<Vec<u8>>,
    /// The headers, in order.
    pub headers: Headers,
    /// The value; `None` is a tombstone.
    pub payload: Option<Vec<u8>>,
}

impl From<&BorrowedMessage<'_>> for Record {
    fn from(message: &BorrowedMessage<'_>) -> Self {
        let headers = message.headers().map(|headers| {
            let pairs = headers.iter();
            pairs
                .map(|header| {
                    (
                        header.key.to_owned(),
                        header.value.unwrap_or_default().to_vec(),
                    )
                })
                .collect()
        });
        Self {
            topic: message.topic().to_owned(),
            partition: message.partition(),
            offset: message.offset(),
            timestamp_ms: message.timestamp().to_millis(),
            key: message.key().map(<[u8]>::to_vec),
            headers: headers.unwrap_or_default(),
            payload: message.payload().map(<[u8]>::to_vec),
        }
    }
}

/// One attempt to handle a record.
#[derive(Clone, Debug)]
pub struct Delivery {
    record: Arc<Record>,
    attempt: u32,
    lane: Arc<Lane>,
}

impl Delivery {
    pub(super) fn in_lane(record: Arc<Record>, attempt: u32, lane: Arc<Lane>) -> Self {
        Self {
            record,
            attempt,
            lane,
        }
    }

    /// A delivery outside a consumer, for handlers' tests: `followers` wait behind it.
    pub fn new(record: Record, attempt: u32, followers: Vec<Record>) -> Self {
        let lane = Arc::new(Lane::default());
        followers
            .into_iter()
            .for_each(|record| lane.wait(Arc::new(record)));
        Self::in_lane(Arc::new(record), attempt, lane)
    }

    /// Which attempt this is, from 1, since the record was last delivered by the broker; one that was parked is counted on.
    pub fn attempt(&self) -> u32 {
        self.attempt
    }

    /// Records of the same key that have already arrived and wait until this one is done, in order. A long-running
    /// handler looks here to learn that its work has been overtaken by events, for example by a cancellation.
    ///
    /// None for a record that was parked: what came later is parked behind it, and comes in its turn.
    pub fn followers(&self) -> Vec<Arc<Record>> {
        self.lane.waiting()
    }
}

impl Deref for Delivery {
    type Target = Record;

    fn deref(&self) -> &Record {
        &self.record
    }
}
