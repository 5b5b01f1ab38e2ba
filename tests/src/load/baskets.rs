//! Real orders as requests: the invoices of the data set in turn, each with a request id of its own.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::Result;
use proto::orders::v1::PlaceOrderRequest;
use uuid::Uuid;

use crate::orders::OrderBook;

/// The orders of a run.
#[derive(Debug)]
pub(super) struct Baskets {
    book: OrderBook,
    /// Placed for this customer instead of that of the invoice.
    customer: Option<String>,
    /// Seed of the request ids, different from every other run.
    run: Uuid,
    turn: AtomicUsize,
}

/// An order to place.
#[derive(Debug)]
pub(super) struct Basket {
    pub(super) invoice: String,
    pub(super) request: PlaceOrderRequest,
}

impl Baskets {
    /// The invoices of a file, or of the sample that is part of the program; only those that the shop can accept, so that
    /// a refusal is a finding about the service rather than about the order.
    pub(super) fn open(file: Option<&Path>, customer: Option<String>) -> Result<Self> {
        let book = file.map_or_else(OrderBook::sample, OrderBook::open)?;
        Ok(Self {
            book: book.only_acceptable()?,
            customer,
            run: Uuid::new_v4(),
            turn: AtomicUsize::new(0),
        })
    }

    /// The text of a `catalogue.csv` with stock for this many orders.
    pub(super) fn catalogue(&self, orders: usize) -> Result<String> {
        self.book.catalogue(orders).to_csv()
    }

    pub(super) fn next(&self) -> Basket {
        loop {
            let turn = self.turn.fetch_add(1, Ordering::Relaxed);
            let order = self.book.order(turn, self.run);
            // An acceptable invoice can be represented; one that cannot is skipped.
            if let Ok(mut request) = order.request {
                if let Some(customer) = &self.customer {
                    request.customer_id.clone_from(customer);
                }
                return Basket {
                    invoice: order.invoice,
                    request,
                };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_basket_is_acceptable_and_a_new_order() {
        let baskets = Baskets::open(None, None).unwrap();
        let number = 2 * baskets.book.len();

        let requests: Vec<_> = (0..number).map(|_| baskets.next().request).collect();

        for line in requests.iter().flat_map(|request| &request.lines) {
            assert!(line.quantity > 0 && line.unit_price.as_ref().unwrap().minor_units > 0);
        }
        let ids: std::collections::HashSet<_> =
            requests.iter().map(|request| &request.request_id).collect();
        assert_eq!(ids.len(), number);
    }

    #[test]
    fn all_baskets_may_be_of_one_customer() {
        let baskets = Baskets::open(None, Some("load".to_owned())).unwrap();

        assert_eq!(baskets.next().request.customer_id, "load");
        assert_eq!(baskets.next().request.customer_id, "load");
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = Baskets::open(Some(Path::new("/does/not/exist.csv")), None).unwrap_err();

        assert!(error.to_string().contains("/does/not/exist.csv"), "{error}");
    }
}
