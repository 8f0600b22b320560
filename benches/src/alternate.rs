//! Contenders take turns, so that other work of the machine affects all of them; only ratios within a round count.

use std::time::Duration;

use tokio::runtime::Runtime;

use crate::{Result, case::Case, contender::Contender, record::Record, statistics::Summary};

/// The runtime of the load: one thread, which is all the load needs.
pub(crate) fn runtime() -> Result<Runtime> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?)
}

/// Lets the contenders take turns, each round in the reverse order of the one before, and records their figures.
pub(crate) fn alternate(
    case: Case,
    contenders: &mut [Contender<'_>],
    rounds: usize,
    duration: Duration,
    runtime: &Runtime,
    record: &mut Record,
) -> Result<()> {
    for round in 0..rounds {
        for index in 0..contenders.len() {
            let index = if round % 2 == 0 { index } else { contenders.len() - 1 - index };
            contenders[index].turn(duration, runtime)?;
        }
    }
    for Contender { name, turns, .. } in contenders.iter() {
        let figures = [
            ("calls/s", &turns.per_second),
            ("CPU us", &turns.cpu_us),
            ("load us", &turns.load_us),
            ("p50 us", &turns.p50_us),
            ("p99 us", &turns.p99_us),
        ];
        for (what, numbers) in figures {
            record.figure(&case.to_string(), name, what, Summary::of(numbers.iter().copied()));
        }
    }
    record.print(&case.to_string());
    Ok(())
}
