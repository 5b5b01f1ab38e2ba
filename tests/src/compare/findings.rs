//! What was seen in a scenario, in sentences.
//!
//! Each sentence is chosen by comparing the measured figures, and repeats them as the table writes them: text and table cannot
//! disagree. Where hybrid is worse than another way is a sentence of its own, and so is where it is the best.

use super::cell::Cell;
use super::columns::{listed, memory, share, time};
use super::way::Way;

/// Shares below this are a handful of users: of these figures nothing is said.
const NOTABLE: f64 = 0.005;

/// A figure that two ways are compared by; less is better.
struct Measure {
    name: &'static str,
    of: fn(&Cell) -> Option<f64>,
    text: fn(&Cell) -> String,
    /// Values that differ by less than this are equal: the second run would say the opposite.
    tolerance: Tolerance,
}

/// A difference counts if it is more than `share` of the smaller value and more than `least`.
#[derive(Clone, Copy)]
struct Tolerance {
    share: f64,
    least: f64,
}

const OF_TIMES: Tolerance = Tolerance {
    share: 0.25,
    least: 5.0,
};
const OF_SHARES: Tolerance = Tolerance {
    share: 0.25,
    least: 0.01,
};
const OF_COSTS: Tolerance = Tolerance {
    share: 0.25,
    least: 0.0,
};

const ANSWER_P99: Measure = Measure {
    name: "answer p99",
    of: |cell| cell.confirm_p99,
    text: |cell| time(cell.confirm_p99),
    tolerance: OF_TIMES,
};

const MEASURES: [Measure; 8] = [
    Measure {
        name: "users who saw an error",
        of: |cell| Some(cell.error_share()),
        text: |cell| share(cell.error_share()),
        tolerance: OF_SHARES,
    },
    Measure {
        name: "users told yes whose order was not done",
        of: |cell| Some(cell.broken_share()),
        text: |cell| share(cell.broken_share()),
        tolerance: OF_SHARES,
    },
    Measure {
        name: "users who saw an error although their order was done",
        of: |cell| Some(cell.surprised_share()),
        text: |cell| share(cell.surprised_share()),
        tolerance: OF_SHARES,
    },
    Measure {
        name: "answer p50",
        of: |cell| cell.confirm_p50,
        text: |cell| time(cell.confirm_p50),
        tolerance: OF_TIMES,
    },
    ANSWER_P99,
    Measure {
        name: "outcome p50",
        of: |cell| cell.outcome_p50,
        text: |cell| time(cell.outcome_p50),
        tolerance: OF_TIMES,
    },
    Measure {
        name: "memory",
        of: |cell| Some(cell.memory),
        text: |cell| memory(cell.memory),
        tolerance: OF_COSTS,
    },
    Measure {
        name: "CPU per order",
        of: |cell| cell.cpu,
        text: |cell| time(cell.cpu),
        tolerance: OF_COSTS,
    },
];

impl Measure {
    /// Whether the first cell is clearly worse. A way without a value is not compared.
    fn is_worse(&self, cell: &Cell, than: &Cell) -> bool {
        let (Some(value), Some(other)) = ((self.of)(cell), (self.of)(than)) else {
            return false;
        };
        let difference = value - other;
        difference > self.tolerance.least && difference > other * self.tolerance.share
    }
}

/// The sentences about one scenario, from its cells, one per way.
pub(super) fn sentences(cells: &[&Cell]) -> Vec<String> {
    let mut sentences = vec![answers(cells)];
    let errors = Shares {
        of: Cell::error_share,
        begin: "Errors were seen by",
        otherwise: "No way showed an error to a notable share of its users.",
    };
    let broken = Shares {
        of: Cell::broken_share,
        begin: "Told yes, and not done:",
        otherwise: "Every yes was kept, but for a negligible share.",
    };
    sentences.extend([errors.sentence(cells), broken.sentence(cells)]);
    let surprised = Shares {
        of: Cell::surprised_share,
        begin: "Users who saw an error although their order was carried out, and may order again:",
        otherwise: "",
    };
    sentences.push(surprised.sentence(cells));
    sentences.push(losses(cells));
    sentences.extend(where_hybrid_is_worse(cells));
    sentences.extend(where_hybrid_is_best(cells));
    sentences.retain(|sentence| !sentence.is_empty());
    sentences
}

/// Who answered first and last, by the 99th percentile of definite answers. Ways that differ by less than the tolerance are named
/// together.
fn answers(cells: &[&Cell]) -> String {
    let measure = &ANSWER_P99;
    let timed = cells.iter().filter(|cell| cell.confirm_p99.is_some());
    let timed: Vec<&Cell> = timed.copied().collect();
    let is_among = |cell: &Cell, is_worse: fn(&Measure, &Cell, &Cell) -> bool| {
        !timed.iter().any(|other| is_worse(measure, cell, other))
    };
    let named = |is_worse: fn(&Measure, &Cell, &Cell) -> bool| {
        let group = timed.iter().filter(|cell| is_among(cell, is_worse));
        let group = group.map(|cell| format!("{} ({})", cell.way, (measure.text)(cell)));
        listed(&group.collect::<Vec<_>>())
    };
    let first = named(|measure, cell, other| measure.is_worse(cell, other));
    let last = named(|measure, cell, other| measure.is_worse(other, cell));
    match timed.is_empty() {
        true => String::new(),
        false if first == last => {
            format!("Definite answers came equally fast, 99 of 100 within: {first}.")
        }
        false => {
            format!("99 of 100 definite answers came soonest from {first}, and latest from {last}.")
        }
    }
}

/// A share of the users that is only told where it is notable.
struct Shares {
    of: fn(&Cell) -> f64,
    begin: &'static str,
    otherwise: &'static str,
}

impl Shares {
    fn sentence(&self, cells: &[&Cell]) -> String {
        let notable = cells.iter().filter(|cell| (self.of)(cell) >= NOTABLE);
        let notable: Vec<_> = notable
            .map(|cell| format!("{} with {}", share((self.of)(cell)), cell.way))
            .collect();
        match notable.is_empty() {
            true => self.otherwise.to_owned(),
            false => format!("{} {}.", self.begin, listed(&notable)),
        }
    }
}

/// What became of orders, and how many.
type NamedCount = (&'static str, fn(&Cell) -> u64);

/// Orders lost, doubled, or left between two steps.
fn losses(cells: &[&Cell]) -> String {
    let counts: [NamedCount; 3] = [
        ("lost", |cell| cell.lost),
        ("doubled", |cell| cell.doubled),
        ("left half done, with their stock reserved", |cell| {
            cell.half_done
        }),
    ];
    let mut found = Vec::new();
    for cell in cells {
        for (name, count) in counts {
            match count(cell) {
                0 => {}
                1 => found.push(format!("1 order of {} was {name}", cell.way)),
                more => found.push(format!("{more} orders of {} were {name}", cell.way)),
            }
        }
    }
    match found.is_empty() {
        true => "No order was lost, doubled or left half done.".to_owned(),
        false => format!("{}; no other was.", found.join("; ")),
    }
}

/// Each measure in which another way is clearly better than hybrid, with the best of those.
fn where_hybrid_is_worse(cells: &[&Cell]) -> Option<String> {
    let (hybrid, others) = hybrid_and_others(cells)?;
    let worse: Vec<_> = MEASURES
        .iter()
        .filter_map(|measure| {
            let better = others
                .iter()
                .filter(|other| measure.is_worse(hybrid, other));
            let value = |cell: &Cell| (measure.of)(cell).unwrap_or(f64::INFINITY);
            let best = better.min_by(|one, other| value(one).total_cmp(&value(other)))?;
            Some(format!(
                "{} ({} against {} of {})",
                measure.name,
                (measure.text)(hybrid),
                (measure.text)(best),
                best.way
            ))
        })
        .collect();
    Some(match worse.is_empty() {
        true => {
            "In nothing that was measured here is hybrid clearly worse than another way.".to_owned()
        }
        false => format!("Hybrid is worse in: {}.", listed(&worse)),
    })
}

/// Each measure in which hybrid is clearly better than every other way that has a value.
fn where_hybrid_is_best(cells: &[&Cell]) -> Option<String> {
    let (hybrid, others) = hybrid_and_others(cells)?;
    let best: Vec<_> = MEASURES
        .iter()
        .filter(|measure| others.iter().all(|other| measure.is_worse(other, hybrid)))
        .map(|measure| format!("{} ({})", measure.name, (measure.text)(hybrid)))
        .collect();
    (!best.is_empty()).then(|| format!("Hybrid is the best of all in: {}.", listed(&best)))
}

fn hybrid_and_others<'a>(cells: &[&'a Cell]) -> Option<(&'a Cell, Vec<&'a Cell>)> {
    let (hybrid, others): (Vec<_>, Vec<_>) = cells
        .iter()
        .copied()
        .partition(|cell| cell.way == Way::Hybrid);
    let hybrid = *hybrid.first()?;
    (!others.is_empty()).then_some((hybrid, others))
}

#[cfg(test)]
mod tests;
