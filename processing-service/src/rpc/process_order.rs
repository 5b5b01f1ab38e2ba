//! ProcessOrder: runs the steps of an order while its caller waits.
//!
//! The steps run in a task of their own, which the end of the call does not interrupt: an order that is not shipped by the
//! deadline is cancelled, and so leaves no reserved stock behind. It is a promise of the process only. After a crash the order
//! stays between two steps until its caller comes again, because no event brings it back.

use grpc::server::violations::Violations;
use grpc::status::CallRejection;
use proto::orders::v1 as orders;
use proto::processing::v1 as messages;
use service::deadline::Deadline;
use telemetry::propagation::current_trace_headers;
use telemetry::span::carry_current;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use super::status::RpcError;
use crate::conversion::{self, LINE_LIMIT};
use crate::domain::{
    Currency, Demand, Malformed, Money, Order, OrderId, PaymentToken, Quantity, Sku,
};
use crate::steps::{self, Pipeline};
use crate::store::Cause;

/// Limit of a request message, as of PlaceOrder: 500 lines with the longest names and prices need about 50 KiB.
pub(super) const MAX_REQUEST_BYTES: usize = 256 * 1024;

/// Without time left, the order is not begun.
pub(super) async fn process_order(
    pipeline: &Pipeline,
    tasks: &TaskTracker,
    deadline: Deadline,
    request: &messages::ProcessOrderRequest,
) -> Result<messages::ProcessOrderResponse, RpcError> {
    let order = parse_process_order(request)?;
    if deadline.has_passed() {
        return Err(RpcError::Refused(CallRejection::DeadlineExceeded));
    }
    let task = tasks.spawn(carry_current(run(pipeline.clone(), order, deadline)));
    let ended = deadline.bound(task).await;
    let ended = ended.map_err(|_| RpcError::Refused(CallRejection::DeadlineExceeded))?;
    // The task ends early only if it panics, or when the runtime stops.
    ended.unwrap_or(Err(RpcError::Internal))
}

async fn run(
    pipeline: Pipeline,
    order: Order,
    deadline: Deadline,
) -> Result<messages::ProcessOrderResponse, RpcError> {
    let cause = Cause {
        event: None,
        trace: current_trace_headers().into(),
    };
    let is_late = || deadline.has_passed();
    let end = steps::process(&pipeline, &order, &cause, &is_late).await?;
    tracing::debug!(order_id = %order.id, state = ?end, "order processed");
    conversion::outcome(end).ok_or(RpcError::Internal)
}

/// Parses a request.
///
/// # Errors
/// [`Violations`] with every field that is missing, malformed or out of bounds.
pub fn parse_process_order(request: &messages::ProcessOrderRequest) -> Result<Order, Violations> {
    let mut violations = Violations::default();
    let id = Uuid::try_parse(&request.order_id).map_err(|_| Malformed::expected("a UUID"));
    let id = violations.check("order_id", id);
    let demand = parse_lines(&request.lines, &mut violations);
    let total = parse_total(request.total.as_ref(), &mut violations);
    let token = PaymentToken::parse(&request.payment_token);
    let token = violations.check("payment_token", token);

    match (id, demand, total, token) {
        (Some(id), Some(demand), Some(total), Some(payment_token)) => Ok(Order {
            id: OrderId::new(id),
            demand,
            total,
            payment_token,
        }),
        _ => Err(violations),
    }
}

fn parse_lines(lines: &[orders::OrderLine], violations: &mut Violations) -> Option<Demand> {
    let count = lines.len();
    if !(1..=LINE_LIMIT).contains(&count) {
        violations.add("lines", Malformed::expected("1 to 500 lines"));
    }
    let mut parsed = Vec::with_capacity(count.min(LINE_LIMIT));
    for (index, line) in lines.iter().take(LINE_LIMIT).enumerate() {
        let sku = violations.check(format_args!("lines[{index}].sku"), Sku::parse(&line.sku));
        let quantity = Quantity::new(line.quantity);
        let quantity = violations.check(format_args!("lines[{index}].quantity"), quantity);
        parsed.extend(sku.zip(quantity));
    }
    (count > 0 && parsed.len() == count).then(|| Demand::of(parsed))
}

fn parse_total(total: Option<&orders::Money>, violations: &mut Violations) -> Option<Money> {
    let total = total.ok_or(Malformed::expected("an amount"));
    let total = violations.check("total", total)?;
    let currency = Currency::parse(&total.currency_code);
    let currency = violations.check("total.currency_code", currency)?;
    let amount = Money::new(currency, total.minor_units);
    violations.check("total.minor_units", amount)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(sku: &str, quantity: i32) -> orders::OrderLine {
        orders::OrderLine {
            sku: sku.to_owned(),
            quantity,
            unit_price: None,
        }
    }

    fn request() -> messages::ProcessOrderRequest {
        let total = orders::Money {
            currency_code: "GBP".to_owned(),
            minor_units: 510,
        };
        messages::ProcessOrderRequest {
            order_id: Uuid::from_u128(7).to_string(),
            lines: vec![line("A", 2)],
            total: Some(total),
            payment_token: "tok_approved".to_owned(),
        }
    }

    fn invalid_fields(request: &messages::ProcessOrderRequest) -> Vec<String> {
        let violations = parse_process_order(request).unwrap_err();
        let listed = violations.listed().iter();
        listed.map(|violation| violation.field.clone()).collect()
    }

    #[test]
    fn all_violations_of_an_order_are_reported_at_once() {
        let empty = messages::ProcessOrderRequest::default();
        let wrong = messages::ProcessOrderRequest {
            lines: vec![line("A", 1), line("", 0)],
            total: Some(orders::Money {
                currency_code: "GBP".to_owned(),
                minor_units: 0,
            }),
            ..request()
        };

        assert_eq!(
            invalid_fields(&empty),
            ["order_id", "lines", "total", "payment_token"]
        );
        assert_eq!(
            invalid_fields(&wrong),
            ["lines[1].sku", "lines[1].quantity", "total.minor_units"]
        );
    }

    #[test]
    fn an_order_has_1_to_500_lines() {
        let with = |count| messages::ProcessOrderRequest {
            lines: vec![line("A", 1); count],
            ..request()
        };

        assert_eq!(invalid_fields(&with(LINE_LIMIT + 1)), ["lines"]);
        assert!(parse_process_order(&with(LINE_LIMIT)).is_ok());
    }
}
