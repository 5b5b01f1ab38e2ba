//! Reads are prefixes: every read returned a prefix of the final history, and never less than an earlier read.
//!
//! (Jepsen: nonmonotonic read, unseen.) For one order this is linearizability: its history only grows, so a read is
//! correct if it is a prefix and not shorter than the history known before the read started. Known is every version
//! that an earlier call or read of the same client had returned by its end.

use super::rule::{Count, Rule, RuleCheck};

pub const NAME: &str = "reads";

pub(super) const RULE: Rule = Rule {
    name: NAME,
    counts: &[
        Count {
            name: "reads and answers",
            number: "SELECT count(*) FROM reads",
        },
        Count {
            name: "versions shown",
            number: "SELECT count(*) FROM seen",
        },
    ],
    checks: &[
        RuleCheck {
            name: "a returned version is in the history",
            violations: "
                SELECT seen.order_id, 'was shown as ' || coalesce(seen.event_type || ' ', '') || seen.status
                    || coalesce(' ' || seen.reason, '') || ' at version ' || seen.version || ' (line ' || seen.line
                    || '), but its history has ' || coalesce(entry.event_type || ' ' || entry.status
                    || coalesce(' ' || entry.rejection_reason, ''), 'nothing') || ' there' AS fault
                FROM seen LEFT JOIN order_events AS entry
                  ON entry.order_id = seen.order_id AND entry.version = seen.version
                WHERE entry.status IS NOT seen.status
                   OR (seen.event_type IS NOT NULL
                       AND (entry.event_type IS NOT seen.event_type OR entry.rejection_reason IS NOT seen.reason))",
        },
        RuleCheck {
            name: "a watch returns every version once and in order",
            violations: "
                SELECT reads.order_id, 'was watched from version ' || first_version || ', and ' || count(seen.version)
                    || ' versions up to ' || last_version || ' were shown (line ' || reads.line || ')' AS fault
                FROM reads JOIN seen ON seen.line = reads.line AND seen.order_id = reads.order_id
                WHERE kind = 'watch' GROUP BY reads.line
                HAVING count(DISTINCT seen.version) <> count(*) OR min(seen.version) <> first_version
                    OR max(seen.version) <> last_version OR count(*) <> last_version - first_version + 1",
        },
        RuleCheck {
            name: "a completed watch has returned the whole history",
            violations: "
                SELECT order_id, 'was watched to its end at version ' || last_version || ', but it is at version '
                    || version || ' (line ' || line || ')' AS fault
                FROM reads JOIN orders USING (order_id) WHERE to_the_end AND last_version <> version",
        },
        RuleCheck {
            name: "a read returns at least the version known before it started",
            violations: "
                SELECT later.order_id, 'was read ' || CASE later.last_version WHEN 0 THEN 'as unknown'
                        ELSE 'at version ' || later.last_version END
                    || ' (line ' || later.line || '), after version ' || max(earlier.last_version)
                    || ' had been shown (line ' || earlier.line || ')' AS fault
                FROM reads AS later JOIN reads AS earlier
                  ON earlier.order_id = later.order_id AND earlier.ended < later.begun
                 AND earlier.last_version > later.last_version
                WHERE later.whole GROUP BY later.line",
        },
    ],
};
