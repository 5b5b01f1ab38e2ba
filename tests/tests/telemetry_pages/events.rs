//! The log events in the sources: every call of a `tracing` macro at INFO and above.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::root;

const SERVICES: [&str; 2] = ["order-service", "processing-service"];

const LEVELS: [&str; 3] = ["error", "warn", "info"];

/// Parts of field names that suggest personal or payment data.
const PERSONAL: [&str; 10] = [
    "customer",
    "email",
    "address_line",
    "street",
    "phone",
    "token",
    "card",
    "password",
    "secret",
    "payment_",
];

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Event {
    pub(crate) message: String,
    pub(crate) level: &'static str,
    pub(crate) fields: Vec<String>,
}

/// Every event once, or the mistake in it.
pub(crate) fn all() -> BTreeSet<Result<Event, String>> {
    let mut events = BTreeSet::new();
    for folder in sources() {
        scan(&folder, &mut events);
    }
    events
}

/// The sources of all crates and of both services.
fn sources() -> Vec<PathBuf> {
    let crates = fs::read_dir(root().join("crates")).unwrap();
    let crates = crates.map(|entry| entry.unwrap().path());
    let services = SERVICES.map(|service| root().join(service));
    let sources = crates.chain(services).map(|folder| folder.join("src"));
    sources.filter(|folder| folder.is_dir()).collect()
}

fn scan(folder: &Path, events: &mut BTreeSet<Result<Event, String>>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        if name == "tests" || name == "simulation" {
            continue;
        }
        if path.is_dir() {
            scan(&path, events);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
            events.extend(of_code(code));
        }
    }
}

fn of_code(code: &str) -> Vec<Result<Event, String>> {
    let mut events = Vec::new();
    for level in LEVELS {
        let start = format!("tracing::{level}!(");
        let statements = code.split(&start).skip(1);
        events.extend(statements.map(|rest| event(level, &arguments(rest))));
    }
    events
}

/// The arguments of a macro; `rest` begins after the opening parenthesis.
fn arguments(rest: &str) -> Vec<String> {
    let (mut arguments, mut argument) = (Vec::new(), String::new());
    let (mut depth, mut is_text, mut is_escaped) = (0_u32, false, false);
    for c in rest.chars() {
        let is_quote = c == '"' && !is_escaped;
        is_escaped = c == '\\' && !is_escaped;
        is_text ^= is_quote;
        match c {
            ')' if !is_text && depth == 0 => break,
            ',' if !is_text && depth == 0 => arguments.push(std::mem::take(&mut argument)),
            '(' | '[' | '{' if !is_text => depth += 1,
            ')' | ']' | '}' if !is_text => depth -= 1,
            _ => {}
        }
        if !(c == ',' && !is_text && depth == 0) {
            argument.push(c);
        }
    }
    arguments.push(argument);
    let arguments = arguments.iter().map(|argument| argument.trim().to_owned());
    arguments.filter(|argument| !argument.is_empty()).collect()
}

fn event(level: &'static str, arguments: &[String]) -> Result<Event, String> {
    let (message, fields) = arguments.split_last().ok_or("an event without a message")?;
    let text = message.strip_prefix('"').and_then(|m| m.strip_suffix('"'));
    let Some(text) = text.filter(|text| !text.contains('{')) else {
        return Err(format!("message is not constant: {message}"));
    };
    let fields: Vec<_> = fields.iter().map(|field| field_name(field)).collect();
    let personal = fields
        .iter()
        .find(|field| PERSONAL.iter().any(|part| field.contains(part)));
    match personal {
        Some(field) => Err(format!("{text}: {field}")),
        None => Ok(Event {
            message: text.to_owned(),
            level,
            fields,
        }),
    }
}

/// `error` of `error = %error`, `%error` and `error.kind`.
fn field_name(field: &str) -> String {
    let name = field.split(" = ").next().unwrap();
    let name = name.trim_start_matches(['%', '?']);
    name.rsplit("self.").next().unwrap().to_owned()
}

#[test]
fn a_formatted_message_and_a_personal_field_are_mistakes() {
    let of = |code| of_code(code).remove(0);

    assert!(of(r#"tracing::info!(order_id, "order {order_id}");"#).is_err());
    assert!(of(r#"tracing::warn!(%customer_id, "refused");"#).is_err());
    let good = of(r#"tracing::warn!(error = %text(&a, "b"), ?rows, "too (much), waits");"#);
    let good = good.unwrap();
    assert_eq!(good.message, "too (much), waits");
    assert_eq!(good.fields, ["error", "rows"]);
}
