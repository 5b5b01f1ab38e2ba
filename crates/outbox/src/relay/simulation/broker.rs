//! What a broker, and the way to it, make of an event.

use service::seeded_rng::SeededRng;

/// Microseconds.
type Micros = u64;

const MILLISECOND: Micros = 1_000;
const SECOND: Micros = 1_000_000;

/// What becomes of one event that was handed to the producer.
#[derive(Clone, Copy, Debug)]
pub(super) enum Fate {
    /// The producer does not even accept it.
    NotAccepted,
    /// It is on the topic after this time, if at all, and the producer reports after the other.
    Sent {
        written_after: Option<Micros>,
        reported_after: Micros,
        as_success: bool,
    },
}

impl Fate {
    /// `trouble` is how many of a thousand events something happens to.
    pub(super) fn of_event(rng: &mut SeededRng, trouble: u64) -> Self {
        if !rng.happens(trouble) {
            return Self::taken(rng, 20 * MILLISECOND);
        }
        match rng.index(5) {
            0 => Self::NotAccepted,
            1 => Self::refused(rng),
            // Slow, but in the end all is well.
            2 => Self::taken(rng, 20 * SECOND),
            // Written, and the acknowledgement is lost.
            3 => {
                let written = rng.within(1..100 * MILLISECOND);
                Self::Sent {
                    written_after: Some(written),
                    reported_after: written + rng.within(1..SECOND),
                    as_success: false,
                }
            }
            // Written long after it was reported as failed.
            _ => {
                let reported = rng.within(1..100 * MILLISECOND);
                Self::Sent {
                    written_after: Some(reported + rng.within(1..10 * SECOND)),
                    reported_after: reported,
                    as_success: false,
                }
            }
        }
    }

    fn taken(rng: &mut SeededRng, longest: Micros) -> Self {
        let written = rng.within(1..longest);
        Self::Sent {
            written_after: Some(written),
            reported_after: written + rng.within(1..20 * MILLISECOND),
            as_success: true,
        }
    }

    pub(super) fn refused(rng: &mut SeededRng) -> Self {
        Self::Sent {
            written_after: None,
            reported_after: rng.within(1..100 * MILLISECOND),
            as_success: false,
        }
    }
}
