//! Limits the connections to the file descriptors of the process.
//!
//! Connections, database, broker and log each need descriptors. Without this limit a flood of idle connections could
//! take the database's. The process does not raise the limit itself (`ulimit -n`; a container usually has a million):
//! it is the operator's.

/// Left to the rest of the process: connections to the database and the broker, files, pipes.
const RESERVE: usize = 256;

/// The wanted number of connections, or as many as there are descriptors for.
pub(super) fn affordable(wanted: usize) -> usize {
    let limit = std::fs::read_to_string("/proc/self/limits")
        .ok()
        .and_then(|limits| soft_limit(&limits));
    let Some(limit) = limit else {
        return wanted;
    };
    let affordable = wanted.min(leave_reserve(limit));
    if affordable < wanted {
        tracing::info!(
            wanted,
            affordable,
            descriptors = limit,
            "connection limit lowered to the file descriptor limit",
        );
    }
    affordable
}

fn leave_reserve(limit: usize) -> usize {
    limit - RESERVE.min(limit / 2)
}

/// The soft limit of open files in /proc/self/limits (proc(5)); `None` if unlimited.
fn soft_limit(limits: &str) -> Option<usize> {
    let line = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_soft_limit_is_the_first_number() {
        let limits = "Limit                     Soft Limit           Hard Limit           Units     \n\
                      Max processes             63432                63432                processes \n\
                      Max open files            1024                 1048576              files     \n";

        assert_eq!(soft_limit(limits), Some(1_024));
    }

    #[test]
    fn an_unlimited_or_unknown_limit_limits_nothing() {
        assert_eq!(
            soft_limit("Max open files   unlimited   unlimited   files"),
            None
        );
        assert_eq!(soft_limit(""), None);
    }

    #[test]
    fn some_descriptors_are_left_to_the_rest_of_the_process() {
        assert_eq!(leave_reserve(1_024), 768);
        assert_eq!(leave_reserve(100), 50);
    }
}
