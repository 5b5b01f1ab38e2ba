//! The log events of the sources: what `tracing` is told at INFO and above.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::root;

/// Where services log.
const SOURCES: [&str; 3] = ["chassis/src", "order-service/src", "processing-service/src"];

const LEVELS: [&str; 3] = ["error", "warn", "info"];

/// Parts of names of what is nobody's business.
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

/// One event.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Event {
    pub(crate) message: String,
    pub(crate) level: &'static str,
    pub(crate) fields: Vec<String>,
}

/// Every event once, or what is wrong with it.
pub(crate) fn all() -> BTreeSet<Result<Event, String>> {
    let mut events = BTreeSet::new();
    for folder in SOURCES {
        scan(&root().join(folder), &mut events);
    }
    events
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

/// The arguments of a macro, from behind its parenthesis on.
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
        return Err(format!("not constant: {message}"));
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
fn a_message_that_is_put_together_and_a_field_about_a_person_are_found() {
    let of = |code| of_code(code).remove(0);

    assert!(of(r#"tracing::info!(order_id, "order {order_id}");"#).is_err());
    assert!(of(r#"tracing::warn!(%customer_id, "refused");"#).is_err());
    let good = of(r#"tracing::warn!(error = %text(&a, "b"), ?rows, "too (much), waits");"#);
    let good = good.unwrap();
    assert_eq!(good.message, "too (much), waits");
    assert_eq!(good.fields, ["error", "rows"]);
}
