//! The orders of the study: the valid invoices of the sample, in the same sequence for every way.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use proto::orders::v1::{Money, OrderLine, OrderPlaced, PlaceOrderRequest};
use proto::processing::v1::ProcessOrderRequest;
use uuid::Uuid;

use super::scenario::{Disturbance, SLOW_ONE_IN};
use crate::orders::payment::{APPROVED, DECLINED, SLOW};
use crate::orders::{OrderBook, SAMPLE};

/// Opening stock covers this many orders: more than a whole run places.
const STOCKED: usize = 60_000;

/// One order of one user, before it is a message of a way.
#[derive(Clone, Debug)]
pub(super) struct StudyOrder {
    /// Chosen by the client: the request id of PlaceOrder, otherwise the order id.
    pub(super) id: Uuid,
    customer_id: String,
    lines: Vec<OrderLine>,
    total: Money,
    payment_token: String,
}

impl StudyOrder {
    /// The order as a valid request of the sample; `None` if order-service would refuse it as malformed.
    fn of(request: PlaceOrderRequest) -> Option<Self> {
        let mut minor_units: i64 = 0;
        for line in &request.lines {
            let price = line.unit_price.as_ref()?.minor_units;
            if line.quantity < 1 || price < 1 {
                return None;
            }
            minor_units += price * i64::from(line.quantity);
        }
        let currency_code = request
            .lines
            .first()?
            .unit_price
            .as_ref()?
            .currency_code
            .clone();
        Some(Self {
            id: Uuid::nil(),
            customer_id: request.customer_id,
            lines: request.lines,
            total: Money {
                currency_code,
                minor_units,
            },
            payment_token: approved_or_declined(request.payment_token),
        })
    }

    pub(super) fn place(&self) -> PlaceOrderRequest {
        PlaceOrderRequest {
            request_id: self.id.to_string(),
            customer_id: self.customer_id.clone(),
            lines: self.lines.clone(),
            payment_token: self.payment_token.clone(),
        }
    }

    pub(super) fn process(&self) -> ProcessOrderRequest {
        ProcessOrderRequest {
            order_id: self.id.to_string(),
            lines: self.lines.clone(),
            total: Some(self.total.clone()),
            payment_token: self.payment_token.clone(),
        }
    }

    pub(super) fn placed(&self) -> OrderPlaced {
        OrderPlaced {
            order_id: self.id.to_string(),
            customer_id: self.customer_id.clone(),
            lines: self.lines.clone(),
            total: Some(self.total.clone()),
            payment_token: self.payment_token.clone(),
        }
    }

    pub(super) fn pieces(&self) -> i64 {
        let lines = self.lines.iter();
        lines.map(|line| i64::from(line.quantity)).sum()
    }
}

/// A payment provider in trouble is a scenario of its own.
fn approved_or_declined(token: String) -> String {
    match token.as_str() {
        DECLINED => token,
        _ => APPROVED.to_owned(),
    }
}

/// The orders, and a catalogue with their stock.
#[derive(Clone, Debug)]
pub(super) struct StudyOrders {
    valid: Arc<Vec<StudyOrder>>,
    pub(super) catalogue: Arc<str>,
}

impl StudyOrders {
    pub(super) fn open() -> Result<Self> {
        let book = OrderBook::open(Path::new(SAMPLE))?;
        let requests = (0..book.len()).filter_map(|n| book.order(n, Uuid::nil()).request.ok());
        let valid: Vec<_> = requests.filter_map(StudyOrder::of).collect();
        valid.first().context("the sample has no valid order")?;
        Ok(Self {
            catalogue: book.catalogue(STOCKED).to_csv()?.into(),
            valid: Arc::new(valid),
        })
    }

    /// Order number `n` of a scenario, with an id of its own.
    pub(super) fn order(&self, n: usize, disturbance: Disturbance) -> StudyOrder {
        let mut order = self.valid[n % self.valid.len()].clone();
        order.id = Uuid::now_v7();
        if disturbance == Disturbance::SlowPayments && n.is_multiple_of(SLOW_ONE_IN) {
            SLOW.clone_into(&mut order.payment_token);
        }
        order
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_sends_the_same_order() {
        let orders = StudyOrders::open().unwrap();

        let order = orders.order(3, Disturbance::Nothing);

        let (place, process, placed) = (order.place(), order.process(), order.placed());
        assert_eq!(place.lines, process.lines);
        assert_eq!(place.lines, placed.lines);
        assert_eq!(process.total, placed.total);
        assert_eq!(place.payment_token, process.payment_token);
        assert_eq!(place.request_id, process.order_id);
    }

    #[test]
    fn one_payment_in_ten_is_slow_while_the_provider_is() {
        let orders = StudyOrders::open().unwrap();
        let slow = |disturbance| {
            let orders = (0..1_000).map(|n| orders.order(n, disturbance));
            orders.filter(|order| order.payment_token == SLOW).count()
        };

        assert_eq!(slow(Disturbance::Nothing), 0);
        assert_eq!(slow(Disturbance::SlowPayments), 100);
    }

    #[test]
    fn most_of_the_sample_is_valid() {
        let orders = StudyOrders::open().unwrap();

        assert_eq!(orders.valid.len(), 1_431);
    }
}
