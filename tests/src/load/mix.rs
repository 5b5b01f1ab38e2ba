//! The mix of operations: how often each is called, such as `place=90,get=5,list=2,watch=2,cancel=1`.

use std::fmt;
use std::str::FromStr;

use anyhow::{Context as _, Error, Result, ensure};

/// A method of order-service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Operation {
    Place,
    Get,
    List,
    /// Until the first event of the history.
    Watch,
    Cancel,
}

/// Operations with their weights; at least one has a weight above zero.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mix {
    weights: Vec<(Operation, u32)>,
}

impl Operation {
    pub(super) const ALL: [Self; 5] = [
        Self::Place,
        Self::Get,
        Self::List,
        Self::Watch,
        Self::Cancel,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Place => "place",
            Self::Get => "get",
            Self::List => "list",
            Self::Watch => "watch",
            Self::Cancel => "cancel",
        }
    }

    fn named(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|operation| operation.name() == name)
    }
}

impl Mix {
    /// A random operation, each in proportion to its weight.
    pub(super) fn draw(&self) -> Operation {
        let total: u32 = self.weights.iter().map(|(_, weight)| weight).sum();
        let mut rest = rand::random_range(0..total);
        for (operation, weight) in &self.weights {
            if rest < *weight {
                return *operation;
            }
            rest -= weight;
        }
        Operation::Place
    }
}

impl FromStr for Mix {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let mut weights: Vec<(Operation, u32)> = Vec::new();
        for part in text.split(',') {
            let expected = || {
                format!(
                    "{part:?} is no part of a mix; expected such as place=90, with place, get, list, watch or cancel"
                )
            };
            let (name, weight) = part.split_once('=').with_context(expected)?;
            let operation = Operation::named(name.trim()).with_context(expected)?;
            let weight: u16 = weight.trim().parse().ok().with_context(expected)?;
            let is_new = weights.iter().all(|(known, _)| *known != operation);
            ensure!(is_new, "{operation} is in the mix twice");
            weights.push((operation, weight.into()));
        }
        let places = weights
            .iter()
            .any(|(operation, weight)| *operation == Operation::Place && *weight > 0);
        ensure!(
            places,
            "a mix needs place: the other operations are on orders that the run has placed"
        );
        Ok(Self { weights })
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.name())
    }
}

impl fmt::Display for Mix {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = self.weights.iter();
        let parts: Vec<_> = parts
            .map(|(operation, weight)| format!("{operation}={weight}"))
            .collect();
        formatter.pad(&parts.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_are_drawn_in_proportion_to_their_weights() {
        let mix: Mix = "place=90,get=10,list=0".parse().unwrap();

        let drawn: Vec<_> = (0..10_000).map(|_| mix.draw()).collect();

        let count = |wanted| {
            drawn
                .iter()
                .filter(|operation| **operation == wanted)
                .count()
        };
        // The standard deviation is 30.
        assert!(
            (8_800..9_200).contains(&count(Operation::Place)),
            "{}",
            count(Operation::Place)
        );
        assert_eq!(count(Operation::List), 0);
        assert_eq!(mix.to_string(), "place=90,get=10,list=0");
    }

    #[test]
    fn a_wrong_mix_is_explained() {
        for (wrong, explanation) in [
            ("", "is no part of a mix"),
            ("place", "is no part of a mix"),
            ("place=90,put=10", "\"put=10\" is no part"),
            ("place=-1", "\"place=-1\" is no part"),
            ("place=1,place=2", "place is in the mix twice"),
            ("get=1", "a mix needs place"),
            ("place=0,get=1", "a mix needs place"),
        ] {
            let error = wrong.parse::<Mix>().unwrap_err().to_string();

            assert!(error.contains(explanation), "{wrong}: {error}");
        }
    }
}
