//! CheckAvailability: a look at the stock, which promises nothing.

use std::collections::HashMap;

use grpc::server::violations::Violations;
use proto::inventory::v1 as messages;

use super::{InventoryRpc, RpcError, look_failed};
use crate::conversion::{self, LINE_LIMIT};
use crate::domain::stock;
use crate::domain::{Demand, Malformed, Quantity, Sku, StockLevel};

/// Answers how the stock stands. Before it is seeded there is no answer: every SKU would be unknown.
pub(super) async fn check_availability(
    service: &InventoryRpc,
    request: &messages::CheckAvailabilityRequest,
) -> Result<messages::CheckAvailabilityResponse, RpcError> {
    let asked = parse_check_availability(request)?;
    if !*service.prepared.borrow() {
        return Err(RpcError::Starting);
    }

    let skus = asked.demand.skus().cloned().collect();
    let levels = service.stock.levels(skus).await.map_err(look_failed)?;

    Ok(reply(&asked, &levels))
}

/// What is asked for: the items in their sequence, and the pieces of each SKU.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    items: Vec<Sku>,
    demand: Demand,
}

/// Reads a request.
///
/// # Errors
/// [`Violations`] with every field that is missing, malformed or out of bounds.
pub fn parse_check_availability(
    request: &messages::CheckAvailabilityRequest,
) -> Result<Asked, Violations> {
    let mut faults = Violations::default();
    let count = request.items.len();
    if !(1..=LINE_LIMIT).contains(&count) {
        faults.add("items", Malformed::expected("1 to 500 items"));
    }
    let mut items = Vec::with_capacity(count.min(LINE_LIMIT));
    for (index, item) in request.items.iter().take(LINE_LIMIT).enumerate() {
        let sku = faults.check(format_args!("items[{index}].sku"), Sku::parse(&item.sku));
        let quantity = Quantity::new(item.quantity);
        let quantity = faults.check(format_args!("items[{index}].quantity"), quantity);
        items.extend(sku.zip(quantity));
    }
    if faults.total() > 0 {
        return Err(faults);
    }
    Ok(Asked {
        demand: Demand::of(items.iter().cloned()),
        items: items.into_iter().map(|(sku, _)| sku).collect(),
    })
}

fn reply(asked: &Asked, levels: &HashMap<Sku, StockLevel>) -> messages::CheckAvailabilityResponse {
    let item = |sku: &Sku| {
        let pieces = asked.demand.pieces(sku);
        let supply = stock::supply(pieces, levels.get(sku).copied());
        conversion::item_availability(sku, supply)
    };
    messages::CheckAvailabilityResponse {
        items: asked.items.iter().map(item).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(items: &[(&str, i32)]) -> messages::CheckAvailabilityRequest {
        let items = items.iter().map(|&(sku, quantity)| messages::Item {
            sku: sku.to_owned(),
            quantity,
        });
        messages::CheckAvailabilityRequest {
            items: items.collect(),
        }
    }

    fn faulty_fields(items: &[(&str, i32)]) -> Vec<String> {
        let faults = parse_check_availability(&request(items)).unwrap_err();
        let listed = faults.listed().iter();
        listed.map(|fault| fault.field.clone()).collect()
    }

    #[test]
    fn every_fault_is_named_at_once_with_its_path() {
        assert_eq!(
            faulty_fields(&[("A", 1), ("", 0), ("ü", 1), ("B", 100_001), ("B", -1)]),
            [
                "items[1].sku",
                "items[1].quantity",
                "items[2].sku",
                "items[3].quantity",
                "items[4].quantity"
            ]
        );
    }

    #[test]
    fn there_is_an_item_but_not_too_many() {
        assert_eq!(faulty_fields(&[]), ["items"]);
        assert_eq!(faulty_fields(&vec![("A", 1); LINE_LIMIT + 1]), ["items"]);
        assert!(parse_check_availability(&request(&vec![("A", 1); LINE_LIMIT])).is_ok());
    }

    #[test]
    fn the_largest_request_fits_the_size_limit() {
        let sku = "x".repeat(64);
        let largest = request(&vec![(sku.as_str(), 100_000); LINE_LIMIT]);

        assert!(prost::Message::encoded_len(&largest) < super::super::MAX_REQUEST_BYTES);
    }
}
