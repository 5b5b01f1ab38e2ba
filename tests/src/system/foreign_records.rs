//! Records of producers other than the pair: any bytes in key, value, headers and timestamp that a broker accepts. One list for
//! the system tests and for `make chaos`.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use proto::event::{Event, OrderEvent, ProcessingEvent};
use proto::orders::v1::CancellationRequested;
use proto::processing::v1::StockReserved;
use proto::record::{self, EventMeta, Headers};
use proto::topics;
use uuid::Uuid;

use super::TopicRecord;

/// Just below the largest record that a topic takes by default, and above the default limit of librdkafka's producer.
const HUGE: usize = 1_040_000;

/// Age of the old record. A broker may delete one that is older than the retention of its topic (7 days) at once, and the
/// audit needs all records. Apache Kafka refuses a timestamp in the far future.
const AGE: Duration = Duration::from_hours(72);

/// Ids of an event and an order that do not exist.
const NO_EVENT: Uuid = Uuid::from_u128(0x7000_8000_0000_0000_0001);
const NO_ORDER: Uuid = Uuid::from_u128(0x7000_8000_0000_0000_0002);

/// Foreign records for one topic.
#[derive(Debug)]
pub struct ForeignRecords {
    /// Each becomes a dead letter.
    pub faulty: Vec<TopicRecord>,
    /// Events of types that this release does not know; ignored.
    pub unknown: Vec<TopicRecord>,
}

impl ForeignRecords {
    /// Each record has a key of its own or none, so that none waits behind another in the retry store; `round` distinguishes
    /// the keys of several calls, except the empty one. `partition` as in [`super::Topic::publish`].
    pub fn new(topic: &str, partition: i32, round: u64) -> Self {
        let round = Round {
            example: example(topic),
            partition,
            number: round,
        };
        Self {
            faulty: round.faulty(),
            unknown: vec![round.with("ce_type", b"com.example.OrderGiftWrapped.v9")],
        }
    }

    /// All of them.
    pub fn all(self) -> Vec<TopicRecord> {
        [self.faulty, self.unknown].concat()
    }
}

/// A valid event of the topic, about an order that does not exist.
fn example(topic: &str) -> record::Record {
    let order_id = NO_ORDER.to_string();
    if topic == topics::ORDER_EVENTS {
        encode(&OrderEvent::CancellationRequested(CancellationRequested {
            order_id,
        }))
    } else {
        encode(&ProcessingEvent::StockReserved(StockReserved { order_id }))
    }
}

fn encode(event: &impl Event) -> record::Record {
    let meta = EventMeta {
        id: NO_EVENT,
        order_id: NO_ORDER,
        sequence: 1,
        time: UNIX_EPOCH,
    };
    record::encode(&meta, event, &[])
}

/// What the records of one call have in common.
struct Round {
    example: record::Record,
    partition: i32,
    number: u64,
}

impl Round {
    fn faulty(&self) -> Vec<TopicRecord> {
        let headers = || self.example.headers.clone();
        vec![
            self.keyless(Headers::new(), None),
            self.record("no value", headers(), None),
            self.keyless(headers(), Some(vec![0; HUGE])),
            self.record("headers of any bytes", of_any_bytes(), Some(vec![1])),
            self.record(
                "an event with one more header",
                [headers(), vec![(vec![0xff], None)]].concat(),
                Some(vec![0xff]),
            ),
            TopicRecord {
                key: Some(Vec::new()),
                ..self.keyless(headers(), Some(Vec::new()))
            },
            TopicRecord {
                key: Some([&b"\xff\0"[..], &self.number.to_be_bytes()].concat()),
                ..self.keyless(Headers::new(), Some(b"\xff\xfe".to_vec()))
            },
            self.record(&"k".repeat(10_000), Headers::new(), Some(vec![1])),
            TopicRecord {
                timestamp: Some(unix_milliseconds(SystemTime::now() - AGE)),
                ..self.record("days ago", Headers::new(), Some(vec![1]))
            },
            self.with("ce_specversion", b"2.0"),
            self.with("ce_id", b"no uuid"),
            self.with("ce_sequence", b"-1"),
            self.with("ce_time", &[0xff, 0xfe]),
            self.with("ce_subject", b"00000000-0000-0000-0000-000000000000"),
            self.with("content-type", b"application/json"),
        ]
    }

    fn keyless(&self, headers: Headers, payload: Option<Vec<u8>>) -> TopicRecord {
        TopicRecord {
            partition: self.partition,
            offset: 0,
            timestamp: None,
            key: None,
            headers,
            payload,
        }
    }

    fn record(&self, key: &str, headers: Headers, payload: Option<Vec<u8>>) -> TopicRecord {
        TopicRecord {
            key: Some(format!("{key}, round {}", self.number).into_bytes()),
            ..self.keyless(headers, payload)
        }
    }

    /// The example with another value of one header.
    fn with(&self, name: &str, value: &[u8]) -> TopicRecord {
        let mut headers = self.example.headers.clone();
        for (header, old) in &mut headers {
            if header == name.as_bytes() {
                *old = Some(value.to_vec());
            }
        }
        let payload = self.example.payload.clone();
        self.record(&format!("another {name}"), headers, Some(payload))
    }
}

fn unix_milliseconds(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

fn of_any_bytes() -> Headers {
    vec![
        (b"x-\xff\xfe".to_vec(), Some(vec![0xff])),
        (b"twice".to_vec(), None),
        (b"twice".to_vec(), Some(Vec::new())),
        (Vec::new(), Some(b"no name".to_vec())),
    ]
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn records(round: u64) -> ForeignRecords {
        ForeignRecords::new(topics::PROCESSING_EVENTS, 0, round)
    }

    fn decoded(record: &TopicRecord) -> Result<bool, record::RecordError> {
        let payload = record.payload.as_deref();
        let received = record::decode::<ProcessingEvent>(&record.headers, payload)?;
        Ok(received.is_some())
    }

    #[test]
    fn faulty_records_are_no_events_and_an_unknown_one_may_be_skipped() {
        let records = records(1);

        for faulty in &records.faulty {
            assert!(decoded(faulty).is_err(), "{:?}", faulty.headers);
        }
        for unknown in &records.unknown {
            assert!(!decoded(unknown).unwrap());
            let unknown = record::decode_unknown(&unknown.headers).unwrap();
            assert!(!unknown.must_understand);
        }
    }

    #[test]
    fn no_record_has_the_key_of_another_one_or_of_another_round() {
        let mut keys = HashSet::new();
        for record in [records(1).all(), records(2).all()].concat() {
            if let Some(key) = record.key.filter(|key| !key.is_empty()) {
                assert!(keys.insert(key));
            }
        }
    }
}
