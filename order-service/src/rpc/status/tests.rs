//! The status of each error.

use uuid::Uuid;

use super::*;

/// Lines with the longest descriptions.
fn unavailable(lines: usize) -> Vec<UnavailableLine> {
    let shortage = Shortage::OutOfStock {
        available: 49_999_999,
        asked: 50_000_000,
    };
    let line = |line| UnavailableLine { line, shortage };
    (0..lines).map(line).collect()
}

/// One error per reason of this service, in the order of [`RpcError::REASONS`].
fn one_of_each() -> Vec<RpcError> {
    let order_id = OrderId::new(Uuid::from_u128(7));
    let status = OrderStatus::Fulfilled;
    vec![
        RpcError::InvalidRequest(Violations::default()),
        RpcError::OrderNotFound(order_id),
        RpcError::RequestIdReused(RequestId::new(Uuid::from_u128(8))),
        RpcError::ItemsUnavailable(unavailable(1)),
        RpcError::OrderIsFinal { order_id, status },
        RpcError::TooManyStreams,
        RpcError::Overloaded,
        RpcError::Backlogged,
        RpcError::AvailabilityUnknown,
        RpcError::ShuttingDown,
        RpcError::StoreUnavailable,
        RpcError::Internal,
    ]
}

/// The index in [`RpcError::REASONS`]. A new variant does not compile without one.
fn place(error: &RpcError) -> Option<usize> {
    Some(match error {
        RpcError::InvalidRequest(_) => 0,
        RpcError::OrderNotFound(_) => 1,
        RpcError::RequestIdReused(_) => 2,
        RpcError::ItemsUnavailable(_) => 3,
        RpcError::OrderIsFinal { .. } => 4,
        RpcError::TooManyStreams => 5,
        RpcError::Overloaded => 6,
        RpcError::Backlogged => 7,
        RpcError::AvailabilityUnknown => 8,
        RpcError::ShuttingDown => 9,
        RpcError::StoreUnavailable => 10,
        RpcError::Internal => 11,
        // Common to all services.
        RpcError::Refused(_) => return None,
    })
}

#[test]
fn every_status_carries_a_reason_of_this_domain_which_is_listed() {
    let errors = one_of_each();
    let places: Vec<_> = errors.iter().filter_map(place).collect();
    assert_eq!(places, Vec::from_iter(0..RpcError::REASONS.len()));

    for (error, listed) in errors.into_iter().zip(RpcError::REASONS) {
        let status = Status::from(error);
        let details = status.get_error_details();
        let info = details.error_info().unwrap();
        let delay = details.retry_info().and_then(|info| info.retry_delay);
        assert_eq!(info.domain, "order-service");
        assert_eq!((&*info.reason, status.code(), delay), listed);
    }
}

#[test]
fn the_violations_of_a_request_are_listed() {
    let mut violations = Violations::default();
    violations.add("lines[3].quantity", "must be 1 to 100000");

    let status = Status::from(RpcError::from(violations));

    assert_eq!(status.code(), Code::InvalidArgument);
    let details = status.get_error_details();
    let listed = &details.bad_request().unwrap().field_violations;
    assert_eq!(listed[0].field, "lines[3].quantity");
    assert_eq!(listed[0].description, "must be 1 to 100000");
}

#[test]
fn unavailable_lines_are_listed_with_their_shortage() {
    let lines = [
        (
            1,
            Shortage::OutOfStock {
                available: 3,
                asked: 5,
            },
        ),
        (4, Shortage::UnknownSku),
    ];
    let lines = lines.map(|(line, shortage)| UnavailableLine { line, shortage });

    let status = Status::from(RpcError::ItemsUnavailable(lines.to_vec()));

    assert_eq!(status.code(), Code::FailedPrecondition);
    let details = status.get_error_details();
    assert_eq!(details.error_info().unwrap().metadata["violations"], "2");
    let listed = &details.precondition_failure().unwrap().violations;
    let listed: Vec<_> = listed
        .iter()
        .map(|entry| (&*entry.r#type, &*entry.subject, &*entry.description))
        .collect();
    assert_eq!(
        listed,
        [
            (
                "OUT_OF_STOCK",
                "lines[1].sku",
                "3 piece(s) are available, the order asks for 5"
            ),
            ("UNKNOWN_SKU", "lines[4].sku", "is not in the catalogue"),
        ]
    );
}

#[test]
fn a_final_order_is_reported_with_its_state() {
    let order_id = OrderId::new(Uuid::from_u128(7));
    let status = OrderStatus::Fulfilled;

    let answer = Status::from(RpcError::OrderIsFinal { order_id, status });

    assert_eq!(answer.code(), Code::FailedPrecondition);
    let details = answer.get_error_details();
    assert_eq!(
        details.error_info().unwrap().metadata["status"],
        "FULFILLED"
    );
}

#[test]
fn a_transient_error_has_a_retry_delay() {
    for error in [
        RpcError::TooManyStreams,
        RpcError::Overloaded,
        RpcError::StoreUnavailable,
    ] {
        let details = Status::from(error).get_error_details();
        assert_eq!(details.retry_info().unwrap().retry_delay, Some(RETRY_DELAY));
    }
}

#[test]
fn a_refusal_equals_the_one_of_a_server_layer() {
    for refusal in CallRejection::ALL {
        let here = Status::from(RpcError::from(refusal));
        let there = refusal.status(DOMAIN);

        assert_eq!(here.code(), there.code());
        assert_eq!(here.message(), there.message());
        assert_eq!(here.details(), there.details());
    }
}

#[test]
fn the_largest_details_fit_the_header_limit_of_clients() {
    let mut violations = Violations::default();
    for line in 0..500 {
        let field = format_args!("lines[{line}].unit_price.currency_code");
        violations.add(field, crate::domain::Currency::RULE);
    }

    let missing = RpcError::ItemsUnavailable(unavailable(500));

    for error in [RpcError::from(violations), missing] {
        let status = Status::from(error);
        let on_the_wire = status.details().len() * 4 / 3;
        assert!(on_the_wire < 7 * 1024 + 512, "{on_the_wire}");
    }
}
