//! Examples and properties of the stock arithmetic.

use proptest::prelude::*;

use super::*;

fn sku(text: &str) -> Sku {
    Sku::parse(text).unwrap()
}

fn demand(lines: &[(&str, i32)]) -> Demand {
    Demand::of(
        lines
            .iter()
            .map(|&(text, pieces)| (sku(text), Quantity::new(pieces).unwrap())),
    )
}

fn levels(available: &[(&str, i64)]) -> BTreeMap<Sku, StockLevel> {
    available
        .iter()
        .map(|&(text, pieces)| (sku(text), StockLevel::opening(pieces)))
        .collect()
}

fn decide(lines: &[(&str, i32)], available: &[(&str, i64)]) -> Result<(), Rejection> {
    let levels = levels(available);
    check(&demand(lines), |sku| levels.get(sku).copied())
}

#[test]
fn lines_of_one_sku_are_one_demand() {
    let summed = demand(&[("A", 6), ("B", 1), ("A", 6)]);

    let entries: Vec<_> = summed
        .iter()
        .map(|(sku, pieces)| (sku.as_str(), pieces))
        .collect();
    assert_eq!(entries, [("A", 12), ("B", 1)]);
}

#[test]
fn lines_that_fit_one_by_one_but_not_together_are_out_of_stock() {
    let decision = decide(&[("A", 6), ("A", 6)], &[("A", 11)]);

    assert_eq!(
        decision,
        Err(rejection(RejectionReason::OutOfStock, &sku("A")))
    );
}

#[test]
fn the_last_piece_can_be_reserved() {
    assert_eq!(decide(&[("A", 3), ("B", 1)], &[("A", 3), ("B", 1)]), Ok(()));
}

#[test]
fn an_unknown_sku_is_named_before_a_short_one() {
    let decision = decide(&[("A", 2), ("B", 1)], &[("A", 1)]);

    assert_eq!(
        decision,
        Err(rejection(RejectionReason::UnknownSku, &sku("B")))
    );
}

#[test]
fn a_sku_is_printable_and_short() {
    for text in ["", "Ä", "a\nb", &"x".repeat(65)] {
        assert!(Sku::parse(text).is_err(), "{text:?}");
    }
    assert!(Sku::parse(&"x".repeat(64)).is_ok());
}

#[test]
fn a_quantity_is_within_its_limits() {
    assert!(Quantity::new(0).is_err());
    assert!(Quantity::new(1).is_ok());
    assert!(Quantity::new(100_000).is_ok());
    assert!(Quantity::new(100_001).is_err());
}

fn any_move() -> impl Strategy<Value = StockMove> {
    prop_oneof![
        Just(StockMove::Reserve),
        Just(StockMove::Release),
        Just(StockMove::Ship)
    ]
}

proptest! {
    #[test]
    fn no_interleaving_of_moves_changes_the_total_or_goes_negative(
        opening in 0..1_000_i64,
        moves in prop::collection::vec((any_move(), 1..200_i64), 0..100),
    ) {
        let mut level = StockLevel::opening(opening);

        for (stock_move, pieces) in moves {
            level = level.after(StockLevel::change(stock_move, pieces)).unwrap_or(level);

            prop_assert_eq!(level.total(), opening);
            prop_assert!(level.available >= 0 && level.reserved >= 0 && level.shipped >= 0);
        }
    }

    #[test]
    fn a_demand_that_passes_the_check_can_be_reserved(
        lines in prop::collection::vec((0..4_usize, 1..20_i32), 1..10),
        available in prop::collection::vec(0..40_i64, 4),
    ) {
        let names = ["A", "B", "C", "D"];
        let lines: Vec<_> = lines.into_iter().map(|(index, pieces)| (names[index], pieces)).collect();
        let levels = levels(&names.into_iter().zip(available).collect::<Vec<_>>());
        let demand = demand(&lines);

        let passes = check(&demand, |sku| levels.get(sku).copied()).is_ok();

        let fits = demand.iter().all(|(sku, pieces)| {
            levels[sku].after(StockLevel::change(StockMove::Reserve, pieces)).is_some()
        });
        prop_assert_eq!(passes, fits);
    }
}
