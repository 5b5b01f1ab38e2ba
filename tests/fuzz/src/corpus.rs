//! The corpus: real inputs as files in `corpus`, written by `UPDATE_CORPUS=1 cargo test -p fuzz`, and mutated here
//! without a fuzzer.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use kafka::headers;
use order_service::domain::{CustomerId, OrderId};
use order_service::rpc::PageToken;
use prost::Message;
use proto::event::{Event, OrderEvent, ProcessingEvent};
use proto::inventory::v1 as inventory;
use proto::orders::v1 as orders;
use proto::processing::v1 as processing;
use proto::record::{self, EventMeta};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use service::config::Configuration;
use uuid::Uuid;

use crate::{TARGETS, Target};

mod consumer;

/// Mutated copies of each corpus file: a second or two for all.
const DAMAGED_COPIES: usize = 10_000;

fn order_id() -> Uuid {
    Uuid::from_u128(0x018f_3c2e_0000_7000_8000_0000_0000_0001)
}

fn framed(first: &[u8], second: &[u8]) -> Vec<u8> {
    let length = u16::try_from(first.len()).unwrap();
    [&length.to_le_bytes(), first, second].concat()
}

fn money() -> orders::Money {
    orders::Money {
        currency_code: "EUR".to_owned(),
        minor_units: 1_250,
    }
}

fn lines() -> Vec<orders::OrderLine> {
    let line = |sku: &str, quantity| orders::OrderLine {
        sku: sku.to_owned(),
        quantity,
        unit_price: Some(money()),
    };
    vec![line("SKU-1", 1), line("SKU-2", 3)]
}

fn event<E: Event>(event: &E) -> Vec<u8> {
    let meta = EventMeta {
        id: Uuid::from_u128(7),
        order_id: order_id(),
        sequence: 1,
        time: SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_123),
    };
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".to_owned();
    let record = record::encode(&meta, event, &[("traceparent".to_owned(), trace)]);
    framed(&headers::encode(&record.headers), &record.payload)
}

fn events() -> Vec<Vec<u8>> {
    let order_id = order_id().to_string();
    let placed = orders::OrderPlaced {
        order_id: order_id.clone(),
        lines: lines(),
        total: Some(money()),
        payment_token: "tok_visa".to_owned(),
        ..orders::OrderPlaced::default()
    };
    let cancelled = orders::CancellationRequested {
        order_id: order_id.clone(),
    };
    let rejected = processing::OrderRejected {
        order_id: order_id.clone(),
        ..processing::OrderRejected::default()
    };
    let strange = [
        (b"x-\xff\xfe".to_vec(), Some(Vec::new())),
        (b"a\0b".to_vec(), None),
    ];
    vec![
        event(&OrderEvent::OrderPlaced(placed)),
        event(&OrderEvent::CancellationRequested(cancelled)),
        event(&ProcessingEvent::OrderRejected(rejected)),
        event(&ProcessingEvent::StockReserved(processing::StockReserved {
            order_id,
        })),
        framed(&headers::encode(&strange), b"no event"),
    ]
}

fn requests() -> Vec<Vec<u8>> {
    let place = orders::PlaceOrderRequest {
        request_id: Uuid::from_u128(9).to_string(),
        customer_id: "guest".to_owned(),
        lines: lines(),
        payment_token: "tok_visa".to_owned(),
    };
    let list = orders::ListOrdersRequest {
        customer_id: "guest".to_owned(),
        page_size: 10,
        ..orders::ListOrdersRequest::default()
    };
    let watch = orders::WatchOrderRequest {
        order_id: order_id().to_string(),
        after_version: 2,
    };
    let items = lines().into_iter().map(|line| inventory::Item {
        sku: line.sku,
        quantity: line.quantity,
    });
    let check = inventory::CheckAvailabilityRequest {
        items: items.collect(),
    };
    vec![
        place.encode_to_vec(),
        list.encode_to_vec(),
        watch.encode_to_vec(),
        check.encode_to_vec(),
    ]
}

fn answers() -> Vec<Vec<u8>> {
    use inventory::ItemStatus::{Available, OutOfStock, UnknownSku};
    let answer = |items: [(&str, inventory::ItemStatus, i64); 3]| {
        let items = items.map(
            |(sku, status, available_quantity)| inventory::ItemAvailability {
                sku: sku.to_owned(),
                status: status.into(),
                available_quantity,
            },
        );
        let items = items.to_vec();
        inventory::CheckAvailabilityResponse { items }.encode_to_vec()
    };
    let (first, second) = ("SKU-1", "SKU-2");
    let enough = [
        (first, Available, 0),
        (second, Available, 0),
        (first, Available, 0),
    ];
    let short = [
        (first, OutOfStock, 2),
        (second, UnknownSku, 0),
        (first, OutOfStock, 2),
    ];
    vec![answer(enough), answer(short)]
}

fn page_tokens() -> Vec<Vec<u8>> {
    let customer = CustomerId::parse("guest").unwrap();
    let token = PageToken::new(OrderId::new(order_id())).encode(&customer);
    vec![framed(b"guest", token.as_bytes())]
}

fn settings() -> Vec<Vec<u8>> {
    let documentation = [
        order_service::config::Config::documentation(),
        processing_service::config::Config::documentation(),
    ];
    let texts = documentation.map(|settings| {
        let lines = settings.iter();
        let lines = lines.map(|setting| format!("{}={}\n", setting.name, setting.default));
        lines.collect::<String>().into_bytes()
    });
    texts.to_vec()
}

fn stored_headers() -> Vec<Vec<u8>> {
    let headers = events().into_iter().map(|event| {
        let (headers, _) = crate::split(&event).unwrap();
        headers.to_vec()
    });
    headers.collect()
}

fn stored_orders() -> Vec<Vec<u8>> {
    let stored = orders::Order {
        lines: lines(),
        total: Some(money()),
        ..orders::Order::default()
    };
    let demanded = orders::OrderPlaced {
        order_id: order_id().to_string(),
        lines: lines(),
        ..orders::OrderPlaced::default()
    };
    vec![stored.encode_to_vec(), demanded.encode_to_vec()]
}

fn directory(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("corpus")
        .join(target)
}

fn files(target: &str) -> Vec<Vec<u8>> {
    let entries = std::fs::read_dir(directory(target)).unwrap();
    let files = entries.map(|entry| std::fs::read(entry.unwrap().path()).unwrap());
    files.collect()
}

#[test]
fn the_corpus_matches_the_current_output_of_the_services() {
    let seeds = [
        ("events", events()),
        ("requests", requests()),
        ("answers", answers()),
        ("page_tokens", page_tokens()),
        ("settings", settings()),
        ("stored_headers", stored_headers()),
        ("stored_orders", stored_orders()),
    ];
    let update = std::env::var_os("UPDATE_CORPUS").is_some();
    for (target, inputs) in seeds {
        for (number, input) in inputs.into_iter().enumerate() {
            let file = directory(target).join(format!("real-{number}"));
            if update {
                std::fs::create_dir_all(directory(target)).unwrap();
                std::fs::write(&file, &input).unwrap();
            }
            let is_same = std::fs::read(&file).is_ok_and(|found| found == input);
            assert!(is_same, "{} is old: UPDATE_CORPUS=1", file.display());
        }
    }
}

/// Applies a random mutation.
fn damage(bytes: &mut Vec<u8>, random: &mut StdRng) {
    if bytes.is_empty() {
        return bytes.push(random.random());
    }
    let at = random.random_range(0..bytes.len());
    match random.random_range(0..5) {
        0 => bytes[at] ^= 1 << random.random_range(0..8),
        1 => bytes[at] = *[0, 1, 0x7f, 0x80, 0xff].get(at % 5).unwrap(),
        2 => bytes.truncate(at),
        3 => {
            let end = random.random_range(at..bytes.len());
            let copy = bytes[at..end].to_vec();
            bytes.splice(at..at, copy);
        }
        _ => {
            bytes.remove(at);
        }
    }
}

fn assert_survives_damage(target: Target, file: &[u8], random: &mut StdRng) {
    target(file);
    for _ in 0..DAMAGED_COPIES {
        let mut copy = file.to_vec();
        for _ in 0..random.random_range(1..4) {
            damage(&mut copy, random);
        }
        target(&copy);
    }
}

#[test]
fn no_target_fails_on_mutated_input() {
    let mut random = StdRng::seed_from_u64(1);
    for (name, target) in TARGETS {
        let files = files(name);
        assert!(!files.is_empty(), "{name} has no corpus");
        for file in files {
            assert_survives_damage(target, &file, &mut random);
        }
    }
}
