//! The telemetry reference is generated: page and registry from the names in the code, log events from its log
//! statements.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test may fail by panicking"
)]

use std::fs;
use std::path::{Path, PathBuf};

mod events;
mod names;
mod page;
mod registry;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .to_owned()
}

fn compare(path: &str, expected: &str) {
    let file = root().join(path);
    if std::env::var_os("UPDATE_PAGES").is_some() {
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, expected).unwrap();
    }
    let found = fs::read_to_string(&file).unwrap_or_default();
    assert!(
        found == expected,
        "{path}: run UPDATE_PAGES=1 cargo test -p tests --test telemetry_pages"
    );
}

#[test]
fn the_telemetry_page_matches_the_code() {
    compare("docs/telemetry.md", &page::written());
}

#[test]
fn the_telemetry_registry_matches_the_code() {
    compare("docs/telemetry/registry.yaml", &registry::written());
}

#[test]
fn log_messages_are_constant_and_no_field_is_personal() {
    let mistakes: Vec<_> = events::all().into_iter().filter_map(Result::err).collect();

    assert!(mistakes.is_empty(), "{mistakes:#?}");
}
