//! Text in a page: escaping, and numbers that a reader takes in at a glance.

/// Text that HTML and SVG show as it is.
pub fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

/// A number with about three significant digits: `1234`, `56.7`, `8.9`, `0.012`.
pub fn number(value: f64) -> String {
    let size = value.abs();
    let decimals = match size {
        _ if size >= 100.0 || size == 0.0 => 0,
        _ if size >= 10.0 => 1,
        _ if size >= 0.1 => 2,
        _ => 3,
    };
    without_zeros(&format!("{value:.decimals$}"))
}

/// A decimal number without the zeros at its end.
pub(super) fn without_zeros(decimal: &str) -> String {
    match decimal.contains('.') {
        true => decimal
            .trim_end_matches('0')
            .trim_end_matches('.')
            .to_owned(),
        false => decimal.to_owned(),
    }
}
