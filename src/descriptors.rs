//! File descriptors: every connection takes one, and what a process may have at first is often less than it may ask for.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What is no client's connection: listeners, the runtime's own, those who ask for metrics, files that are read again, the
/// collector's connection, and one for a connection that is refused.
const BESIDE: u64 = 64;

/// Raises the limit on open files as far as the system lets this process (`ulimit -Hn`), and returns how many connections
/// there may be: `max_connections`, or as many as fit below the limit, which is logged. 0 is any number and stays.
///
/// Above that limit connections would not be closed when they come, but wait until another ends.
pub fn fit(max_connections: usize) -> usize {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let raised = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    let limit = match raised {
        Ok(()) => maximum,
        Err(error) => {
            tracing::warn!(%error, "the limit on open files cannot be raised");
            current
        }
    };
    let fitting = below(limit, max_connections);
    if fitting < max_connections {
        tracing::warn!(
            open_files = limit,
            max_connections,
            fitting,
            "the limit on open files is too low for max-connections: no more connections are taken than fit"
        );
    }
    fitting
}

fn below(limit: Option<u64>, max_connections: usize) -> usize {
    let room = limit.map_or(usize::MAX, |limit| usize::try_from(limit.saturating_sub(BESIDE)).unwrap_or(usize::MAX));
    // 0 would be any number.
    max_connections.min(room.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_connections_as_fit() {
        assert_eq!(below(None, 1024), 1024);
        assert_eq!(below(Some(u64::MAX), 1024), 1024);
        assert_eq!(below(Some(1024 + BESIDE), 1024), 1024);
        assert_eq!(below(Some(1023 + BESIDE), 1024), 1023);
        assert_eq!(below(Some(BESIDE), 1024), 1);
        assert_eq!(below(Some(0), 1024), 1);
        assert_eq!(below(Some(BESIDE), 0), 0, "any number");
    }
}
