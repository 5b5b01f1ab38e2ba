//! How old a connection may become.
//!
//! A connection stays with the replica that it was made to. So that replicas which come later get their share, a
//! connection of a certain age is said farewell to (GOAWAY): calls in work go on, the next one uses a new connection
//! (gRFC A9). What has not ended in the time of grace, a stream that watches an order for example, is cut off, and
//! resumed by its client.
//!
//! Every process has an age of its own, up to a tenth more or less: replicas that were started together do not send
//! their clients away together. All connections of a process have the same age, since tonic takes only one.

use std::time::Duration;

use tonic::transport::Server;

use service::config::Settings;

/// How long calls may go on after the farewell: several times what any call but a stream may take.
const GRACE: Duration = Duration::from_secs(60);

/// The part by which processes differ (gRFC A9).
const JITTER: f64 = 0.1;

/// The age of a connection at which it is renewed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionAge(Option<Duration>);

impl ConnectionAge {
    /// Reads the setting.
    pub fn read(settings: &mut Settings<'_>) -> Self {
        let age: Duration = settings.value(
            "GRPC_CONNECTION_AGE",
            "10m",
            "age at which a connection is said farewell to, give or take a tenth, so that clients spread over new replicas; 0s: never",
        );
        Self::new(age)
    }

    /// About this age; zero means that a connection is never renewed.
    pub fn new(about: Duration) -> Self {
        let factor = rand::random_range(1.0 - JITTER..=1.0 + JITTER);
        Self((!about.is_zero()).then(|| about.mul_f64(factor)))
    }

    /// A server that says farewell at this age.
    pub(super) fn server(self) -> Server {
        match self.0 {
            None => Server::builder(),
            Some(age) => Server::builder().max_connection_age(age),
        }
    }

    /// When to hang up. tonic has a setting for the grace too, with which it hangs up without a farewell.
    pub(super) fn hang_up(self) -> Option<Duration> {
        self.0.map(|age| age + GRACE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processes_differ_by_a_tenth() {
        for _ in 0..1_000 {
            let ConnectionAge(age) = ConnectionAge::new(Duration::from_secs(100));

            let seconds = age.unwrap().as_secs_f64();
            assert!((90.0..=110.0).contains(&seconds), "{seconds}");
        }
    }

    #[test]
    fn an_age_of_zero_is_never_reached() {
        let age = ConnectionAge::new(Duration::ZERO);

        assert_eq!((age, age.hang_up()), (ConnectionAge(None), None));
    }
}
