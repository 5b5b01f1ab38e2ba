use proptest::prelude::*;

use super::*;
use crate::fixture::lines;

fn pieces(pieces: &[(&str, i64)]) -> Pieces {
    let entries = pieces.iter().map(|&(sku, pieces)| (sku.into(), pieces));
    entries.collect()
}

fn request(items: &[(&str, i32)]) -> CheckAvailabilityRequest {
    let items = items.iter().map(|&(sku, quantity)| Item {
        sku: sku.to_owned(),
        quantity,
    });
    CheckAvailabilityRequest {
        items: items.collect(),
    }
}

/// SKU, status and available pieces.
type ReturnedItem = (&'static str, i32, i64);

fn response(items: &[ReturnedItem]) -> CheckAvailabilityResponse {
    let item = |&(sku, status, available_quantity): &ReturnedItem| ItemAvailability {
        sku: sku.to_owned(),
        status,
        available_quantity,
    };
    CheckAvailabilityResponse {
        items: items.iter().map(item).collect(),
    }
}

const AVAILABLE: i32 = ItemStatus::Available as i32;
const OUT_OF_STOCK: i32 = ItemStatus::OutOfStock as i32;
const UNKNOWN_SKU: i32 = ItemStatus::UnknownSku as i32;

/// The verdict by the response to this request.
fn verdict_by(
    lines: &OrderLines,
    request: &CheckAvailabilityRequest,
    response: &CheckAvailabilityResponse,
) -> Option<Verdict> {
    let reports = reports(request, response).unwrap();
    verdict(lines, |sku| reports.get(sku).copied())
}

#[test]
fn a_request_has_an_item_per_sku_and_several_above_the_largest_quantity() {
    let [request] = &requests(&pieces(&[("A", 3), ("B", 250_000)]))[..] else {
        panic!("one request")
    };

    let items: Vec<_> = request
        .items
        .iter()
        .map(|item| (item.sku.as_str(), item.quantity))
        .collect();
    assert_eq!(
        items,
        [("A", 3), ("B", 100_000), ("B", 100_000), ("B", 50_000)]
    );
}

#[test]
fn more_items_than_a_request_may_have_are_several_requests_and_no_sku_is_in_two() {
    let mut all = Pieces::new();
    for sku in 0..600 {
        all.insert(format!("{sku:03}").into(), 1);
    }
    all.insert("400".into(), 60 * MAX_PIECES);
    all.insert("401".into(), 500 * MAX_PIECES);

    let requests = requests(&all);

    let mut asked = HashMap::new();
    for (number, request) in requests.iter().enumerate() {
        assert!((1..=500).contains(&request.items.len()), "{number}");
        for item in &request.items {
            assert!((1..=100_000).contains(&item.quantity));
            let (first, sum) = asked.entry(item.sku.as_str()).or_insert((number, 0));
            assert_eq!(*first, number, "{} is in two requests", item.sku);
            *sum += i64::from(item.quantity);
        }
    }
    let asked: Pieces = asked
        .into_iter()
        .map(|(sku, (_, sum))| (sku.into(), sum))
        .collect();
    assert_eq!(asked, all);
}

#[test]
fn the_items_of_any_order_fit_into_one_request() {
    for order in [
        lines(&[("A", 100_000); 500]),
        lines(&[("A", 1), ("B", 100_000), ("A", 100_000)]),
    ] {
        let asked = pieces_by_sku(&order);
        let asked = asked.into_iter().map(|(sku, pieces)| (sku.into(), pieces));

        assert_eq!(requests(&asked.collect()).len(), 1);
    }
}

#[test]
fn an_order_is_confirmed_when_every_line_is_available() {
    let lines = lines(&[("A", 1), ("B", 2), ("A", 3)]);

    let verdict = verdict_by(
        &lines,
        &request(&[("A", 4), ("B", 2)]),
        &response(&[("A", AVAILABLE, 0), ("B", AVAILABLE, 0)]),
    );

    assert_eq!(verdict, Some(Verdict::Confirmed));
}

#[test]
fn every_unavailable_line_is_reported_with_the_shortage_of_its_sku() {
    let lines = lines(&[("A", 2), ("B", 1), ("A", 3), ("Z", 1)]);

    let verdict = verdict_by(
        &lines,
        &request(&[("A", 5), ("B", 1), ("Z", 1)]),
        &response(&[
            ("A", OUT_OF_STOCK, 4),
            ("B", AVAILABLE, 0),
            ("Z", UNKNOWN_SKU, 0),
        ]),
    );

    let short = Shortage::OutOfStock {
        available: 4,
        asked: 5,
    };
    let expected = [(0, short), (2, short), (3, Shortage::UnknownSku)];
    let expected = expected.map(|(line, shortage)| UnavailableLine { line, shortage });
    assert_eq!(verdict, Some(Verdict::Refused(expected.to_vec())));
}

#[test]
fn a_report_about_fewer_pieces_than_an_order_needs_does_not_tell() {
    let order = lines(&[("A", 3), ("A", 3)]);
    let by = |report| verdict(&order, |_| report);

    assert_eq!(by(Some(StockReport::AtLeast(6))), Some(Verdict::Confirmed));
    assert_eq!(by(Some(StockReport::AtLeast(5))), None);
    assert_eq!(by(None), None);
    assert!(matches!(
        by(Some(StockReport::Exactly(5))),
        Some(Verdict::Refused(_))
    ));
}

#[test]
fn an_invalid_response_has_no_reports() {
    let request = request(&[("A", 2), ("A", 3)]);
    let ok = ("A", AVAILABLE, 0);
    let responses: [(&[ReturnedItem], InvalidResponse); 10] = [
        (
            &[],
            InvalidResponse::ItemCount {
                requested: 2,
                returned: 0,
            },
        ),
        (
            &[ok],
            InvalidResponse::ItemCount {
                requested: 2,
                returned: 1,
            },
        ),
        (
            &[ok, ok, ok],
            InvalidResponse::ItemCount {
                requested: 2,
                returned: 3,
            },
        ),
        (&[ok, ("B", AVAILABLE, 0)], InvalidResponse::WrongSku(1)),
        (&[ok, ("A", 0, 0)], InvalidResponse::UnknownStatus(1)),
        (&[ok, ("A", 4_711, 0)], InvalidResponse::UnknownStatus(1)),
        // Two items of one SKU differ.
        (
            &[ok, ("A", UNKNOWN_SKU, 0)],
            InvalidResponse::Contradiction(1),
        ),
        (
            &[("A", OUT_OF_STOCK, 1), ("A", OUT_OF_STOCK, 2)],
            InvalidResponse::Contradiction(1),
        ),
        // Out of stock with enough pieces; a negative number of pieces.
        (
            &[("A", OUT_OF_STOCK, 5), ok],
            InvalidResponse::Contradiction(0),
        ),
        (
            &[("A", OUT_OF_STOCK, -1), ok],
            InvalidResponse::Contradiction(0),
        ),
    ];

    for (items, invalid) in responses {
        assert_eq!(
            reports(&request, &response(items)),
            Err(invalid),
            "{items:?}"
        );
    }
}

/// Answers as processing-service does.
fn answer(
    request: &CheckAvailabilityRequest,
    stock: &HashMap<&str, i64>,
) -> CheckAvailabilityResponse {
    let asked = |sku: &str| {
        let of_sku = request.items.iter().filter(|item| item.sku == sku);
        of_sku.map(|item| i64::from(item.quantity)).sum::<i64>()
    };
    let item = |item: &Item| {
        let (status, available_quantity) = match stock.get(item.sku.as_str()) {
            None => (UNKNOWN_SKU, 0),
            Some(&level) if level < asked(&item.sku) => (OUT_OF_STOCK, level),
            Some(_) => (AVAILABLE, 0),
        };
        ItemAvailability {
            sku: item.sku.clone(),
            status,
            available_quantity,
        }
    };
    CheckAvailabilityResponse {
        items: request.items.iter().map(item).collect(),
    }
}

const SKUS: [&str; 4] = ["A", "B", "C", "D"];

proptest! {
    /// Orders that share a call get the verdicts that they would get alone.
    #[test]
    fn a_shared_call_decides_each_order_like_a_call_of_its_own(
        levels in proptest::collection::vec(proptest::option::of(0..12_i64), 4),
        orders in proptest::collection::vec(proptest::collection::vec((0..4_usize, 1..8_i32), 1..5), 1..6),
    ) {
        let stock: HashMap<_, _> = SKUS.into_iter().zip(levels)
            .filter_map(|(sku, level)| Some((sku, level?)))
            .collect();
        let order = |order: &Vec<(usize, i32)>| {
            let named: Vec<_> = order.iter().map(|&(sku, pieces)| (SKUS[sku], pieces)).collect();
            lines(&named)
        };
        let orders: Vec<_> = orders.iter().map(order).collect();
        let ask = |orders: &[&OrderLines]| {
            let mut largest = Pieces::new();
            for (sku, pieces) in orders.iter().flat_map(|order| pieces_by_sku(order)) {
                let asked = largest.entry(sku.into()).or_insert(0);
                *asked = pieces.max(*asked);
            }
            let all = requests(&largest);
            prop_assert_eq!(all.len(), 1);
            Ok(reports(&all[0], &answer(&all[0], &stock)).unwrap())
        };

        let shared = ask(&orders.iter().collect::<Vec<_>>())?;

        for order in &orders {
            let own = ask(&[order])?;
            let alone = verdict(order, |sku| own.get(sku).copied());
            prop_assert!(alone.is_some());
            prop_assert_eq!(verdict(order, |sku| shared.get(sku).copied()), alone);
        }
    }
}
