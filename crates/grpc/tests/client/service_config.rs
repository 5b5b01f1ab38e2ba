//! The service config that is shipped with the contract.

use grpc::client::ServiceConfig;

#[test]
fn the_shipped_service_config_is_understood() {
    let shipped = include_str!("../../../../proto/orders/v1/service_config.json");

    let parsed = ServiceConfig::parse(shipped);

    assert!(parsed.is_ok(), "{parsed:?}");
}
