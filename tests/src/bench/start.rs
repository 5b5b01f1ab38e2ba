//! Time from the start of a process until it is ready, on a database and a broker that run.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use tokio::time::sleep;

use super::figures::Figures;
use super::pair::Pair;
use crate::stack::Service;

const PAUSE: Duration = Duration::from_millis(2);

const LIMIT: Duration = Duration::from_secs(60);

/// Starts processing-service first: order-service asks it.
pub(super) async fn measure(pair: &Pair, figures: &mut Figures) -> Result<()> {
    for service in [Service::Processing, Service::Orders] {
        let ready = ready(pair, service).await?.as_secs_f64() * 1e3;
        println!("  {service:<20} ready after {ready:.0} ms");
        figures.add(format!("ready_ms.{service}"), ready);
    }
    pair.stop_both().await
}

async fn ready(pair: &Pair, service: Service) -> Result<Duration> {
    let start = Instant::now();
    pair.launch(service, &[]).await?;
    for process in pair.stack().processes(service) {
        while !pair.stack().is_ready(process).await {
            ensure!(start.elapsed() < LIMIT, "{process} is not ready in time");
            sleep(PAUSE).await;
        }
    }
    Ok(start.elapsed())
}
