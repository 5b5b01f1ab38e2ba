//! The pages are code: what they name exists, and the configuration table is the one in the code.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test may fail by panicking"
)]

use std::fs;
use std::path::{Path, PathBuf};

use chassis::config::SettingDoc;

const PAGES: [&str; 12] = [
    "README.md",
    "ARCHITECTURE.md",
    "deploy/README.md",
    "docs/adr/011-deadlines-and-shared-statements.md",
    "docs/adr/012-availability-is-a-look.md",
    "docs/adr/013-tokens-end-at-order-service.md",
    "docs/configuration.md",
    "docs/faults.md",
    "docs/migrations.md",
    "docs/runbooks/dead-letters.md",
    "docs/runbooks/overload.md",
    "docs/security.md",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .to_owned()
}

fn read(page: &str) -> String {
    fs::read_to_string(root().join(page)).unwrap_or_else(|error| panic!("{page}: {error}"))
}

/// Text and target of every link to a file of the repository.
fn links(text: &str) -> Vec<(String, String)> {
    let mut links = Vec::new();
    let mut rest = text;
    while let Some(middle) = rest.find("](") {
        let label = rest[..middle]
            .rfind('[')
            .map_or("", |start| &rest[start + 1..middle]);
        let after = &rest[middle + 2..];
        let end = after.find(')').expect("a link is closed");
        let target = &after[..end];
        if !target.contains("://") && !target.starts_with('#') {
            links.push((label.trim_matches('`').to_owned(), target.to_owned()));
        }
        rest = &after[end..];
    }
    links
}

#[test]
fn every_link_leads_to_a_file_and_every_test_it_names_is_in_it() {
    let mut missing = Vec::new();
    for page in PAGES {
        let folder = root().join(page).parent().unwrap().to_owned();
        for (label, target) in links(&read(page)) {
            let path = folder.join(target.split('#').next().unwrap());
            if !path.exists() {
                missing.push(format!("{page}: {target}"));
            } else if names_a_test(&label, &path)
                && !fs::read_to_string(&path)
                    .unwrap()
                    .contains(&format!("fn {label}("))
            {
                missing.push(format!("{page}: {label} in {target}"));
            }
        }
    }
    assert!(missing.is_empty(), "{missing:#?}");
}

/// A label such as `a_retried_request_returns_the_same_order` that stands for something in a Rust file.
fn names_a_test(label: &str, path: &Path) -> bool {
    let is_name = label.contains('_') && label.chars().all(|c| c.is_ascii_lowercase() || c == '_');
    is_name && path.extension().is_some_and(|extension| extension == "rs")
}

/// The numbers of the list of faults that the pair was built against; F19 is our own.
#[test]
fn every_fault_has_a_row_that_names_a_test() {
    let page = read("docs/faults.md");
    for number in 1..=19 {
        let row = page
            .lines()
            .find(|line| line.starts_with(&format!("| F{number} |")))
            .unwrap_or_else(|| panic!("F{number} has no row"));
        let tests = links(row)
            .into_iter()
            .filter(|(label, target)| names_a_test(label, Path::new(target)));
        assert!(tests.count() > 0, "F{number} names no test");
    }
}

#[test]
fn the_configuration_page_is_the_one_in_the_code() {
    let expected = configuration_page();

    if std::env::var_os("UPDATE_PAGES").is_some() {
        fs::write(root().join("docs/configuration.md"), &expected).unwrap();
    }
    assert_eq!(
        read("docs/configuration.md"),
        expected,
        "run UPDATE_PAGES=1 cargo test -p tests --test pages"
    );
}

fn configuration_page() -> String {
    let orders = table(&order_service::config::Config::documentation());
    let processing = table(&processing_service::config::Config::documentation());
    format!(
        "# Configuration\n\n\
         All settings are environment variables; an empty one counts as unset. A service that finds mistakes names \
         all of them and exits with 78.\n\n\
         This page is made from the code that reads the settings: \
         `UPDATE_PAGES=1 cargo test -p tests --test pages`.\n\n\
         ## order-service\n\n{orders}\n## processing-service\n\n{processing}"
    )
}

fn table(settings: &[SettingDoc]) -> String {
    let rows = settings.iter().map(|setting| {
        let default = match setting.default {
            "" => "unset".to_owned(),
            default => format!("`{default}`"),
        };
        format!("| `{}` | {default} | {} |\n", setting.name, setting.help)
    });
    let head = "| variable | default | meaning |\n|---|---|---|\n".to_owned();
    std::iter::once(head).chain(rows).collect()
}

/// The chassis tests its relay and its leases on a schema of its own, and each service brings the same tables.
#[test]
fn the_tables_of_the_chassis_are_the_same_in_every_schema() {
    let tables = |schema: &str| {
        let text = read(schema);
        let from = text.find("CREATE TABLE outbox (").expect("an outbox");
        let to = text
            .find("CREATE TABLE inbox (")
            .expect("an inbox behind it");
        let lines = text[from..to]
            .lines()
            .filter(|line| !line.starts_with("--"));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    let tested = tables("chassis/tests/migrations_postgres/0001_outbox_and_inbox.sql");
    for service in ["order-service", "processing-service"] {
        let used = tables(&format!("{service}/migrations/postgres/0001_initial.sql"));
        assert_eq!(used, tested, "{service}");
    }
}

/// The same for parking, which is a migration of its own: it is the same text wherever it is applied.
#[test]
fn the_tables_of_parking_are_the_same_in_every_schema() {
    for (engine, tested) in [
        ("postgres", "migrations_postgres"),
        ("sqlite", "migrations"),
    ] {
        let tested = read(&format!("chassis/tests/{tested}/0002_add_parking.sql"));
        for used in [
            format!("order-service/migrations/{engine}/0003_add_parking.sql"),
            format!("processing-service/migrations/{engine}/0002_add_parking.sql"),
        ] {
            assert_eq!(read(&used), tested, "{used}");
        }
    }
}
