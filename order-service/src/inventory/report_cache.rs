//! Cache of stock reports: an order whose SKUs are all in it needs no call.
//!
//! A report is as old as the call that brought it, counted from the moment before the call was sent, and is not used when it
//! has reached the maximum age. Guarantee: at most [`MAX_SKUS`] reports are cached.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::shared_calls::Question;
use crate::availability::{self, MAX_PIECES, Pieces, Reports, StockReport, Verdict};
use crate::domain::OrderLines;

/// Maximum SKUs: those of 5,000 orders per second with 20 SKUs each within the default maximum age; some 2 MiB. Others are
/// asked for, and not cached.
const MAX_SKUS: usize = 10_000;

#[derive(Debug)]
pub(super) struct ReportCache {
    /// Zero: no report is used again.
    max_age: Duration,
    by_sku: Mutex<HashMap<Arc<str>, CachedReport>>,
}

#[derive(Clone, Copy, Debug)]
struct CachedReport {
    report: StockReport,
    asked_at: Instant,
}

impl ReportCache {
    pub(super) fn new(max_age: Duration) -> Self {
        Self {
            max_age,
            by_sku: Mutex::default(),
        }
    }

    /// The verdict on an order, if the reports about its SKUs are young enough and tell.
    pub(super) fn verdict(&self, lines: &OrderLines, now: Instant) -> Option<Verdict> {
        if self.max_age.is_zero() {
            return None;
        }
        let by_sku = self.lock();
        let report = |sku: &str| Some(self.if_fresh(by_sku.get(sku)?, now)?.report);
        availability::verdict(lines, report)
    }

    /// What is known about the SKUs of these questions, and the pieces to ask for of all others.
    ///
    /// It asks for at least as many pieces as the report before was about, so that the next report tells for the larger orders
    /// of a SKU, too.
    pub(super) fn known(&self, questions: &[Question], now: Instant) -> (Reports, Pieces) {
        let (mut known, mut unknown) = (Reports::new(), Pieces::new());
        let by_sku = self.lock();
        for (sku, pieces) in questions.iter().flat_map(Question::pieces) {
            let cached = by_sku.get(sku);
            let fresh = cached.and_then(|cached| self.if_fresh(cached, now));
            let telling = fresh.filter(|fresh| fresh.report.suffices_for(pieces).is_some());
            if let Some(telling) = telling {
                known.insert(Arc::clone(sku), telling.report);
            } else {
                let before = cached.map_or(0, CachedReport::pieces_asked);
                let asked = unknown.entry(Arc::clone(sku)).or_insert(before);
                *asked = pieces.max(*asked);
            }
        }
        (known, unknown)
    }

    /// Caches the reports of a call that was sent after this moment. A SKU that is not in the catalogue is not cached: clients
    /// could fill the cache with invented ones.
    pub(super) fn insert(&self, reports: &Reports, asked_at: Instant) {
        if self.max_age.is_zero() {
            return;
        }
        let mut by_sku = self.lock();
        if by_sku.len() + reports.len() > MAX_SKUS {
            by_sku.retain(|_, cached| self.if_fresh(cached, asked_at).is_some());
        }
        let known = reports
            .iter()
            .filter(|(_, report)| **report != StockReport::UnknownSku);
        for (sku, &report) in known {
            if by_sku.len() < MAX_SKUS || by_sku.contains_key(sku) {
                let cached = CachedReport { report, asked_at };
                by_sku.insert(Arc::clone(sku), cached);
            }
        }
    }

    fn if_fresh<'a>(&self, cached: &'a CachedReport, now: Instant) -> Option<&'a CachedReport> {
        let age = now.saturating_duration_since(cached.asked_at);
        (age < self.max_age).then_some(cached)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Arc<str>, CachedReport>> {
        // No code under the lock panics half way.
        self.by_sku.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl CachedReport {
    /// The pieces that this report was about, at most those of one item: few orders need more, and every further item would
    /// make the requests of all orders larger.
    fn pieces_asked(&self) -> i64 {
        match self.report {
            StockReport::AtLeast(pieces) => pieces.min(MAX_PIECES),
            StockReport::Exactly(_) | StockReport::UnknownSku => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use service::deadline::Deadline;

    use super::*;
    use crate::fixture;

    const MAX_AGE: Duration = Duration::from_millis(100);

    fn reports(reports: &[(&str, StockReport)]) -> Reports {
        let entries = reports.iter().map(|&(sku, report)| (sku.into(), report));
        entries.collect()
    }

    fn question(lines: &[(&str, i32)]) -> Question {
        Question::about(&fixture::lines(lines), Deadline::NEVER)
    }

    fn pieces(pieces: &[(&str, i64)]) -> Pieces {
        let entries = pieces.iter().map(|&(sku, pieces)| (sku.into(), pieces));
        entries.collect()
    }

    #[test]
    fn a_report_is_used_until_its_maximum_age_and_not_a_moment_longer() {
        let (cache, asked_at) = (ReportCache::new(MAX_AGE), Instant::now());
        let order = fixture::lines(&[("A", 2)]);
        cache.insert(&reports(&[("A", StockReport::AtLeast(2))]), asked_at);

        let almost = asked_at + MAX_AGE - Duration::from_nanos(1);
        assert_eq!(cache.verdict(&order, almost), Some(Verdict::Confirmed));
        assert_eq!(cache.verdict(&order, asked_at + MAX_AGE), None);
        let (known, unknown) = cache.known(&[question(&[("A", 2)])], asked_at + MAX_AGE);
        assert_eq!((known.len(), unknown), (0, pieces(&[("A", 2)])));
    }

    #[test]
    fn only_what_is_not_known_is_asked_for_and_the_largest_order_of_a_sku_counts() {
        let (cache, now) = (ReportCache::new(MAX_AGE), Instant::now());
        cache.insert(&reports(&[("A", StockReport::AtLeast(2))]), now);

        let orders = [
            question(&[("A", 1), ("B", 1)]),
            question(&[("B", 3), ("B", 4)]),
            question(&[("B", 2)]),
        ];
        let (known, unknown) = cache.known(&orders, now);

        assert_eq!(known, reports(&[("A", StockReport::AtLeast(2))]));
        assert_eq!(unknown, pieces(&[("B", 7)]));
    }

    #[test]
    fn a_sku_is_asked_for_again_with_the_pieces_of_its_largest_order() {
        let (cache, asked_at) = (ReportCache::new(MAX_AGE), Instant::now());
        let told = [
            ("A", StockReport::AtLeast(9)),
            ("B", StockReport::AtLeast(3 * MAX_PIECES)),
            ("C", StockReport::Exactly(7)),
        ];
        cache.insert(&reports(&told), asked_at);

        let order = question(&[("A", 2), ("B", 2), ("C", 2)]);
        let (_, unknown) = cache.known(&[order], asked_at + MAX_AGE);

        assert_eq!(unknown, pieces(&[("A", 9), ("B", MAX_PIECES), ("C", 2)]));
    }

    #[test]
    fn a_maximum_age_of_zero_caches_nothing() {
        let (cache, now) = (ReportCache::new(Duration::ZERO), Instant::now());
        cache.insert(&reports(&[("A", StockReport::AtLeast(2))]), now);

        assert_eq!(cache.verdict(&fixture::lines(&[("A", 2)]), now), None);
        assert!(cache.lock().is_empty());
    }

    #[test]
    fn the_number_of_cached_skus_is_bounded_and_invented_ones_are_not_cached() {
        let (cache, begin) = (ReportCache::new(MAX_AGE), Instant::now());
        let named = |names: std::ops::Range<usize>, report| {
            let entry = |name: usize| (name.to_string().into(), report);
            names.map(entry).collect::<Reports>()
        };
        cache.insert(&named(0..500, StockReport::UnknownSku), begin);
        assert!(cache.lock().is_empty());

        for call in 0..30 {
            let skus = named(call * 500..call * 500 + 500, StockReport::AtLeast(1));
            cache.insert(&skus, begin);
        }
        assert_eq!(cache.lock().len(), MAX_SKUS);

        // Old reports make room for new ones.
        let later = begin + MAX_AGE;
        cache.insert(&named(90_000..90_500, StockReport::AtLeast(1)), later);
        assert_eq!(cache.lock().len(), 500);
    }
}
