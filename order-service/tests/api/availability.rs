//! The availability check: the effect of each response, and of none.

use std::time::{Duration, Instant};

use proto::orders::v1::Availability;
use tonic::Code;
use tonic_types::StatusExt;

use super::bare::{self, reason, with_timeout};
use super::service::{Service, eventually, request};
use super::stock::{Says, Stock};

/// A busy machine answers later than the default allows, and these tests are not about time.
const PATIENT: (&str, &str) = ("AVAILABILITY_TIMEOUT", "1s");

/// A busy machine may delay one try, but not all; a check that takes the commit's time delays all.
const TRIES: usize = 10;

async fn service_asking(stock: &Stock, settings: &[(&str, &str)]) -> Service {
    let url = stock.url();
    let mut all = vec![("PROCESSING_ADDRESS", url.as_str())];
    all.extend(settings);
    Service::start_with(&all).await
}

#[tokio::test]
async fn an_available_order_is_confirmed_and_stays_confirmed() {
    let stock = Stock::that_says(Says::Available).await;
    let mut service = service_asking(&stock, &[PATIENT]).await;
    let request = request("17850");

    let placed = service.place(request.clone()).await.unwrap();
    stock.say(Says::Nothing);
    let repeated = service.place(request).await.unwrap();

    assert_eq!(placed.availability(), Availability::Confirmed);
    assert_eq!(repeated, placed);
}

#[tokio::test]
async fn an_unavailable_order_is_refused_line_by_line() {
    let stock = Stock::that_says(Says::OnePieceLeft).await;
    let mut service = service_asking(&stock, &[PATIENT]).await;

    for (says, kind) in [
        (Says::OnePieceLeft, "OUT_OF_STOCK"),
        (Says::UnknownSku, "UNKNOWN_SKU"),
    ] {
        stock.say(says);
        let status = service.place(request("17850")).await.unwrap_err();

        assert_eq!(status.code(), Code::FailedPrecondition);
        assert_eq!(reason(&status), "ITEMS_UNAVAILABLE");
        let details = status.get_error_details();
        let violation = &details.precondition_failure().unwrap().violations[0];
        assert_eq!(
            (&*violation.r#type, &*violation.subject),
            (kind, "lines[0].sku")
        );
    }
}

#[tokio::test]
async fn a_repeated_request_gets_its_order_although_that_took_the_last_piece() {
    let stock = Stock::that_says(Says::Available).await;
    let mut service = service_asking(&stock, &[PATIENT]).await;
    let request = request("17850");
    let placed = service.place(request.clone()).await.unwrap();

    stock.say(Says::OnePieceLeft);
    let repeated = service.place(request.clone()).await.unwrap();
    let mut other_body = request;
    other_body.lines[0].quantity = 7;
    let reused = service.place(other_body).await.unwrap_err();

    assert_eq!(repeated, placed);
    assert_eq!(reason(&reused), "REQUEST_ID_REUSED");
}

#[tokio::test]
async fn an_order_without_a_response_is_accepted_unverified_within_the_budget() {
    let stock = Stock::that_says(Says::Nothing).await;
    let mut service = service_asking(&stock, &[("AVAILABILITY_TIMEOUT", "100ms")]).await;
    let begun = Instant::now();

    let placed = service.place(request("17850")).await.unwrap();

    assert_eq!(placed.availability(), Availability::Unverified);
    let took = begun.elapsed();
    assert!(took >= Duration::from_millis(100), "it was asked: {took:?}");
    assert!(took < Duration::from_secs(2), "{took:?}");
}

#[tokio::test]
async fn an_order_is_accepted_unverified_when_processing_is_down() {
    let mut service = Service::start_with(&[("PROCESSING_ADDRESS", "http://127.0.0.1:1")]).await;

    let placed = service.place(request("17850")).await.unwrap();

    assert_eq!(placed.availability(), Availability::Unverified);
}

#[tokio::test]
async fn the_check_leaves_the_commit_its_time() {
    let stock = Stock::that_says(Says::Nothing).await;
    let service = service_asking(&stock, &[("AVAILABILITY_TIMEOUT", "1500ms")]).await;
    let mut client = bare::client(service.address);

    let mut tries = 0;
    let placed = loop {
        tries += 1;
        let place = client.place_order(with_timeout(request("17850"), "1000m"));
        match place.await {
            Ok(placed) => break placed.into_inner().order.unwrap(),
            Err(late) => assert_eq!(late.code(), Code::DeadlineExceeded),
        }
        assert!(tries < TRIES, "no try left the commit its time");
    };

    assert_eq!(placed.availability(), Availability::Unverified);
    assert_eq!(stock.asked(), tries);
}

/// No limit of the client's own is shorter than the setting.
#[tokio::test]
async fn a_response_is_waited_for_as_long_as_the_timeout_is_set() {
    let stock = Stock::that_says(Says::Later).await;
    let mut service = service_asking(&stock, &[("AVAILABILITY_TIMEOUT", "5s")]).await;

    let answer = async {
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        stock.say(Says::Available);
    };
    let (placed, ()) = tokio::join!(service.place(request("17850")), answer);

    assert_eq!(placed.unwrap().availability(), Availability::Confirmed);
}

#[tokio::test]
async fn a_short_deadline_skips_the_check_so_that_it_cannot_open_the_breaker() {
    let stock = Stock::that_says(Says::Nothing).await;
    let service = service_asking(&stock, &[("AVAILABILITY_TIMEOUT", "3s")]).await;
    let mut client = bare::client(service.address);

    let place = client.place_order(with_timeout(request("17850"), "1000m"));
    let placed = place.await.unwrap().into_inner().order.unwrap();

    assert_eq!(placed.availability(), Availability::Unverified);
    assert_eq!(stock.asked(), 0);
}

#[tokio::test]
async fn with_the_required_policy_an_order_without_a_response_is_refused_and_retryable() {
    let stock = Stock::that_says(Says::Nothing).await;
    let settings = [("AVAILABILITY_CHECK", "required"), PATIENT];
    let mut service = service_asking(&stock, &settings).await;
    let request = request("17850");

    let status = service.place(request.clone()).await.unwrap_err();
    stock.say(Says::Available);
    let placed = service.place(request).await.unwrap();

    assert_eq!(status.code(), Code::Unavailable);
    assert_eq!(reason(&status), "AVAILABILITY_UNKNOWN");
    assert!(status.get_error_details().retry_info().is_some());
    assert_eq!(placed.availability(), Availability::Confirmed);
}

#[tokio::test]
async fn with_the_check_off_there_is_no_call() {
    let stock = Stock::that_says(Says::UnknownSku).await;
    let mut service = service_asking(&stock, &[("AVAILABILITY_CHECK", "off")]).await;

    let placed = service.place(request("17850")).await.unwrap();

    assert_eq!(placed.availability(), Availability::NotChecked);
    assert_eq!(stock.asked(), 0);
}

#[tokio::test]
async fn after_enough_timeouts_the_breaker_skips_the_check_and_later_probes_again() {
    let stock = Stock::that_says(Says::Nothing).await;
    let service = service_asking(&stock, &[]).await;

    // The breaker is open: an order is placed without a check.
    eventually(async || {
        let asked = stock.asked();
        let mut client = service.client.clone();
        let placed = client.place_order(request("17850")).await.unwrap();
        let order = placed.into_inner().order.unwrap();
        assert_eq!(order.availability(), Availability::Unverified);
        stock.asked() == asked
    })
    .await;
    stock.say(Says::Available);

    eventually(async || {
        let mut client = service.client.clone();
        let placed = client.place_order(request("17850")).await.unwrap();
        placed.into_inner().order.unwrap().availability() == Availability::Confirmed
    })
    .await;
}
