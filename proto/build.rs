//! Compiles the `.proto` files with protox, so no installed `protoc` is needed.

use std::path::PathBuf;

const FILES: [&str; 5] = [
    "orders/v1/order_service.proto",
    "orders/v1/order_events.proto",
    "inventory/v1/inventory_service.proto",
    "processing/v1/processing_events.proto",
    "processing/v1/processing_service.proto",
];

fn main() -> anyhow::Result<()> {
    println!("cargo::rerun-if-changed=orders");
    println!("cargo::rerun-if-changed=inventory");
    println!("cargo::rerun-if-changed=processing");

    let descriptors = protox::compile(FILES, ["."])?;
    // Reflection serves the descriptors at run time, comments and all.
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    std::fs::write(
        out.join("descriptors.bin"),
        prost::Message::encode_to_vec(&descriptors),
    )?;

    tonic_prost_build::configure().compile_fds(descriptors)?;
    Ok(())
}
