//! What an operator sees and does: dead letters, as the subcommand `dead-letters` shows them, and [`orders`].

use consumer::operator::Vocabulary;
use kafka::record::Record;
use proto::event::ProcessingEvent;
use proto::record;
use service::error_chain::ErrorChain;

pub mod orders;

pub const VOCABULARY: Vocabulary = Vocabulary {
    service: env!("CARGO_PKG_NAME"),
    event_type: |headers| headers.text("ce_type"),
    describe,
};

fn describe(record: &Record) -> String {
    match record::decode::<ProcessingEvent>(&record.headers, record.payload.as_deref()) {
        Ok(Some(received)) => format!("{:#?}", received.event),
        Ok(None) => "of a type that this release does not know".to_owned(),
        Err(error) => format!("no event: {}", ErrorChain(&error)),
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use proto::processing::v1::OrderRejected;
    use proto::record::EventMeta;
    use uuid::Uuid;

    use super::*;

    fn rejection() -> Record {
        let order_id = Uuid::from_u128(1);
        let meta = EventMeta {
            id: Uuid::from_u128(2),
            order_id,
            sequence: 1,
            time: UNIX_EPOCH,
        };
        let event = ProcessingEvent::OrderRejected(OrderRejected {
            order_id: order_id.to_string(),
            sku: "MUG".to_owned(),
            ..OrderRejected::default()
        });
        let encoded = record::encode(&meta, &event, &[]);
        Record {
            headers: encoded.headers.into(),
            payload: Some(encoded.payload),
            ..Record::default()
        }
    }

    #[test]
    fn an_outcome_is_described_with_its_fields() {
        let record = rejection();

        let description = describe(&record);

        assert!(
            description.contains("OrderRejected") && description.contains("MUG"),
            "{description}"
        );
        let event_type = (VOCABULARY.event_type)(&record.headers);
        assert!(event_type.is_some_and(|name| name.contains("order-rejected")));
    }

    #[test]
    fn an_invalid_record_is_described_by_its_error() {
        let tombstone = Record {
            payload: None,
            ..rejection()
        };

        assert_eq!(describe(&tombstone), "no event: the record has no value");
    }
}
