//! The process of a service, without gRPC, Kafka or SQL.
//!
//! In reading order: [`command_line`] is the `main` of a service; [`config`] reads its settings from the environment;
//! [`shutdown`] turns signals into a token; [`supervisor`] runs the tasks and stops them in order. [`backoff`] and
//! [`deadline`] bound retries and waits, [`error_chain`] prints an error with its causes. [`crash_points`] and
//! [`seeded_rng`] exist for tests.

pub mod command_line;
pub mod config;
pub mod shutdown;
pub mod supervisor;

pub mod backoff;
pub mod deadline;
pub mod error_chain;

pub mod crash_points;
#[cfg(any(test, feature = "testing"))]
pub mod seeded_rng;

/// The same for all instances of a service.
#[derive(Clone, Copy, Debug)]
pub struct ServiceIdentity {
    /// `service.name`.
    pub name: &'static str,
    /// `service.version`.
    pub version: &'static str,
    /// One sentence for `--help`.
    pub about: &'static str,
}

/// The version of a program: the one that the build of a release names, such as `1.2.0+3f9c1ab`, or that of the package. Empty is
/// not named.
pub const fn version(release: Option<&'static str>, package: &'static str) -> &'static str {
    match release {
        Some(release) if !release.is_empty() => release,
        _ => package,
    }
}

#[cfg(test)]
mod tests {
    use super::version;

    #[test]
    fn a_release_has_the_version_that_its_build_names() {
        assert_eq!(version(Some("1.2.0+3f9c1ab"), "0.1.0"), "1.2.0+3f9c1ab");
        for without in [None, Some("")] {
            assert_eq!(version(without, "0.1.0"), "0.1.0");
        }
    }
}
