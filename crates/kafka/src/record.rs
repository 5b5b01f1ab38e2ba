//! A consumed record, owned.

use rdkafka::Message;
use rdkafka::message::BorrowedMessage;

use crate::headers::RecordHeaders;

/// A record as the broker delivered it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    pub topic: String,
    pub partition: i32,
    pub offset: i64,
    /// The broker's or the producer's time, in milliseconds since 1970 (UTC).
    pub timestamp_ms: Option<i64>,
    pub key: Option<Vec<u8>>,
    pub headers: RecordHeaders,
    /// `None` is a tombstone.
    pub payload: Option<Vec<u8>>,
}

impl From<&BorrowedMessage<'_>> for Record {
    fn from(message: &BorrowedMessage<'_>) -> Self {
        Self {
            topic: message.topic().to_owned(),
            partition: message.partition(),
            offset: message.offset(),
            timestamp_ms: message.timestamp().to_millis(),
            key: message.key().map(<[u8]>::to_vec),
            headers: message
                .headers()
                .map(RecordHeaders::from_native)
                .unwrap_or_default(),
            payload: message.payload().map(<[u8]>::to_vec),
        }
    }
}
