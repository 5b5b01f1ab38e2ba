//! The CheckAvailability request for an order, and the interpretation of the response. Pure: [`crate::inventory`] sends it.
//!
//! An order must not be refused because of an invalid response: a response counts only if it has exactly the items of the
//! request and does not contradict itself.

use std::collections::HashMap;

use proto::inventory::v1::{
    CheckAvailabilityRequest, CheckAvailabilityResponse, Item, ItemAvailability, ItemStatus,
};
use thiserror::Error;

use crate::domain::{OrderLines, Shortage, UnavailableLine};

/// The interpretation of a response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Every line is in stock.
    Confirmed,
    /// These lines have a shortage: at least one, in the sequence of the order.
    Refused(Vec<UnavailableLine>),
    /// The response is invalid.
    Unverified(InvalidResponse),
}

/// Why a response is invalid: a defect of processing-service or of a proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum InvalidResponse {
    #[error("the request has {requested} items, the response has {returned}")]
    ItemCount { requested: usize, returned: usize },
    /// An item has another SKU than the request at the same index.
    #[error("item {0} has another SKU")]
    WrongSku(usize),
    #[error("item {0} has an unknown status")]
    UnknownStatus(usize),
    /// Two items of one SKU differ, or an item is out of stock with enough pieces.
    #[error("item {0} contradicts itself or another item")]
    Contradiction(usize),
}

/// One item per line, in the sequence of the order.
pub fn request(lines: &OrderLines) -> CheckAvailabilityRequest {
    let items = lines.as_slice().iter().map(|line| Item {
        sku: line.sku.as_str().to_owned(),
        quantity: line.quantity.get(),
    });
    CheckAvailabilityRequest {
        items: items.collect(),
    }
}

/// Interprets the response to [`request`].
pub fn verdict(lines: &OrderLines, response: &CheckAvailabilityResponse) -> Verdict {
    match unavailable_lines(lines, response) {
        Ok(lines) if lines.is_empty() => Verdict::Confirmed,
        Ok(lines) => Verdict::Refused(lines),
        Err(invalid) => Verdict::Unverified(invalid),
    }
}

fn unavailable_lines(
    lines: &OrderLines,
    response: &CheckAvailabilityResponse,
) -> Result<Vec<UnavailableLine>, InvalidResponse> {
    let (requested, returned) = (lines.as_slice().len(), response.items.len());
    if requested != returned {
        return Err(InvalidResponse::ItemCount {
            requested,
            returned,
        });
    }
    let pieces = pieces_by_sku(lines);
    let mut by_sku = HashMap::with_capacity(pieces.len());
    let mut unavailable = Vec::new();
    for (index, (line, item)) in lines.as_slice().iter().zip(&response.items).enumerate() {
        let sku = line.sku.as_str();
        if item.sku != sku {
            return Err(InvalidResponse::WrongSku(index));
        }
        let shortage = shortage(index, item, pieces[sku])?;
        if *by_sku.entry(sku).or_insert(shortage) != shortage {
            return Err(InvalidResponse::Contradiction(index));
        }
        unavailable.extend(shortage.map(|shortage| UnavailableLine {
            line: index,
            shortage,
        }));
    }
    Ok(unavailable)
}

/// Lines of one SKU are added up.
fn pieces_by_sku(lines: &OrderLines) -> HashMap<&str, i64> {
    let mut pieces = HashMap::with_capacity(lines.as_slice().len());
    for line in lines.as_slice() {
        *pieces.entry(line.sku.as_str()).or_insert(0) += i64::from(line.quantity.get());
    }
    pieces
}

/// The shortage that an item reports for the requested pieces, if any.
fn shortage(
    line: usize,
    item: &ItemAvailability,
    asked: i64,
) -> Result<Option<Shortage>, InvalidResponse> {
    let available = item.available_quantity;
    match ItemStatus::try_from(item.status) {
        Ok(ItemStatus::Available) => Ok(None),
        Ok(ItemStatus::UnknownSku) => Ok(Some(Shortage::UnknownSku)),
        Ok(ItemStatus::OutOfStock) if (0..asked).contains(&available) => {
            Ok(Some(Shortage::OutOfStock { available, asked }))
        }
        Ok(ItemStatus::OutOfStock) => Err(InvalidResponse::Contradiction(line)),
        Ok(ItemStatus::Unspecified) | Err(_) => Err(InvalidResponse::UnknownStatus(line)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Currency, Money, OrderLine, Quantity, Sku, UnitPrice};

    fn lines(lines: &[(&str, i32)]) -> OrderLines {
        let price = Money {
            currency: Currency::Gbp,
            minor_units: 255,
        };
        let line = |&(sku, pieces): &(&str, i32)| OrderLine {
            sku: Sku::parse(sku).unwrap(),
            quantity: Quantity::parse(pieces).unwrap(),
            unit_price: UnitPrice::parse(price).unwrap(),
        };
        OrderLines::new(lines.iter().map(line).collect()).unwrap()
    }

    /// SKU, status and available pieces.
    type ReturnedItem = (&'static str, i32, i64);

    fn response(items: &[ReturnedItem]) -> CheckAvailabilityResponse {
        let item = |&(sku, status, available_quantity): &ReturnedItem| ItemAvailability {
            sku: sku.to_owned(),
            status,
            available_quantity,
        };
        CheckAvailabilityResponse {
            items: items.iter().map(item).collect(),
        }
    }

    const AVAILABLE: i32 = ItemStatus::Available as i32;
    const OUT_OF_STOCK: i32 = ItemStatus::OutOfStock as i32;
    const UNKNOWN_SKU: i32 = ItemStatus::UnknownSku as i32;

    #[test]
    fn every_line_has_its_item_in_the_request() {
        let request = request(&lines(&[("A", 1), ("B", 2), ("A", 3)]));

        let items: Vec<_> = request
            .items
            .iter()
            .map(|item| (item.sku.as_str(), item.quantity))
            .collect();
        assert_eq!(items, [("A", 1), ("B", 2), ("A", 3)]);
    }

    #[test]
    fn an_order_is_confirmed_when_every_line_is_available() {
        let lines = lines(&[("A", 1), ("B", 2), ("A", 3)]);

        let verdict = verdict(
            &lines,
            &response(&[
                ("A", AVAILABLE, 0),
                ("B", AVAILABLE, 0),
                ("A", AVAILABLE, 0),
            ]),
        );

        assert_eq!(verdict, Verdict::Confirmed);
    }

    #[test]
    fn every_unavailable_line_is_reported_with_the_shortage_of_its_sku() {
        let lines = lines(&[("A", 2), ("B", 1), ("A", 3), ("Z", 1)]);

        let verdict = verdict(
            &lines,
            &response(&[
                ("A", OUT_OF_STOCK, 4),
                ("B", AVAILABLE, 0),
                ("A", OUT_OF_STOCK, 4),
                ("Z", UNKNOWN_SKU, 0),
            ]),
        );

        let short = Shortage::OutOfStock {
            available: 4,
            asked: 5,
        };
        let expected = [(0, short), (2, short), (3, Shortage::UnknownSku)];
        let expected = expected.map(|(line, shortage)| UnavailableLine { line, shortage });
        assert_eq!(verdict, Verdict::Refused(expected.to_vec()));
    }

    #[test]
    fn an_invalid_response_is_unverified() {
        let lines = lines(&[("A", 2), ("A", 3)]);
        let ok = ("A", AVAILABLE, 0);
        let responses: [(&[ReturnedItem], InvalidResponse); 10] = [
            (
                &[],
                InvalidResponse::ItemCount {
                    requested: 2,
                    returned: 0,
                },
            ),
            (
                &[ok],
                InvalidResponse::ItemCount {
                    requested: 2,
                    returned: 1,
                },
            ),
            (
                &[ok, ok, ok],
                InvalidResponse::ItemCount {
                    requested: 2,
                    returned: 3,
                },
            ),
            (&[ok, ("B", AVAILABLE, 0)], InvalidResponse::WrongSku(1)),
            (&[ok, ("A", 0, 0)], InvalidResponse::UnknownStatus(1)),
            (&[ok, ("A", 4_711, 0)], InvalidResponse::UnknownStatus(1)),
            // Two items of one SKU differ.
            (
                &[ok, ("A", UNKNOWN_SKU, 0)],
                InvalidResponse::Contradiction(1),
            ),
            (
                &[("A", OUT_OF_STOCK, 1), ("A", OUT_OF_STOCK, 2)],
                InvalidResponse::Contradiction(1),
            ),
            // Out of stock with enough pieces; a negative number of pieces.
            (
                &[("A", OUT_OF_STOCK, 5), ok],
                InvalidResponse::Contradiction(0),
            ),
            (
                &[("A", OUT_OF_STOCK, -1), ok],
                InvalidResponse::Contradiction(0),
            ),
        ];

        for (items, invalid) in responses {
            assert_eq!(
                verdict(&lines, &response(items)),
                Verdict::Unverified(invalid),
                "{items:?}"
            );
        }
    }
}
