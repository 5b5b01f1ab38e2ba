//! Stock levels, and the checks and moves on them.
//!
//! ```text
//! opening = available + reserved + shipped          always, and no part is ever negative
//!
//! reserve: available → reserved      release: reserved → available      ship: reserved → shipped
//! ```

use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::text::{Malformed, is_printable};

/// Maximum length of a SKU in characters, as in the contract.
const SKU_LIMIT: usize = 64;

/// Maximum pieces per order line, as in the contract.
const QUANTITY_LIMIT: i32 = 100_000;

/// Stock keeping unit. It need not be in the catalogue.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sku(Arc<str>);

impl Sku {
    pub fn parse(text: &str) -> Result<Self, Malformed> {
        if !is_printable(text, SKU_LIMIT) {
            return Err(Malformed::expected("1 to 64 printable ASCII characters"));
        }
        Ok(Self(text.into()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Allows lookups in sets and maps of SKUs by `&str`.
impl Borrow<str> for Sku {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Sku {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// Pieces of one order line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quantity(i32);

impl Quantity {
    pub fn new(pieces: i32) -> Result<Self, Malformed> {
        if !(1..=QUANTITY_LIMIT).contains(&pieces) {
            return Err(Malformed::expected("1 to 100000 pieces"));
        }
        Ok(Self(pieces))
    }

    pub fn pieces(self) -> i32 {
        self.0
    }

    /// Splits a number of pieces into quantities of at most 100,000.
    pub fn split(pieces: i64) -> impl Iterator<Item = Self> {
        let mut left = pieces;
        std::iter::from_fn(move || {
            let next = i32::try_from(left.min(i64::from(QUANTITY_LIMIT))).ok()?;
            left -= i64::from(next);
            Self::new(next).ok()
        })
    }
}

/// Pieces per SKU that an order needs, summed over its lines, in SKU order.
///
/// Two lines of six pieces are a demand of twelve: checked separately, each line could pass although the sum does not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Demand(BTreeMap<Sku, i64>);

impl Demand {
    /// Sums lines per SKU. A line has at most 100,000 pieces, so no number of lines that fits into memory overflows.
    pub fn of(lines: impl IntoIterator<Item = (Sku, Quantity)>) -> Self {
        let mut pieces = BTreeMap::new();
        for (sku, quantity) in lines {
            *pieces.entry(sku).or_insert(0) += i64::from(quantity.pieces());
        }
        Self(pieces)
    }

    pub fn iter(&self) -> impl Iterator<Item = (&Sku, i64)> {
        self.0.iter().map(|(sku, &pieces)| (sku, pieces))
    }

    /// 0 for a SKU that is not in the demand.
    pub fn pieces(&self, sku: &Sku) -> i64 {
        self.0.get(sku).copied().unwrap_or_default()
    }

    pub fn skus(&self) -> impl Iterator<Item = &Sku> {
        self.0.keys()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::IntoStaticStr)]
#[strum(serialize_all = "SCREAMING_SNAKE_CASE")]
pub enum RejectionReason {
    /// A SKU is not in the catalogue.
    UnknownSku,
    /// The demand exceeds the available stock.
    OutOfStock,
    PaymentDeclined,
    /// The payment provider did not answer within the allowed attempts.
    PaymentUnavailable,
}

impl RejectionReason {
    /// The name in the contract, without its prefix; also stored in the database.
    pub fn name(self) -> &'static str {
        self.into()
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    pub reason: RejectionReason,
    /// The missing SKU; `None` for payment reasons.
    pub sku: Option<Sku>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StockMove {
    /// available → reserved
    Reserve,
    /// reserved → available
    Release,
    /// reserved → shipped
    Ship,
}

/// The stock of one SKU in pieces; also used for the difference between two levels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StockLevel {
    pub available: i64,
    /// Reserved for orders in progress.
    pub reserved: i64,
    pub shipped: i64,
}

impl StockLevel {
    /// The level of a new SKU: all pieces available.
    pub fn opening(pieces: i64) -> Self {
        Self {
            available: pieces,
            ..Self::default()
        }
    }

    /// The opening stock: no move changes this sum.
    pub fn total(&self) -> i64 {
        self.available + self.reserved + self.shipped
    }

    /// The difference that a move makes to each part.
    pub fn change(stock_move: StockMove, pieces: i64) -> Self {
        let (available, reserved, shipped) = match stock_move {
            StockMove::Reserve => (-pieces, pieces, 0),
            StockMove::Release => (pieces, -pieces, 0),
            StockMove::Ship => (0, -pieces, pieces),
        };
        Self {
            available,
            reserved,
            shipped,
        }
    }

    /// The level after a change; `None` if a part would become negative.
    pub fn after(self, change: Self) -> Option<Self> {
        let level = self.plus(change);
        (level.available >= 0 && level.reserved >= 0 && level.shipped >= 0).then_some(level)
    }

    pub fn plus(self, other: Self) -> Self {
        Self {
            available: self.available + other.available,
            reserved: self.reserved + other.reserved,
            shipped: self.shipped + other.shipped,
        }
    }
}

/// Checks that a whole demand can be reserved from these levels. An unknown SKU is reported before a short one, because
/// it will not come back into stock.
pub fn check(demand: &Demand, level: impl Fn(&Sku) -> Option<StockLevel>) -> Result<(), Rejection> {
    let mut short = None;
    for (sku, pieces) in demand.iter() {
        match supply(pieces, level(sku)) {
            Supply::Unknown => return Err(rejection(RejectionReason::UnknownSku, sku)),
            Supply::Short(_) => short = short.or(Some(sku)),
            Supply::Enough => {}
        }
    }
    short.map_or(Ok(()), |sku| {
        Err(rejection(RejectionReason::OutOfStock, sku))
    })
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Supply {
    Enough,
    /// The pieces that are available, fewer than demanded.
    Short(i64),
    /// The SKU is not in the catalogue.
    Unknown,
}

/// Compares one level with a demand; [`check`] uses the same rule.
pub fn supply(pieces: i64, level: Option<StockLevel>) -> Supply {
    match level {
        None => Supply::Unknown,
        Some(level) if level.available < pieces => Supply::Short(level.available),
        Some(_) => Supply::Enough,
    }
}

fn rejection(reason: RejectionReason, sku: &Sku) -> Rejection {
    Rejection {
        reason,
        sku: Some(sku.clone()),
    }
}

#[cfg(test)]
mod tests;
