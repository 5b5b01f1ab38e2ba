//! The question whether an order can be had, and what the answer means. Nothing here asks: it is what is sent, and what
//! is made of what comes back.
//!
//! The answer is another service's, and an order must not be refused for a wrong one: an answer counts only if it
//! speaks of every line that was asked about, and of nothing else, without contradicting itself.

use std::collections::HashMap;

use proto::inventory::v1::{
    CheckAvailabilityRequest, CheckAvailabilityResponse, Item, ItemAvailability, ItemStatus,
};
use thiserror::Error;

use crate::domain::{OrderLines, Shortage, UnavailableLine};

/// What an answer means for the order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Everything is in stock.
    Confirmed,
    /// These lines cannot be had: at least one, in the order's sequence.
    Refused(Vec<UnavailableLine>),
    /// Nothing is known: the answer is not one to this question.
    Unverified(UnusableAnswer),
}

/// Why an answer does not count. It is a defect of the service that gave it, or of one between.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum UnusableAnswer {
    /// It has more or fewer items than the question.
    #[error("the question has {asked} items, the answer has {answered}")]
    OtherNumber {
        /// Items of the question.
        asked: usize,
        /// Items of the answer.
        answered: usize,
    },
    /// An item is about another SKU than was asked for at its place.
    #[error("item {0} is about another SKU")]
    OtherSku(usize),
    /// An item has a status that this release does not know.
    #[error("item {0} has an unknown status")]
    UnknownStatus(usize),
    /// An item says of its SKU what another one denies, or is short of no piece.
    #[error("item {0} contradicts itself or another")]
    Contradiction(usize),
}

/// What is asked about an order: an item per line, in its sequence.
pub fn question(lines: &OrderLines) -> CheckAvailabilityRequest {
    let items = lines.as_slice().iter().map(|line| Item {
        sku: line.sku.as_str().to_owned(),
        quantity: line.quantity.get(),
    });
    CheckAvailabilityRequest {
        items: items.collect(),
    }
}

/// What the answer to [`question`] means.
pub fn verdict(lines: &OrderLines, answer: &CheckAvailabilityResponse) -> Verdict {
    match unavailable_lines(lines, answer) {
        Ok(lines) if lines.is_empty() => Verdict::Confirmed,
        Ok(lines) => Verdict::Refused(lines),
        Err(unusable) => Verdict::Unverified(unusable),
    }
}

fn unavailable_lines(
    lines: &OrderLines,
    answer: &CheckAvailabilityResponse,
) -> Result<Vec<UnavailableLine>, UnusableAnswer> {
    let (asked, answered) = (lines.as_slice().len(), answer.items.len());
    if asked != answered {
        return Err(UnusableAnswer::OtherNumber { asked, answered });
    }
    let pieces = pieces_by_sku(lines);
    let mut said = HashMap::with_capacity(pieces.len());
    let mut unavailable = Vec::new();
    for (line, (position, item)) in lines.as_slice().iter().zip(&answer.items).enumerate() {
        let sku = position.sku.as_str();
        if item.sku != sku {
            return Err(UnusableAnswer::OtherSku(line));
        }
        let shortage = shortage(line, item, pieces[sku])?;
        if *said.entry(sku).or_insert(shortage) != shortage {
            return Err(UnusableAnswer::Contradiction(line));
        }
        unavailable.extend(shortage.map(|shortage| UnavailableLine { line, shortage }));
    }
    Ok(unavailable)
}

/// Two lines of one SKU want their pieces together.
fn pieces_by_sku(lines: &OrderLines) -> HashMap<&str, i64> {
    let mut pieces = HashMap::with_capacity(lines.as_slice().len());
    for line in lines.as_slice() {
        *pieces.entry(line.sku.as_str()).or_insert(0) += i64::from(line.quantity.get());
    }
    pieces
}

/// What an item says is missing of the pieces that are asked for; `None` if nothing is.
fn shortage(
    line: usize,
    item: &ItemAvailability,
    asked: i64,
) -> Result<Option<Shortage>, UnusableAnswer> {
    let available = item.available_quantity;
    match ItemStatus::try_from(item.status) {
        Ok(ItemStatus::Available) => Ok(None),
        Ok(ItemStatus::UnknownSku) => Ok(Some(Shortage::UnknownSku)),
        Ok(ItemStatus::OutOfStock) if (0..asked).contains(&available) => {
            Ok(Some(Shortage::OutOfStock { available, asked }))
        }
        Ok(ItemStatus::OutOfStock) => Err(UnusableAnswer::Contradiction(line)),
        Ok(ItemStatus::Unspecified) | Err(_) => Err(UnusableAnswer::UnknownStatus(line)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Currency, Money, OrderLine, Quantity, Sku, UnitPrice};

    fn lines(lines: &[(&str, i32)]) -> OrderLines {
        let price = Money {
            currency: Currency::Gbp,
            minor_units: 255,
        };
        let line = |&(sku, pieces): &(&str, i32)| OrderLine {
            sku: Sku::parse(sku).unwrap(),
            quantity: Quantity::parse(pieces).unwrap(),
            unit_price: UnitPrice::parse(price).unwrap(),
        };
        OrderLines::new(lines.iter().map(line).collect()).unwrap()
    }

    /// SKU, status and available pieces.
    type Said = (&'static str, i32, i64);

    fn answer(items: &[Said]) -> CheckAvailabilityResponse {
        let item = |&(sku, status, available_quantity): &Said| ItemAvailability {
            sku: sku.to_owned(),
            status,
            available_quantity,
        };
        CheckAvailabilityResponse {
            items: items.iter().map(item).collect(),
        }
    }

    const AVAILABLE: i32 = ItemStatus::Available as i32;
    const OUT_OF_STOCK: i32 = ItemStatus::OutOfStock as i32;
    const UNKNOWN_SKU: i32 = ItemStatus::UnknownSku as i32;

    #[test]
    fn every_line_is_asked_about_in_its_place() {
        let asked = question(&lines(&[("A", 1), ("B", 2), ("A", 3)]));

        let items: Vec<_> = asked
            .items
            .iter()
            .map(|item| (item.sku.as_str(), item.quantity))
            .collect();
        assert_eq!(items, [("A", 1), ("B", 2), ("A", 3)]);
    }

    #[test]
    fn an_order_is_confirmed_when_every_line_can_be_had() {
        let lines = lines(&[("A", 1), ("B", 2), ("A", 3)]);

        let verdict = verdict(
            &lines,
            &answer(&[
                ("A", AVAILABLE, 0),
                ("B", AVAILABLE, 0),
                ("A", AVAILABLE, 0),
            ]),
        );

        assert_eq!(verdict, Verdict::Confirmed);
    }

    #[test]
    fn every_line_that_cannot_be_had_is_named_with_what_its_sku_is_short_of() {
        let lines = lines(&[("A", 2), ("B", 1), ("A", 3), ("Z", 1)]);

        let verdict = verdict(
            &lines,
            &answer(&[
                ("A", OUT_OF_STOCK, 4),
                ("B", AVAILABLE, 0),
                ("A", OUT_OF_STOCK, 4),
                ("Z", UNKNOWN_SKU, 0),
            ]),
        );

        let short = Shortage::OutOfStock {
            available: 4,
            asked: 5,
        };
        let expected = [(0, short), (2, short), (3, Shortage::UnknownSku)];
        let expected = expected.map(|(line, shortage)| UnavailableLine { line, shortage });
        assert_eq!(verdict, Verdict::Refused(expected.to_vec()));
    }

    #[test]
    fn an_answer_to_another_question_counts_for_nothing() {
        let lines = lines(&[("A", 2), ("A", 3)]);
        let ok = ("A", AVAILABLE, 0);
        let answers: [(&[Said], UnusableAnswer); 10] = [
            (
                &[],
                UnusableAnswer::OtherNumber {
                    asked: 2,
                    answered: 0,
                },
            ),
            (
                &[ok],
                UnusableAnswer::OtherNumber {
                    asked: 2,
                    answered: 1,
                },
            ),
            (
                &[ok, ok, ok],
                UnusableAnswer::OtherNumber {
                    asked: 2,
                    answered: 3,
                },
            ),
            (&[ok, ("B", AVAILABLE, 0)], UnusableAnswer::OtherSku(1)),
            (&[ok, ("A", 0, 0)], UnusableAnswer::UnknownStatus(1)),
            (&[ok, ("A", 4_711, 0)], UnusableAnswer::UnknownStatus(1)),
            // One SKU, two opinions.
            (
                &[ok, ("A", UNKNOWN_SKU, 0)],
                UnusableAnswer::Contradiction(1),
            ),
            (
                &[("A", OUT_OF_STOCK, 1), ("A", OUT_OF_STOCK, 2)],
                UnusableAnswer::Contradiction(1),
            ),
            // Out of stock, and yet enough; fewer than none.
            (
                &[("A", OUT_OF_STOCK, 5), ok],
                UnusableAnswer::Contradiction(0),
            ),
            (
                &[("A", OUT_OF_STOCK, -1), ok],
                UnusableAnswer::Contradiction(0),
            ),
        ];

        for (items, unusable) in answers {
            assert_eq!(
                verdict(&lines, &answer(items)),
                Verdict::Unverified(unusable),
                "{items:?}"
            );
        }
    }
}
