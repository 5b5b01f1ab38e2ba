//! The service config that is published with the contract.

use grpc::client::ServiceConfig;

#[test]
fn the_published_service_config_is_valid() {
    let shipped = include_str!("../../../../../proto/orders/v1/service_config.json");

    let parsed = ServiceConfig::parse(shipped);

    assert!(parsed.is_ok(), "{parsed:?}");
}
