//! The content of the shipped data files. `data/README.md` states the same figures.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use uuid::Uuid;

use super::*;

const BASKETS: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/data/online-retail-baskets.csv"
);

fn sample() -> OrderBook {
    OrderBook::open(Path::new(SAMPLE)).unwrap()
}

fn valid_by_quantity_and_price(book: &OrderBook) -> usize {
    let valid = book.invoices.iter().filter(|invoice| {
        let mut lines = invoice.lines.iter();
        lines.all(|line| line.quantity > 0 && line.unit_price.is_positive())
    });
    valid.count()
}

#[test]
fn the_sample_has_the_published_numbers() {
    let book = sample();

    assert_eq!(book.len(), 2_093);
    assert_eq!(valid_by_quantity_and_price(&book), 1_432);
    let lines = book.invoices.iter().map(|invoice| invoice.lines.len());
    assert_eq!(lines.sum::<usize>(), 4_792);
}

#[test]
fn each_order_of_the_sample_is_valid_or_refused_for_a_known_reason() {
    let book = sample();
    let mut verdicts: BTreeMap<&str, usize> = BTreeMap::new();

    for n in 0..book.len() {
        let verdict = match book.order(n, Uuid::nil()).request {
            Err(refusal) => refusal.violations[0].reason,
            Ok(request) if has_quantity_below_one(&request) => "quantity below one",
            Ok(request) if has_zero_price(&request) => "zero price",
            Ok(_) => "acceptable",
        };
        *verdicts.entry(verdict).or_default() += 1;
    }

    assert_eq!(
        verdicts.into_iter().collect::<Vec<_>>(),
        [
            ("PRICE_INEXACT", 1),
            ("acceptable", 1_431),
            ("quantity below one", 506),
            ("zero price", 155),
        ]
    );
}

fn has_quantity_below_one(request: &PlaceOrderRequest) -> bool {
    request.lines.iter().any(|line| line.quantity < 1)
}

fn has_zero_price(request: &PlaceOrderRequest) -> bool {
    let mut prices = request.lines.iter().flat_map(|line| &line.unit_price);
    prices.any(|price| price.minor_units == 0)
}

#[test]
fn bulk_and_non_goods_codes_cannot_be_fulfilled() {
    let book = sample();
    let catalogue = book.catalogue(book.len());

    let mut unknown = 0;
    let mut too_much = 0;
    for n in 0..book.len() {
        let Ok(request) = book.order(n, Uuid::nil()).request else {
            continue;
        };
        if has_quantity_below_one(&request) || has_zero_price(&request) {
            continue;
        }
        let stock = |sku| catalogue.entries.get(sku).map(|entry| entry.opening_stock);
        let mut lines = request.lines.iter();
        if lines.any(|line| stock(&line.sku).is_none()) {
            unknown += 1;
        } else if request
            .lines
            .iter()
            .any(|line| stock(&line.sku) < u64::try_from(line.quantity).ok())
        {
            too_much += 1;
        }
    }

    assert_eq!((unknown, too_much), (17, 5));
}

#[test]
fn the_basket_files_with_their_different_notation_are_read() {
    let book = OrderBook::open(Path::new(BASKETS)).unwrap();

    assert_eq!(book.len(), 66);
    assert_eq!(valid_by_quantity_and_price(&book), 61);
    let longest = book.invoices.iter().map(|invoice| invoice.lines.len());
    assert_eq!(longest.max(), Some(85));
    let customers = book.invoices.iter().map(|invoice| &invoice.customer_id);
    assert_eq!(customers.filter(|id| *id == "guest").count(), 1);
}

#[test]
fn beyond_its_end_the_book_is_repeated_with_new_request_ids() {
    let book = sample();
    let run = Uuid::new_v4();

    let orders = (0..2 * book.len()).map(|n| book.order(n, run));
    let ids: Vec<_> = orders
        .filter_map(|order| Some(order.request.ok()?.request_id))
        .collect();

    let distinct: HashSet<_> = ids.iter().collect();
    assert_eq!(ids.len(), 2 * (2_093 - 1));
    assert_eq!(distinct.len(), ids.len());
}

#[test]
fn a_file_without_orders_is_refused() {
    let header =
        "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n";

    let error = OrderBook::read(header.as_bytes()).unwrap_err();

    assert_eq!(error.to_string(), "the file has no invoices");
}

#[test]
fn a_missing_file_is_named() {
    let error = OrderBook::open(Path::new("no/such.csv")).unwrap_err();

    assert!(error.to_string().contains("no/such.csv"));
}
