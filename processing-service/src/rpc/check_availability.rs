//! CheckAvailability: reads the stock and reserves nothing.

use std::collections::HashMap;

use grpc::server::violations::Violations;
use proto::inventory::v1 as messages;

use super::status::RpcError;
use crate::conversion::{self, LINE_LIMIT};
use crate::domain::stock;
use crate::domain::{Demand, Malformed, Quantity, Sku, StockLevel};
use crate::stock_reader::StockReader;

/// Limit of a request message: 500 items with the longest names need about 40 KiB.
pub(super) const MAX_REQUEST_BYTES: usize = 64 * 1024;

/// Fails until the stock is seeded (`is_prepared`): before that, every SKU would be reported as unknown.
pub(super) async fn check_availability(
    stock: &StockReader,
    is_prepared: bool,
    request: &messages::CheckAvailabilityRequest,
) -> Result<messages::CheckAvailabilityResponse, RpcError> {
    let query = parse_check_availability(request)?;
    if !is_prepared {
        return Err(RpcError::Starting);
    }

    let skus = query.demand.skus().cloned().collect();
    let levels = stock.levels(skus).await?;

    Ok(reply(&query, &levels))
}

/// A parsed request: the SKUs in request order, and the pieces summed per SKU.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AvailabilityQuery {
    items: Vec<Sku>,
    demand: Demand,
}

/// # Errors
/// [`Violations`] with every field that is missing, malformed or out of bounds.
pub fn parse_check_availability(
    request: &messages::CheckAvailabilityRequest,
) -> Result<AvailabilityQuery, Violations> {
    let mut violations = Violations::default();
    let count = request.items.len();
    if !(1..=LINE_LIMIT).contains(&count) {
        violations.add("items", Malformed::expected("1 to 500 items"));
    }
    let mut items = Vec::with_capacity(count.min(LINE_LIMIT));
    for (index, item) in request.items.iter().take(LINE_LIMIT).enumerate() {
        let sku = violations.check(format_args!("items[{index}].sku"), Sku::parse(&item.sku));
        let quantity = Quantity::new(item.quantity);
        let quantity = violations.check(format_args!("items[{index}].quantity"), quantity);
        items.extend(sku.zip(quantity));
    }
    if violations.total() > 0 {
        return Err(violations);
    }
    Ok(AvailabilityQuery {
        demand: Demand::of(items.iter().cloned()),
        items: items.into_iter().map(|(sku, _)| sku).collect(),
    })
}

fn reply(
    query: &AvailabilityQuery,
    levels: &HashMap<Sku, StockLevel>,
) -> messages::CheckAvailabilityResponse {
    let item = |sku: &Sku| {
        let pieces = query.demand.pieces(sku);
        let supply = stock::supply(pieces, levels.get(sku).copied());
        conversion::item_availability(sku, supply)
    };
    messages::CheckAvailabilityResponse {
        items: query.items.iter().map(item).collect(),
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

    fn invalid_fields(items: &[(&str, i32)]) -> Vec<String> {
        let violations = parse_check_availability(&request(items)).unwrap_err();
        let listed = violations.listed().iter();
        listed.map(|violation| violation.field.clone()).collect()
    }

    #[test]
    fn all_violations_are_reported_at_once_with_their_paths() {
        assert_eq!(
            invalid_fields(&[("A", 1), ("", 0), ("ü", 1), ("B", 100_001), ("B", -1)]),
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
    fn a_request_has_1_to_500_items() {
        assert_eq!(invalid_fields(&[]), ["items"]);
        assert_eq!(invalid_fields(&vec![("A", 1); LINE_LIMIT + 1]), ["items"]);
        assert!(parse_check_availability(&request(&vec![("A", 1); LINE_LIMIT])).is_ok());
    }

    #[test]
    fn the_largest_request_fits_the_size_limit() {
        let sku = "x".repeat(64);
        let largest = request(&vec![(sku.as_str(), 100_000); LINE_LIMIT]);

        assert!(prost::Message::encoded_len(&largest) < MAX_REQUEST_BYTES);
    }
}
