//! Cache of stock reports: an order whose SKUs are all in it needs no call.
//!
//! A report is as old as the call that brought it, counted from the moment before the call was sent, and is not used when it
//! has reached the maximum age. Guarantee: at most [`MAX_SKUS`] reports are cached.
//!
//! A call for some SKUs also renews the reports about others that orders asked for lately (refresh-ahead). One more item
//! costs a call little, and an order whose SKUs are all renewed in time waits for no call.

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

/// Maximum reports that a call renews: those of two more requests.
const MAX_RENEWED: usize = 1_000;

/// Reports about SKUs that were asked for within this many maximum ages are renewed.
const RENEWED_FOR: u32 = 10;

#[derive(Debug)]
pub(super) struct ReportCache {
    /// Zero: no report is used again.
    max_age: Duration,
    cached: Mutex<CachedReports>,
}

#[derive(Debug, Default)]
struct CachedReports {
    by_sku: HashMap<Arc<str>, CachedReport>,
    /// When a call last renewed reports.
    renewed_at: Option<Instant>,
}

#[derive(Clone, Copy, Debug)]
struct CachedReport {
    report: StockReport,
    asked_at: Instant,
    /// When an order last asked for the SKU.
    used_at: Instant,
}

impl ReportCache {
    pub(super) fn new(max_age: Duration) -> Self {
        Self {
            max_age,
            cached: Mutex::default(),
        }
    }

    /// The verdict on an order, if the reports about its SKUs are young enough and tell.
    pub(super) fn verdict(&self, lines: &OrderLines, now: Instant) -> Option<Verdict> {
        if self.max_age.is_zero() {
            return None;
        }
        let mut cached = self.lock();
        let report = |sku: &str| {
            let cached = cached.by_sku.get_mut(sku)?;
            cached.used_at = now;
            Some(self.if_fresh(cached, now)?.report)
        };
        availability::verdict(lines, report)
    }

    /// What is known about the SKUs of these questions, and the pieces to ask for of all others.
    ///
    /// It asks for at least as many pieces as the report before was about, so that the next report tells for the larger orders
    /// of a SKU, too. If there is something to ask for, what is about to be too old is asked for with it.
    pub(super) fn known(&self, questions: &[Question], now: Instant) -> (Reports, Pieces) {
        let (mut known, mut unknown) = (Reports::new(), Pieces::new());
        let mut reports = self.lock();
        for (sku, pieces) in questions.iter().flat_map(Question::pieces) {
            let cached = reports.by_sku.get(sku);
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
        if !unknown.is_empty() {
            self.renew(&mut reports, now, &mut unknown);
        }
        (known, unknown)
    }

    /// Adds the SKUs whose reports have reached half of the maximum age. Twice per maximum age is often enough.
    fn renew(&self, reports: &mut CachedReports, now: Instant, unknown: &mut Pieces) {
        let half = self.max_age / 2;
        let is_early = |at: Instant| now.saturating_duration_since(at) < half;
        if reports.renewed_at.is_some_and(is_early) {
            return;
        }
        reports.renewed_at = Some(now);
        let due = reports
            .by_sku
            .iter()
            .filter(|(_, cached)| !is_early(cached.asked_at) && self.is_in_use(cached, now))
            .filter(|(_, cached)| cached.pieces_asked() > 0);
        for (sku, cached) in due.take(MAX_RENEWED) {
            unknown
                .entry(Arc::clone(sku))
                .or_insert(cached.pieces_asked());
        }
    }

    fn is_in_use(&self, cached: &CachedReport, now: Instant) -> bool {
        now.saturating_duration_since(cached.used_at) < self.max_age * RENEWED_FOR
    }

    /// Caches the reports of a call that was sent after this moment. A SKU that is not in the catalogue is not cached: clients
    /// could fill the cache with invented ones.
    pub(super) fn insert(&self, reports: &Reports, asked_at: Instant) {
        if self.max_age.is_zero() {
            return;
        }
        let by_sku = &mut self.lock().by_sku;
        if by_sku.len() + reports.len() > MAX_SKUS {
            by_sku.retain(|_, cached| self.if_fresh(cached, asked_at).is_some());
        }
        let known = reports
            .iter()
            .filter(|(_, report)| **report != StockReport::UnknownSku);
        for (sku, &report) in known {
            if let Some(cached) = by_sku.get_mut(sku) {
                (cached.report, cached.asked_at) = (report, asked_at);
            } else if by_sku.len() < MAX_SKUS {
                let used_at = asked_at;
                let cached = CachedReport {
                    report,
                    asked_at,
                    used_at,
                };
                by_sku.insert(Arc::clone(sku), cached);
            }
        }
    }

    fn if_fresh<'a>(&self, cached: &'a CachedReport, now: Instant) -> Option<&'a CachedReport> {
        let age = now.saturating_duration_since(cached.asked_at);
        (age < self.max_age).then_some(cached)
    }

    fn lock(&self) -> MutexGuard<'_, CachedReports> {
        // No code under the lock panics half way.
        self.cached.lock().unwrap_or_else(PoisonError::into_inner)
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
    fn a_call_renews_reports_that_orders_use_before_they_are_too_old() {
        let (cache, asked_at) = (ReportCache::new(MAX_AGE), Instant::now());
        let told = ["A", "B"].map(|sku| (sku, StockReport::AtLeast(3)));
        cache.insert(&reports(&told), asked_at);
        let asked_for = |sku: &str, at| cache.known(&[question(&[(sku, 1)])], at).1;

        // Not yet half of their age.
        let early = asked_at + MAX_AGE / 2 - Duration::from_nanos(1);
        assert_eq!(asked_for("C", early), pieces(&[("C", 1)]));
        // Not by an order that needs no call.
        let later = asked_at + MAX_AGE - Duration::from_nanos(1);
        assert_eq!(asked_for("A", later), pieces(&[]));
        let renewed = pieces(&[("A", 3), ("B", 3), ("C", 1)]);
        assert_eq!(asked_for("C", later), renewed);
        // Once per half of the maximum age.
        assert_eq!(asked_for("D", later), pieces(&[("D", 1)]));

        // What no order has asked for lately is left to age.
        let order = fixture::lines(&[("A", 1)]);
        cache.verdict(&order, asked_at + MAX_AGE);
        let much_later = asked_at + MAX_AGE * RENEWED_FOR;
        let renewed = pieces(&[("A", 3), ("C", 1)]);
        assert_eq!(asked_for("C", much_later), renewed);
    }

    #[test]
    fn a_call_renews_a_bounded_number_of_reports() {
        let (cache, asked_at) = (ReportCache::new(MAX_AGE), Instant::now());
        let told =
            (0..2 * MAX_RENEWED).map(|name| (name.to_string().into(), StockReport::AtLeast(1)));
        cache.insert(&told.collect(), asked_at);

        let (_, unknown) = cache.known(&[question(&[("A", 1)])], asked_at + MAX_AGE);

        assert_eq!(unknown.len(), MAX_RENEWED + 1);
    }

    #[test]
    fn a_maximum_age_of_zero_caches_nothing() {
        let (cache, now) = (ReportCache::new(Duration::ZERO), Instant::now());
        cache.insert(&reports(&[("A", StockReport::AtLeast(2))]), now);

        assert_eq!(cache.verdict(&fixture::lines(&[("A", 2)]), now), None);
        assert!(cache.lock().by_sku.is_empty());
    }

    #[test]
    fn the_number_of_cached_skus_is_bounded_and_invented_ones_are_not_cached() {
        let (cache, begin) = (ReportCache::new(MAX_AGE), Instant::now());
        let named = |names: std::ops::Range<usize>, report| {
            let entry = |name: usize| (name.to_string().into(), report);
            names.map(entry).collect::<Reports>()
        };
        cache.insert(&named(0..500, StockReport::UnknownSku), begin);
        assert!(cache.lock().by_sku.is_empty());

        for call in 0..30 {
            let skus = named(call * 500..call * 500 + 500, StockReport::AtLeast(1));
            cache.insert(&skus, begin);
        }
        assert_eq!(cache.lock().by_sku.len(), MAX_SKUS);

        // Old reports make room for new ones.
        let later = begin + MAX_AGE;
        cache.insert(&named(90_000..90_500, StockReport::AtLeast(1)), later);
        assert_eq!(cache.lock().by_sku.len(), 500);
    }
}
