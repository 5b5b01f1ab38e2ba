//! Answers of processing-service as validated by order-service.

use order_service::availability::{self, Verdict};
use order_service::domain::{Currency, Money, OrderLine, OrderLines, Quantity, Sku, UnitPrice};
use prost::Message;
use proto::inventory::v1::{CheckAvailabilityRequest, CheckAvailabilityResponse, Item};

/// The bytes as the answer for an order of three lines, two of them with one SKU.
pub(crate) fn answers(bytes: &[u8]) {
    let (Ok(answer), Some(lines)) = (CheckAvailabilityResponse::decode(bytes), lines()) else {
        return;
    };
    let Ok(reports) = availability::reports(&request(&lines), &answer) else {
        return;
    };
    let verdict = availability::verdict(&lines, |sku| reports.get(sku).copied());
    if let Some(Verdict::Refused(unavailable)) = verdict {
        assert!((1..=3).contains(&unavailable.len()), "{unavailable:?}");
        assert!(unavailable.iter().all(|line| line.line < 3));
    }
}

/// One item per line.
fn request(lines: &OrderLines) -> CheckAvailabilityRequest {
    let items = lines.as_slice().iter().map(|line| Item {
        sku: line.sku.as_str().to_owned(),
        quantity: line.quantity.get(),
    });
    CheckAvailabilityRequest {
        items: items.collect(),
    }
}

fn lines() -> Option<OrderLines> {
    let price = Money {
        currency: Currency::Eur,
        minor_units: 1_250,
    };
    let line = |sku: &str, pieces| {
        Some(OrderLine {
            sku: Sku::parse(sku).ok()?,
            quantity: Quantity::parse(pieces).ok()?,
            unit_price: UnitPrice::parse(price).ok()?,
        })
    };
    let lines = [("SKU-1", 1), ("SKU-2", 3), ("SKU-1", 2)];
    let lines: Option<Vec<_>> = lines
        .map(|(sku, pieces)| line(sku, pieces))
        .into_iter()
        .collect();
    OrderLines::new(lines?).ok()
}
