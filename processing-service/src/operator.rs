//! The text that the `dead-letters` command shows for events of order-service. Payment tokens are redacted.

use consumer::operator::Vocabulary;
use kafka::record::Record;
use proto::event::OrderEvent;
use proto::record;
use service::error_chain::ErrorChain;

pub const VOCABULARY: Vocabulary = Vocabulary {
    service: env!("CARGO_PKG_NAME"),
    event_type: |headers| headers.text("ce_type"),
    describe,
};

/// Replaces a secret.
const HIDDEN: &str = "(not shown)";

fn describe(record: &Record) -> String {
    match record::decode::<OrderEvent>(&record.headers, record.payload.as_deref()) {
        Ok(Some(received)) => format!("{:#?}", without_secrets(received.event)),
        Ok(None) => "of a type that this release does not know".to_owned(),
        Err(error) => format!("no event: {}", ErrorChain(&error)),
    }
}

fn without_secrets(mut event: OrderEvent) -> OrderEvent {
    match &mut event {
        OrderEvent::OrderPlaced(placed) => HIDDEN.clone_into(&mut placed.payment_token),
        OrderEvent::CancellationRequested(_) => {}
    }
    event
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use proto::orders::v1::OrderPlaced;
    use proto::record::EventMeta;
    use uuid::Uuid;

    use super::*;

    const TOKEN: &str = "tok_of_a_customer";

    fn placed() -> Record {
        let order_id = Uuid::from_u128(1);
        let meta = EventMeta {
            id: Uuid::from_u128(2),
            order_id,
            sequence: 1,
            time: UNIX_EPOCH,
        };
        let event = OrderEvent::OrderPlaced(OrderPlaced {
            order_id: order_id.to_string(),
            customer_id: "customer-1".to_owned(),
            payment_token: TOKEN.to_owned(),
            ..OrderPlaced::default()
        });
        let encoded = record::encode(&meta, &event, &[]);
        Record {
            headers: encoded.headers.into(),
            payload: Some(encoded.payload),
            ..Record::default()
        }
    }

    #[test]
    fn an_order_is_told_with_its_fields_and_without_its_payment_token() {
        let text = describe(&placed());

        assert!(text.contains("customer-1"), "{text}");
        assert!(text.contains("payment_token: \"(not shown)\""), "{text}");
        assert!(!text.contains(TOKEN), "{text}");
    }

    #[test]
    fn an_undecodable_payload_is_not_shown() {
        let mut damaged = placed();
        let payload = damaged.payload.as_mut().unwrap();
        // A length-delimited field that is longer than the rest of the payload; the token is before it.
        payload.extend([0x0a, 0xff]);

        let text = describe(&damaged);

        assert!(text.starts_with("no event: "), "{text}");
        assert!(!text.contains(TOKEN), "{text}");
    }
}
