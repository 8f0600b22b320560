//! File descriptors: every connection takes one, and a process often starts with a limit below the one that it may ask
//! for.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The descriptors beside those of clients' connections: listeners, the runtime's own, scrapes of metrics, files that
/// are read again, the collector's connection, and one for a connection that is refused.
const BESIDE: u64 = 64;

/// Raises the limit on open files as far as the system lets this process (`ulimit -Hn`), and returns how many connections
/// there may be: `max_connections`, or as many as fit below the limit, which is logged. 0 means any number and stays 0.
///
/// A connection above the limit on open files would not be closed at once: it would wait until another one ends.
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

/// The limits on open files, the soft and the hard one; `None`: any number.
pub(crate) fn limits() -> (Option<u64>, Option<u64>) {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    (current, maximum)
}

/// How many connections [`fit`] would let in, if the soft limit can be raised to the hard one.
pub(crate) fn would_fit(max_connections: usize) -> usize {
    below(limits().1, max_connections)
}

fn below(limit: Option<u64>, max_connections: usize) -> usize {
    let room = limit.map_or(usize::MAX, |limit| usize::try_from(limit.saturating_sub(BESIDE)).unwrap_or(usize::MAX));
    // 0 would mean any number.
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
