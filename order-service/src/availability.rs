//! CheckAvailability requests for the SKUs of orders, the reports in their responses, and the verdict on an order. Pure:
//! [`crate::inventory`] makes the calls.
//!
//! ```text
//! orders ─▶ pieces per SKU ─▶ requests ═▶ responses ─▶ a report per SKU ─▶ the verdict on each order
//! ```
//!
//! One request asks for the SKUs of several orders. It names the largest demand of a single order per SKU and not their sum:
//! the check reserves nothing, so each order is compared with the whole stock.
//!
//! An order must not be refused because of an invalid response: a response counts only if it has exactly the items of the
//! request and does not contradict itself.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use proto::inventory::v1::{
    CheckAvailabilityRequest, CheckAvailabilityResponse, Item, ItemAvailability, ItemStatus,
};
use thiserror::Error;

use crate::domain::{MAX_LINES, OrderLines, Quantity, Shortage, UnavailableLine};

/// Maximum items of a request, as in the contract: as many as an order may have lines.
const MAX_ITEMS: usize = MAX_LINES;

/// Maximum pieces of one item, as in the contract.
pub const MAX_PIECES: i64 = Quantity::MAX as i64;

/// The result of a check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Every line is in stock.
    Confirmed,
    /// These lines have a shortage: at least one, in the sequence of the order.
    Refused(Vec<UnavailableLine>),
}

/// The stock of a SKU as far as a response discloses it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StockReport {
    /// At least as many pieces as were asked for.
    AtLeast(i64),
    /// Exactly these pieces, fewer than were asked for.
    Exactly(i64),
    UnknownSku,
}

/// Pieces to ask for, by SKU.
pub type Pieces = BTreeMap<Arc<str>, i64>;

/// Reports by SKU.
pub type Reports = HashMap<Arc<str>, StockReport>;

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

impl StockReport {
    /// Whether the stock suffices for an order of these pieces. `None` if the report does not tell: fewer were asked for.
    pub fn suffices_for(self, pieces: i64) -> Option<Result<(), Shortage>> {
        match self {
            Self::AtLeast(known) => (pieces <= known).then_some(Ok(())),
            Self::Exactly(available) if pieces <= available => Some(Ok(())),
            Self::Exactly(available) => Some(Err(Shortage::OutOfStock {
                available,
                asked: pieces,
            })),
            Self::UnknownSku => Some(Err(Shortage::UnknownSku)),
        }
    }
}

/// The pieces of an order by SKU: lines of one SKU are added up.
pub fn pieces_by_sku(lines: &OrderLines) -> HashMap<&str, i64> {
    let mut pieces = HashMap::with_capacity(lines.as_slice().len());
    for line in lines.as_slice() {
        *pieces.entry(line.sku.as_str()).or_insert(0) += i64::from(line.quantity.get());
    }
    pieces
}

/// The verdict on an order by the reports about its SKUs; `None` if one is missing or does not tell.
pub fn verdict(
    lines: &OrderLines,
    mut report: impl FnMut(&str) -> Option<StockReport>,
) -> Option<Verdict> {
    let pieces = pieces_by_sku(lines);
    let mut unavailable = Vec::new();
    for (index, line) in lines.as_slice().iter().enumerate() {
        let sku = line.sku.as_str();
        let shortage = report(sku)?.suffices_for(pieces[sku])?.err();
        unavailable.extend(shortage.map(|shortage| UnavailableLine {
            line: index,
            shortage,
        }));
    }
    Some(if unavailable.is_empty() {
        Verdict::Confirmed
    } else {
        Verdict::Refused(unavailable)
    })
}

/// Requests for all SKUs, each within the limits of the contract. The items of one SKU are in one request, since their
/// quantities add up there.
pub fn requests(pieces: &Pieces) -> Vec<CheckAvailabilityRequest> {
    let mut requests = Vec::new();
    let mut items = Vec::new();
    for (sku, &pieces) in pieces {
        let of_sku: Vec<_> = items_of(sku, pieces).collect();
        if items.len() + of_sku.len() > MAX_ITEMS {
            let items = std::mem::take(&mut items);
            requests.push(CheckAvailabilityRequest { items });
        }
        items.extend(of_sku);
    }
    if !items.is_empty() {
        requests.push(CheckAvailabilityRequest { items });
    }
    requests
}

/// One item, or several for more pieces than one may have.
fn items_of(sku: &str, pieces: i64) -> impl Iterator<Item = Item> {
    let mut left = pieces;
    std::iter::from_fn(move || {
        let quantity = i32::try_from(left.min(MAX_PIECES)).ok()?;
        left -= i64::from(quantity);
        (quantity > 0).then(|| Item {
            sku: sku.to_owned(),
            quantity,
        })
    })
}

/// The reports in the response to a request of [`requests`].
///
/// # Errors
/// [`InvalidResponse`], and then no item of the response counts.
pub fn reports(
    request: &CheckAvailabilityRequest,
    response: &CheckAvailabilityResponse,
) -> Result<Reports, InvalidResponse> {
    let (requested, returned) = (request.items.len(), response.items.len());
    if requested != returned {
        return Err(InvalidResponse::ItemCount {
            requested,
            returned,
        });
    }
    let mut asked = HashMap::with_capacity(requested);
    for item in &request.items {
        *asked.entry(item.sku.as_str()).or_insert(0) += i64::from(item.quantity);
    }
    let mut reports = Reports::with_capacity(asked.len());
    for (index, (item, answer)) in request.items.iter().zip(&response.items).enumerate() {
        let sku = item.sku.as_str();
        if answer.sku != sku {
            return Err(InvalidResponse::WrongSku(index));
        }
        let report = report(index, answer, asked[sku])?;
        if *reports.entry(sku.into()).or_insert(report) != report {
            return Err(InvalidResponse::Contradiction(index));
        }
    }
    Ok(reports)
}

/// The report of an item about its SKU, of which these pieces were asked for.
fn report(
    index: usize,
    item: &ItemAvailability,
    asked: i64,
) -> Result<StockReport, InvalidResponse> {
    let available = item.available_quantity;
    match ItemStatus::try_from(item.status) {
        Ok(ItemStatus::Available) => Ok(StockReport::AtLeast(asked)),
        Ok(ItemStatus::UnknownSku) => Ok(StockReport::UnknownSku),
        Ok(ItemStatus::OutOfStock) if (0..asked).contains(&available) => {
            Ok(StockReport::Exactly(available))
        }
        Ok(ItemStatus::OutOfStock) => Err(InvalidResponse::Contradiction(index)),
        Ok(ItemStatus::Unspecified) | Err(_) => Err(InvalidResponse::UnknownStatus(index)),
    }
}

#[cfg(test)]
mod tests;
