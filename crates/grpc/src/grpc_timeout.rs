//! The header `grpc-timeout` ("gRPC over HTTP/2"): the remaining time of a call's deadline.

use std::time::Duration;

use http::HeaderValue;

pub const GRPC_TIMEOUT: &str = "grpc-timeout";

/// Maximum number of digits by the grammar of the header.
const MAX_DIGITS: usize = 8;

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected 1 to 8 digits and one of the units H, M, S, m, u, n")]
pub struct MalformedTimeout;

/// Parses one to eight digits and a unit.
pub fn parse_timeout(value: &HeaderValue) -> Result<Duration, MalformedTimeout> {
    let (unit, digits) = value.as_bytes().split_last().ok_or(MalformedTimeout)?;
    if digits.is_empty() || digits.len() > MAX_DIGITS || !digits.iter().all(u8::is_ascii_digit) {
        return Err(MalformedTimeout);
    }
    let amount = digits
        .iter()
        .fold(0, |amount, digit| amount * 10 + u64::from(digit - b'0'));
    match unit {
        b'H' => Ok(Duration::from_secs(amount * 3_600)),
        b'M' => Ok(Duration::from_secs(amount * 60)),
        b'S' => Ok(Duration::from_secs(amount)),
        b'm' => Ok(Duration::from_millis(amount)),
        b'u' => Ok(Duration::from_micros(amount)),
        b'n' => Ok(Duration::from_nanos(amount)),
        _ => Err(MalformedTimeout),
    }
}

/// Formats in the finest unit that fits into eight digits, rounded down: the next server must not assume more time than
/// is left.
pub fn format_timeout(timeout: Duration) -> HeaderValue {
    let units: [(u128, char); 5] = [
        (timeout.as_nanos(), 'n'),
        (timeout.as_micros(), 'u'),
        (timeout.as_millis(), 'm'),
        (u128::from(timeout.as_secs()), 'S'),
        (u128::from(timeout.as_secs() / 60), 'M'),
    ];
    let largest = 10_u128.pow(8) - 1;
    let fitting = units.into_iter().find(|(amount, _)| *amount <= largest);
    // The maximum, 190 years, stands for every longer timeout.
    let (amount, unit) = fitting.unwrap_or((largest, 'M'));
    HeaderValue::try_from(format!("{amount}{unit}"))
        .unwrap_or_else(|_| HeaderValue::from_static("0n"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(text: &str) -> Result<Duration, MalformedTimeout> {
        parse_timeout(&HeaderValue::from_str(text).unwrap())
    }

    #[test]
    fn every_unit_of_the_grammar_is_accepted() {
        assert_eq!(parse("2H"), Ok(Duration::from_secs(7_200)));
        assert_eq!(parse("3M"), Ok(Duration::from_secs(180)));
        assert_eq!(parse("5S"), Ok(Duration::from_secs(5)));
        assert_eq!(parse("82m"), Ok(Duration::from_millis(82)));
        assert_eq!(parse("99999999u"), Ok(Duration::from_micros(99_999_999)));
        assert_eq!(parse("0n"), Ok(Duration::ZERO));
    }

    #[test]
    fn a_malformed_timeout_is_rejected() {
        for text in [
            "",
            "S",
            "1",
            "1s",
            "-1S",
            "+1S",
            "1.5S",
            " 1S",
            "123456789S",
            "1SS",
            "x",
        ] {
            assert_eq!(parse(text), Err(MalformedTimeout), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn a_formatted_timeout_parses_to_the_same_time_or_less(nanos in 0..5_000_000_000_000_000_000_u64) {
            let timeout = Duration::from_nanos(nanos);

            let read = parse_timeout(&format_timeout(timeout)).unwrap();

            prop_assert!(read <= timeout);
            // Digits after the eighth are lost: at most one part in a hundred thousand.
            prop_assert!(timeout - read <= timeout / 100_000);
        }

        #[test]
        fn no_header_value_panics_the_parser(bytes: Vec<u8>) {
            if let Ok(value) = HeaderValue::from_bytes(&bytes) {
                let _ = parse_timeout(&value);
            }
        }
    }
}
