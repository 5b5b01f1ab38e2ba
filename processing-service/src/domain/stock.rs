//! Stock arithmetic.
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

use super::{Malformed, is_printable};

/// Characters of a SKU, as the contract limits them.
const SKU_LIMIT: usize = 64;

/// Pieces per order line, as the contract limits them.
const QUANTITY_LIMIT: i32 = 100_000;

/// Stock keeping unit. Whether the catalogue has it is another question.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sku(Arc<str>);

impl Sku {
    /// Reads a SKU.
    pub fn parse(text: &str) -> Result<Self, Malformed> {
        if !is_printable(text, SKU_LIMIT) {
            return Err(Malformed::expected("1 to 64 printable ASCII characters"));
        }
        Ok(Self(text.into()))
    }

    /// The SKU as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Sets of SKUs can be asked by text.
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
    /// Reads a quantity.
    pub fn new(pieces: i32) -> Result<Self, Malformed> {
        if !(1..=QUANTITY_LIMIT).contains(&pieces) {
            return Err(Malformed::expected("1 to 100000 pieces"));
        }
        Ok(Self(pieces))
    }

    /// Number of pieces.
    pub fn pieces(self) -> i32 {
        self.0
    }

    /// The quantities of the lines that so many pieces need.
    pub fn split(pieces: i64) -> impl Iterator<Item = Self> {
        let mut left = pieces;
        std::iter::from_fn(move || {
            let next = i32::try_from(left.min(i64::from(QUANTITY_LIMIT))).ok()?;
            left -= i64::from(next);
            Self::new(next).ok()
        })
    }
}

/// Pieces that an order asks for, one entry per SKU however many lines name it, in SKU order.
///
/// Two lines of six pieces are a demand of twelve: looked at one by one, each might be met and both not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Demand(BTreeMap<Sku, i64>);

impl Demand {
    /// Adds up lines. A line is at most 100,000 pieces, so no sum of lines that fits into memory overflows.
    pub fn of(lines: impl IntoIterator<Item = (Sku, Quantity)>) -> Self {
        let mut pieces = BTreeMap::new();
        for (sku, quantity) in lines {
            *pieces.entry(sku).or_insert(0) += i64::from(quantity.pieces());
        }
        Self(pieces)
    }

    /// The entries, by SKU.
    pub fn iter(&self) -> impl Iterator<Item = (&Sku, i64)> {
        self.0.iter().map(|(sku, &pieces)| (sku, pieces))
    }

    /// The pieces of one SKU.
    pub fn pieces(&self, sku: &Sku) -> i64 {
        self.0.get(sku).copied().unwrap_or_default()
    }

    /// The SKUs, in order.
    pub fn skus(&self) -> impl Iterator<Item = &Sku> {
        self.0.keys()
    }
}

/// Why an order cannot be processed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RejectionReason {
    /// The catalogue does not have a SKU.
    UnknownSku,
    /// More is asked for than is available.
    OutOfStock,
    /// The payment was declined.
    PaymentDeclined,
    /// The payment provider could not be reached within the attempts allowed.
    PaymentUnavailable,
}

impl RejectionReason {
    /// The name of the reason, as the contract spells it without its prefix.
    pub fn name(self) -> &'static str {
        match self {
            Self::UnknownSku => "UNKNOWN_SKU",
            Self::OutOfStock => "OUT_OF_STOCK",
            Self::PaymentDeclined => "PAYMENT_DECLINED",
            Self::PaymentUnavailable => "PAYMENT_UNAVAILABLE",
        }
    }
}

/// A rejection and the SKU that it is about, when it is about one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// Why.
    pub reason: RejectionReason,
    /// The SKU that could not be had.
    pub sku: Option<Sku>,
}

/// What is done with the pieces of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StockMove {
    /// Set aside for the order.
    Reserve,
    /// Given back.
    Release,
    /// Gone for good.
    Ship,
}

/// The stock of one SKU, in pieces; also the difference between two of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StockLevel {
    /// Free to be reserved.
    pub available: i64,
    /// Set aside for orders in progress.
    pub reserved: i64,
    /// Left the house.
    pub shipped: i64,
}

impl StockLevel {
    /// The level with which a SKU starts.
    pub fn opening(pieces: i64) -> Self {
        Self {
            available: pieces,
            ..Self::default()
        }
    }

    /// All pieces there ever were: no move changes this.
    pub fn total(&self) -> i64 {
        self.available + self.reserved + self.shipped
    }

    /// What a move of so many pieces adds to each part.
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

    /// Part by part.
    pub fn plus(self, other: Self) -> Self {
        Self {
            available: self.available + other.available,
            reserved: self.reserved + other.reserved,
            shipped: self.shipped + other.shipped,
        }
    }
}

/// Whether all of a demand can be reserved from these levels. An unknown SKU is named before a short one: it will not
/// come back into stock.
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

/// How far the stock of one SKU meets a demand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Supply {
    /// All of it can be had.
    Enough,
    /// Only so many pieces can be had.
    Short(i64),
    /// The catalogue does not have the SKU.
    Unknown,
}

/// How far a level meets a demand of so many pieces. The rule of [`check`], too.
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
