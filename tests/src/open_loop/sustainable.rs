//! Finds the greatest rate that a service sustains: rising steps until a bound is exceeded.

use anyhow::Result;

/// A failed step is repeated: on a machine with other work, one measurement may be an outlier.
const ATTEMPTS: u32 = 2;

/// The steps of a search.
#[derive(Clone, Copy, Debug)]
pub struct Steps<'a> {
    /// The first rate per second.
    pub first: f64,
    /// From step to step; large ones first, then small ones from the last sustained rate. The result is as accurate as
    /// the last.
    pub factors: &'a [f64],
}

/// The greatest sustained rate.
#[derive(Clone, Debug)]
pub struct Sustainable {
    pub per_second: f64,
    /// Why the next step was not sustained.
    pub limit: String,
}

/// Why a search found nothing.
#[derive(Debug, thiserror::Error)]
pub enum SearchError {
    /// Not even the first step; and why.
    #[error("no load is sustained: {0}")]
    NothingSustained(String),
    /// A step could not be measured.
    #[error(transparent)]
    Step(anyhow::Error),
}

/// Searches with `strain_at`, which offers a rate and returns why it is not sustained, or `None` when it is.
///
/// # Errors
/// See [`SearchError`].
pub async fn find(
    steps: Steps<'_>,
    mut strain_at: impl AsyncFnMut(f64) -> Result<Option<String>>,
) -> Result<Sustainable, SearchError> {
    let mut good = None;
    let mut limit = String::new();
    for factor in steps.factors {
        loop {
            let next = good.map_or(steps.first, |good| good * factor);
            let strain = twice(next, &mut strain_at).await;
            if let Some(strain) = strain.map_err(SearchError::Step)? {
                limit = format!("at {next:.0} per second {strain}");
                break;
            }
            good = Some(next);
        }
    }
    match good {
        Some(per_second) => Ok(Sustainable { per_second, limit }),
        None => Err(SearchError::NothingSustained(limit)),
    }
}

async fn twice(
    per_second: f64,
    strain_at: &mut impl AsyncFnMut(f64) -> Result<Option<String>>,
) -> Result<Option<String>> {
    let mut last = None;
    for _ in 0..ATTEMPTS {
        last = strain_at(per_second).await?;
        if last.is_none() {
            break;
        }
    }
    Ok(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEPS: Steps<'_> = Steps {
        first: 100.0,
        factors: &[1.5, 1.1],
    };

    #[tokio::test]
    async fn the_result_is_accurate_to_the_last_factor() {
        let mut asked = Vec::new();

        let found = find(STEPS, async |rate| {
            asked.push(rate.round());
            Ok((rate > 360.0).then(|| "it was too much".to_owned()))
        });

        let found = found.await.unwrap();
        assert_eq!(found.per_second.round(), 338.0);
        assert_eq!(found.limit, "at 371 per second it was too much");
        assert_eq!(asked[..4], [100.0, 150.0, 225.0, 338.0]);
    }

    #[tokio::test]
    async fn one_outlier_does_not_end_the_search() {
        let mut outliers = 1;

        let found = find(STEPS, async |rate| {
            if rate > 200.0 {
                return Ok(Some("it was too much".to_owned()));
            }
            outliers -= 1;
            Ok((outliers == 0).then(|| "another program ran".to_owned()))
        });

        assert_eq!(found.await.unwrap().per_second.round(), 200.0);
    }

    #[tokio::test]
    async fn a_service_that_sustains_nothing_is_an_error() {
        let found = find(STEPS, async |_| Ok(Some("nothing works".to_owned())));

        let error = found.await.unwrap_err().to_string();

        assert_eq!(
            error,
            "no load is sustained: at 100 per second nothing works"
        );
    }
}
