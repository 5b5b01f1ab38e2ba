//! Display names of the contract's enums: `FULFILLED` for `ORDER_STATUS_FULFILLED`.

use proto::orders::v1::{Availability, Money, OrderStatus, RejectionReason};

/// The name of a status; `UNSPECIFIED` for an unknown number.
pub fn status_name(status: i32) -> &'static str {
    let status = OrderStatus::try_from(status).unwrap_or_default();
    bare(status.as_str_name(), "ORDER_STATUS_")
}

/// The name of a rejection reason; `UNSPECIFIED` for an unknown number.
pub fn rejection_name(reason: i32) -> &'static str {
    let reason = RejectionReason::try_from(reason).unwrap_or_default();
    bare(reason.as_str_name(), "REJECTION_REASON_")
}

/// The name of a stock availability; `UNSPECIFIED` for an unknown number.
pub fn availability_name(availability: i32) -> &'static str {
    let availability = Availability::try_from(availability).unwrap_or_default();
    bare(availability.as_str_name(), "AVAILABILITY_")
}

/// Whether an order in this status can still change.
pub fn is_final(status: i32) -> bool {
    matches!(
        OrderStatus::try_from(status),
        Ok(OrderStatus::Fulfilled | OrderStatus::Rejected | OrderStatus::Cancelled)
    )
}

/// Decimal places of a currency that the contract accepts; two for any other, which order-service refuses.
pub fn decimals(currency_code: &str) -> usize {
    match currency_code {
        "JPY" => 0,
        _ => 2,
    }
}

/// An amount for display: `2.55 GBP`, `255 JPY`.
pub fn amount(money: &Money) -> String {
    let Money {
        currency_code,
        minor_units,
    } = money;
    let decimals = decimals(currency_code);
    let sign = if *minor_units < 0 { "-" } else { "" };
    // At least one digit before the decimal point.
    let digits = format!(
        "{:0>width$}",
        minor_units.unsigned_abs(),
        width = decimals + 1
    );
    let (whole, fraction) = digits.split_at(digits.len() - decimals);
    let point = if decimals == 0 { "" } else { "." };
    format!("{sign}{whole}{point}{fraction} {currency_code}")
}

fn bare(name: &'static str, prefix: &str) -> &'static str {
    name.strip_prefix(prefix).unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_no_prefix() {
        assert_eq!(
            status_name(OrderStatus::CancelRequested.into()),
            "CANCEL_REQUESTED"
        );
        assert_eq!(
            rejection_name(RejectionReason::OutOfStock.into()),
            "OUT_OF_STOCK"
        );
        assert_eq!(
            availability_name(Availability::Unverified.into()),
            "UNVERIFIED"
        );
        assert_eq!(status_name(4_711), "UNSPECIFIED");
    }

    #[test]
    fn three_states_are_final() {
        let finals = (-1..20).filter(|status| is_final(*status));

        let names: Vec<_> = finals.map(status_name).collect();

        assert_eq!(names, ["FULFILLED", "REJECTED", "CANCELLED"]);
    }

    #[test]
    fn amounts_have_the_decimal_places_of_their_currency() {
        let written = |minor_units, currency: &str| {
            amount(&Money {
                currency_code: currency.into(),
                minor_units,
            })
        };

        assert_eq!(written(255, "GBP"), "2.55 GBP");
        assert_eq!(written(7, "GBP"), "0.07 GBP");
        assert_eq!(written(-1_106_206, "EUR"), "-11062.06 EUR");
        assert_eq!(written(255, "JPY"), "255 JPY");
    }
}
