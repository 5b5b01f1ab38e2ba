//! How fast work is done, seen from a count of what is left in a database.
//!
//! The count is taken seldom enough to take a twentieth of a core at most: on a backlog of a million rows it takes a tenth
//! of a second.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use sqlx::PgConnection;
use tokio::time::sleep;

/// Between two counts; twenty times as long as a count, if that is longer.
const MIN_PAUSE: Duration = Duration::from_millis(5);
const PAUSE_PER_COUNT: u32 = 20;

/// Without any progress for this long, a process is stuck: a rebalance of the group takes ten seconds.
const STUCK: Duration = Duration::from_secs(60);

/// What was left at some time.
#[derive(Clone, Copy, Debug)]
struct Left {
    rows: i64,
    at: Instant,
}

/// The rate of a way with several stages: rows per second until the count of `left` is 0, from the first progress at the
/// first stage on, the count of `untouched`. Many orders are on their way at once, so the first one ends late.
pub(super) async fn rate_of_way(
    connection: &mut PgConnection,
    untouched: &'static str,
    left: &'static str,
) -> Result<f64> {
    let all = count(connection, left, 0).await?.rows;
    let start = until_progress(connection, untouched).await?;
    until_none(connection, left).await?;
    Ok(all as f64 / start.elapsed().as_secs_f64())
}

async fn until_progress(connection: &mut PgConnection, left: &'static str) -> Result<Instant> {
    let begin = count(connection, left, 0).await?;
    loop {
        let now = count(connection, left, 0).await?;
        if now.rows < begin.rows {
            return Ok(now.at);
        }
        ensure!(
            begin.at.elapsed() < STUCK,
            "{} rows are left and nothing happens: {left}",
            now.rows
        );
    }
}

/// Waits until a query, the count of what is left, returns 0.
pub(super) async fn until_none(connection: &mut PgConnection, left: &'static str) -> Result<()> {
    rate(connection, left, 0).await.map(drop)
}

/// Waits until the count of `left` is 0 and returns the rows per second from the first progress on: the time before it, in
/// which a process starts and connects, does not count. `None` if all of it was done between two counts. `offset` is added to
/// each count.
pub(super) async fn rate(
    connection: &mut PgConnection,
    left: &'static str,
    offset: i64,
) -> Result<Option<f64>> {
    let begin = count(connection, left, offset).await?;
    let (mut first, mut last) = (begin, begin);
    while last.rows > 0 {
        let now = count(connection, left, offset).await?;
        if now.rows < last.rows {
            if first.rows == begin.rows {
                first = now;
            }
            last = now;
        }
        let idle = last.at.elapsed();
        ensure!(
            idle < STUCK,
            "{} rows are left and nothing happens: {left}",
            last.rows
        );
    }
    let seconds = (last.at - first.at).as_secs_f64();
    Ok((first.rows > 0).then(|| first.rows as f64 / seconds))
}

async fn count(connection: &mut PgConnection, left: &'static str, offset: i64) -> Result<Left> {
    let begun = Instant::now();
    let rows: i64 = sqlx::query_scalar(left).fetch_one(connection).await?;
    let at = Instant::now();
    sleep(MIN_PAUSE.max((at - begun) * PAUSE_PER_COUNT)).await;
    Ok(Left {
        rows: rows + offset,
        at,
    })
}
