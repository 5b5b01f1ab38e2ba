//! Real orders for the replay: invoices of the Online Retail data set, read from CSV, as requests to order-service.
//!
//! One invoice becomes one order: StockCode is the SKU, UnitPrice in pounds becomes pence, CustomerID the customer.
//! The data is messy and stays so. Nothing is rounded, repaired or dropped silently: values that the contract can
//! represent are sent, so that order-service judges them; all others are refused here, with the field named.
//!
//! Reading order: [`invoice`] (lines to invoices), [`price`] (pounds to pence), [`request`] (invoice to request),
//! [`payment`] (the test token of an invoice), [`catalogue`] (the stock); and [`basket`] (identical orders for
//! measurements).

pub mod invoice;
pub mod price;
pub mod request;

pub mod payment;

pub mod catalogue;

pub mod basket;

use std::path::Path;

use anyhow::Context;
use proto::orders::v1::PlaceOrderRequest;
use uuid::Uuid;

use self::catalogue::ShopCatalogue;
use self::invoice::Invoice;
use self::request::Inexpressible;

/// The sample, in the program: where a load test runs, there is no file.
const SAMPLE_TEXT: &str = include_str!("../data/online-retail-sample.csv");

/// The sample that is replayed by default; `data/README.md` credits its source.
pub const SAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/data/online-retail-sample.csv");

#[derive(Clone, Debug)]
pub struct OrderBook {
    invoices: Vec<Invoice>,
}

/// One order of a run.
#[derive(Clone, Debug)]
pub struct Order {
    /// The source invoice.
    pub invoice: String,
    /// The request, or why the invoice cannot be represented.
    pub request: Result<PlaceOrderRequest, Inexpressible>,
}

impl OrderBook {
    /// Reads a file of invoices. An invalid line fails the whole file and is named in the error.
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        let file = std::fs::File::open(path)
            .with_context(|| format!("cannot open the orders file {}", path.display()))?;
        Self::read(file).with_context(|| format!("cannot use the orders file {}", path.display()))
    }

    /// Reads invoices from CSV text.
    pub fn read(text: impl std::io::Read) -> anyhow::Result<Self> {
        let invoices = invoice::read(text)?;
        anyhow::ensure!(!invoices.is_empty(), "the file has no invoices");
        Ok(Self { invoices })
    }

    /// The sample that is part of the program.
    pub fn sample() -> anyhow::Result<Self> {
        Self::read(SAMPLE_TEXT.as_bytes())
    }

    /// Only the orders that a shop with the [catalogue](Self::catalogue) of this book accepts, as the goods last.
    pub fn only_acceptable(mut self) -> anyhow::Result<Self> {
        self.invoices.retain(catalogue::is_acceptable);
        anyhow::ensure!(
            !self.invoices.is_empty(),
            "the file has no acceptable order"
        );
        Ok(self)
    }

    /// Number of orders in the file.
    pub fn len(&self) -> usize {
        self.invoices.len()
    }

    /// Whether the file holds no order; [`OrderBook::read`] refuses such a file.
    pub fn is_empty(&self) -> bool {
        self.invoices.is_empty()
    }

    /// Order number `n` of run `run`, from 0. Beyond the end the file is repeated: the same invoice with another
    /// request id, hence another order.
    pub fn order(&self, n: usize, run: Uuid) -> Order {
        let invoice = &self.invoices[n % self.invoices.len()];
        let round = n / self.invoices.len();
        Order {
            invoice: invoice.number.clone(),
            request: request::of(invoice, request::id(invoice, round, run)),
        }
    }

    /// A catalogue with stock for the first `count` orders.
    pub fn catalogue(&self, count: usize) -> ShopCatalogue {
        let rounds = count.div_ceil(self.invoices.len()).max(1);
        ShopCatalogue::derive(&self.invoices, rounds)
    }
}

#[cfg(test)]
mod tests;
