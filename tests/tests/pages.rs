//! The documentation is checked against the code: names in it exist, and the configuration table matches the settings.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test may fail by panicking"
)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use grpc::server::errors::{EXPLAINED, UNEXPLAINED};
use grpc::status::CallRejection;
use proto::topics;
use service::config::{Configuration, FromSetting, SettingDoc};
use tests::client::failure::code_name;
use tonic::Code;

/// Pages outside of `docs`.
const PAGES: [&str; 4] = [
    "README.md",
    "ARCHITECTURE.md",
    "CONTRIBUTING.md",
    "deploy/README.md",
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

/// Every page: those above, and all of `docs`.
fn pages() -> Vec<String> {
    let mut pages: Vec<_> = PAGES.map(str::to_owned).into();
    for folder in ["docs", "docs/adr", "docs/guide", "docs/runbooks"] {
        for entry in fs::read_dir(root().join(folder)).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            if Path::new(&name)
                .extension()
                .is_some_and(|extension| extension == "md")
            {
                pages.push(format!("{folder}/{name}"));
            }
        }
    }
    pages
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
        let end = after.find(')').expect("a link has its closing parenthesis");
        let target = &after[..end];
        if !target.contains("://") && !target.starts_with('#') {
            links.push((label.trim_matches('`').to_owned(), target.to_owned()));
        }
        rest = &after[end..];
    }
    links
}

#[test]
fn every_link_leads_to_a_file_with_the_named_test() {
    let mut missing = Vec::new();
    for page in pages() {
        let folder = root().join(&page).parent().unwrap().to_owned();
        for (label, target) in links(&read(&page)) {
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

/// Whether the label is the name of a test, such as `a_retried_request_returns_the_same_order`, and the file is Rust.
fn names_a_test(label: &str, path: &Path) -> bool {
    let may_be_in_one = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    let is_name = label.contains('_') && label.chars().all(may_be_in_one);
    is_name && path.extension().is_some_and(|extension| extension == "rs")
}

/// F1 to F18 are the faults that the pair was designed for; the others were found later.
#[test]
fn every_fault_has_a_row_that_names_a_test() {
    let page = read("docs/faults.md");
    let rows = page.lines().filter(|line| line.starts_with("| F")).count();
    assert!(rows > 18, "{rows} rows");
    for number in 1..=rows {
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

/// A row has the input, the response, and the test that proves it.
#[test]
fn every_hostile_input_has_a_row_that_names_a_test() {
    let page = read("docs/hostile-input.md");
    let rows: Vec<_> = page.lines().filter(|line| is_row(line)).collect();

    assert!(rows.len() > 40, "{} rows", rows.len());
    for row in rows {
        let tests = links(row)
            .into_iter()
            .filter(|(label, target)| names_a_test(label, Path::new(target)));
        assert!(tests.count() > 0, "names no test: {row}");
    }
}

/// Whether a line is a row of a table, other than its head and the line below the head.
fn is_row(line: &str) -> bool {
    let heads = ["| input ", "| reason "];
    line.starts_with("| ") && !heads.iter().any(|head| line.starts_with(head))
}

/// Reason, code and RetryInfo, as written in docs/errors.md.
type Reason = (String, String, String);

#[test]
fn every_error_reason_has_a_row_and_every_row_an_error_reason() {
    let page = read("docs/errors.md");
    let sections = [
        ("## Of every service", any_services_reasons()),
        (
            "## Of order-service",
            reasons(&order_service::rpc::RpcError::REASONS),
        ),
        (
            "## Of processing-service",
            reasons(&processing_service::rpc::RpcError::REASONS),
        ),
    ];
    for (heading, expected) in sections {
        let (_, section) = page.split_once(heading).expect("the section");
        let section = section.split("\n## ").next().unwrap();
        let rows: Vec<Reason> = section
            .lines()
            .filter(|line| is_row(line))
            .map(reason_of)
            .collect();
        assert_eq!(rows, expected, "{heading}");
    }
}

fn reason_of(row: &str) -> Reason {
    let cells: Vec<&str> = row.split('|').map(str::trim).collect();
    let ["", reason, code, when, action, retry, ""] = cells[..] else {
        panic!("not of five cells: {row}");
    };
    assert!(!when.is_empty() && !action.is_empty(), "{row}");
    let reason = reason.trim_matches('`').to_owned();
    (reason, code.to_owned(), retry.to_owned())
}

fn any_services_reasons() -> Vec<Reason> {
    let refusals = CallRejection::ALL.map(|refusal| {
        let (reason, code, delay) =
            reason_as_written((refusal.reason(), refusal.code(), refusal.retry_delay()));
        match refusal {
            // The delay differs per call.
            CallRejection::RateLimited(_) => (
                reason,
                code,
                "until the next call is within the rate".to_owned(),
            ),
            _ => (reason, code, delay),
        }
    });
    let explained = EXPLAINED.map(|(code, reason, _)| reason_as_written((reason, code, None)));
    let (unexplained, _) = UNEXPLAINED;
    let unexplained = (unexplained.to_owned(), "any".to_owned(), "none".to_owned());
    refusals
        .into_iter()
        .chain(explained)
        .chain([unexplained])
        .collect()
}

fn reasons(listed: &[(&str, Code, Option<Duration>)]) -> Vec<Reason> {
    listed.iter().copied().map(reason_as_written).collect()
}

fn reason_as_written((reason, code, delay): (&str, Code, Option<Duration>)) -> Reason {
    let delay = match delay {
        None => "none".to_owned(),
        Some(delay) if delay.subsec_nanos() == 0 => format!("{} s", delay.as_secs()),
        Some(delay) => format!("{} ms", delay.as_millis()),
    };
    (reason.to_owned(), code_name(code).to_owned(), delay)
}

/// The tables that the migrations of both engines create, by the names of their statements.
fn tables(migrations: sql::migrations::Migrations) -> BTreeSet<String> {
    let mut tables = BTreeSet::new();
    for set in migrations {
        tables.insert(set.version_table());
        for migration in set.sqlite.iter().chain(set.postgres.iter()) {
            let created = migration.sql.as_str().split("CREATE TABLE ").skip(1);
            let names = created.filter_map(|rest| rest.split_whitespace().next());
            tables.extend(names.map(str::to_owned));
        }
    }
    tables
}

/// The tables of a migrated file, without SQLite's own.
async fn tables_of_a_file(migrations: sql::migrations::Migrations) -> BTreeSet<String> {
    let directory = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}/a.db", directory.path().display());
    let url = FromSetting::from_setting(&url).unwrap();
    let file = sql::sqlite::Sqlite::open(&url, migrations).await.unwrap();
    let query = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'";
    let names = sqlx::query_scalar(query).fetch_all(file.reader()).await;
    names.unwrap().into_iter().collect()
}

#[tokio::test]
async fn every_table_and_topic_has_a_retention_or_a_bound() {
    let page = read("docs/retention.md");
    let mut documented = BTreeSet::new();
    for row in page.lines().filter(|line| is_row(line)) {
        let names = row.split('|').nth(1).unwrap().split('`').skip(1).step_by(2);
        documented.extend(names.map(str::to_owned));
    }
    let mut expected: BTreeSet<String> = topics::ALL.map(str::to_owned).into();
    for migrations in [
        &[sql::owner::MIGRATIONS],
        order_service::store::MIGRATIONS,
        processing_service::store::MIGRATIONS,
    ] {
        let created = tables(migrations);
        let missed: Vec<_> = tables_of_a_file(migrations)
            .await
            .difference(&created)
            .cloned()
            .collect();
        assert!(missed.is_empty(), "not found in the migrations: {missed:?}");
        expected.extend(created);
    }

    assert_eq!(documented, expected);
}

/// A rule without a setting, or for a table that does not exist, would prune nothing.
#[test]
fn every_retention_of_the_page_is_a_setting_with_this_default() {
    let page = read("docs/retention.md");
    let orders = order_service::config::Config::documentation();
    let processing = processing_service::config::Config::documentation();
    let settings: Vec<_> = orders.iter().chain(&processing).collect();
    let mut checked = 0;
    for row in page
        .lines()
        .filter(|line| line.contains("_RETENTION`") && is_row(line))
    {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let [_, _, _, kept, default, ..] = cells[..] else {
            continue;
        };
        let names = kept.split('`').skip(1).step_by(2);
        for name in names.filter(|name| name.ends_with("_RETENTION")) {
            let setting = settings.iter().find(|setting| setting.name == name);
            assert_eq!(
                setting.map(|setting| setting.default),
                Some(default),
                "{row}"
            );
            checked += 1;
        }
    }
    assert_eq!(checked, 7);
}

#[test]
fn the_configuration_page_matches_the_code() {
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
         All settings are environment variables; an empty one counts as unset. A service reports all invalid \
         settings at once and exits with 78.\n\n\
         This page is generated from the code that reads the settings: \
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
