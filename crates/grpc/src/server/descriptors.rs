//! How many connections the process has file descriptors for.
//!
//! Every connection needs one, and so do the database, the broker and the log. If connections could use them all up, a
//! flood of idle ones would take the database away. The limit itself is the operator's (`ulimit -n`; a container
//! usually has a million): the process does not raise it.

/// What is left to the rest of the process: the connections to the database and to the broker, files, pipes.
const RESERVE: usize = 256;

/// As many connections as wanted, or as there are descriptors for.
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
            "fewer connections than configured, the process may not open more files",
        );
    }
    affordable
}

fn leave_reserve(limit: usize) -> usize {
    limit - RESERVE.min(limit / 2)
}

/// The soft limit of open files in the text of Linux (proc(5)); none if it is unlimited.
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
