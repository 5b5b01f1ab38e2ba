//! Maximum age of a connection.
//!
//! A connection stays with one replica. So that replicas that start later get their share, a connection gets a GOAWAY
//! at its maximum age: in-flight calls continue, the next call opens a new connection (gRFC A9). A call that has not
//! ended after the grace time, such as a stream that watches an order, is cut off; its client resumes it.
//!
//! Each process draws its own age, ±10 %: replicas that were started together do not send GOAWAY together. All
//! connections of a process share the age, since tonic accepts only one.

use std::time::Duration;

use tonic::transport::Server;

use service::config::Settings;

/// Grace for in-flight calls after GOAWAY: several times the limit of a unary call.
const GRACE: Duration = Duration::from_secs(60);

/// Jitter between processes (gRFC A9).
const JITTER: f64 = 0.1;

/// Age at which a connection gets a GOAWAY; `None`: never.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionAge(Option<Duration>);

impl ConnectionAge {
    pub fn read(settings: &mut Settings<'_>) -> Self {
        let age: Duration = settings.value(
            "GRPC_CONNECTION_AGE",
            "10m",
            "maximum age of a connection before GOAWAY, with 10 % jitter, so that clients spread over new replicas; 0s: disabled",
        );
        Self::new(age)
    }

    /// This age with jitter; zero disables it.
    pub fn new(about: Duration) -> Self {
        let factor = rand::random_range(1.0 - JITTER..=1.0 + JITTER);
        Self((!about.is_zero()).then(|| about.mul_f64(factor)))
    }

    /// A server that sends GOAWAY at this age.
    pub(super) fn server(self) -> Server {
        match self.0 {
            None => Server::builder(),
            Some(age) => Server::builder().max_connection_age(age),
        }
    }

    /// Age at which the connection is closed. tonic's own grace setting closes without GOAWAY.
    pub(super) fn close_after(self) -> Option<Duration> {
        self.0.map(|age| age + GRACE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_age_has_ten_percent_jitter() {
        for _ in 0..1_000 {
            let ConnectionAge(age) = ConnectionAge::new(Duration::from_secs(100));

            let seconds = age.unwrap().as_secs_f64();
            assert!((90.0..=110.0).contains(&seconds), "{seconds}");
        }
    }

    #[test]
    fn an_age_of_zero_disables_it() {
        let age = ConnectionAge::new(Duration::ZERO);

        assert_eq!((age, age.close_after()), (ConnectionAge(None), None));
    }
}
