//! The answer of `evenkeel doctor`, as text and as JSON.

use std::{env::consts, fmt, time::Duration};

use indicatif::BinaryBytes;
use serde_json::{Value, json};

use super::settings::Settings;
use crate::{
    cli::text,
    instruction_set,
    machine::{Cores, Machine, Memory, OpenFiles},
    self_check::{Cause, Difference, Outcome, Places},
};

/// The most differences that the text shows.
const MOST_LINES: usize = 10;

/// All that was found.
pub(super) struct Findings {
    pub(super) machine: Machine,
    pub(super) settings: Settings,
    pub(super) places: Places,
    pub(super) outcome: Outcome,
    /// How long the self-check took.
    pub(super) took: Duration,
}

impl Findings {
    fn names(&self) -> Vec<&'static str> {
        self.machine.instruction_sets.iter().map(|&set| instruction_set::name(set)).collect()
    }

    /// JSON that ends in a line feed.
    pub(super) fn json(&self) -> Result<String, serde_json::Error> {
        let Self { machine, settings, places, outcome, took } = self;
        let Machine { processor, instruction_sets: _, instruction_set, cores, memory, open_files } = machine;
        let Settings {
            compute_threads,
            serving_threads,
            max_bytes_in_flight,
            buffer_pool_bytes,
            max_message_bytes,
            max_connections,
            connections,
        } = settings;
        let differences: Vec<Value> = outcome.differences.iter().map(difference).collect();
        let cores = json!({
            "online": cores.online, "allowed": cores.allowed, "quota": cores.quota, "used": cores.used,
        });
        let memory = json!({ "total": memory.total, "available": memory.available, "limit": memory.limit });
        let self_check = json!({
            "passed": differences.is_empty(),
            "compared": outcome.compared,
            "differences": differences,
            "threads": places.threads,
            "seconds": took.as_secs_f64(),
        });
        let advice = settings.advice(machine);
        let settings = json!({
            "threads": compute_threads,
            "serving_threads": serving_threads,
            "max_bytes_in_flight": max_bytes_in_flight,
            "buffer_pool_bytes": buffer_pool_bytes,
            "max_message_bytes": max_message_bytes,
            "max_connections": max_connections,
            "connections_that_fit": connections,
        });
        let all = json!({
            "version": env!("CARGO_PKG_VERSION"),
            "architecture": consts::ARCH,
            "processor": processor,
            "instruction_set": instruction_set::name(*instruction_set),
            "instruction_sets": self.names(),
            "cores": cores,
            "memory": memory,
            "open_files": { "soft": open_files.soft, "hard": open_files.hard },
            "settings": settings,
            "advice": advice,
            "self_check": self_check,
        });
        Ok(text::json(&serde_json::to_string_pretty(&all)?) + "\n")
    }
}

fn difference(difference: &Difference) -> Value {
    let Difference { result, way, instruction_set, threads, cause } = difference;
    let (expected, got, reason) = match cause {
        Cause::Bits { expected, got } => (Some(expected), Some(got), None),
        Cause::Failed(reason) => (None, None, Some(reason)),
    };
    json!({
        "result": result,
        "way": way,
        "instruction_set": instruction_set::name(*instruction_set),
        "threads": threads,
        "expected": expected,
        "got": got,
        "reason": reason,
    })
}

/// A size in bytes; `None`: nothing limits it, or it is not known.
fn size(bytes: Option<u64>, otherwise: &str) -> String {
    bytes.map_or_else(|| otherwise.to_owned(), |bytes| BinaryBytes(bytes).to_string())
}

fn number(number: Option<impl ToString>, otherwise: &str) -> String {
    number.map_or_else(|| otherwise.to_owned(), |number| number.to_string())
}

impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { machine, settings, places, outcome, took } = self;
        let Machine { processor, instruction_sets: _, instruction_set, cores, memory, open_files } = machine;
        let mut line = |name: &str, words: String| writeln!(f, "{name:<17} {words}");
        line("evenkeel", format!("{}, {}", env!("CARGO_PKG_VERSION"), consts::ARCH))?;
        line("processor", processor.as_deref().map_or_else(|| "not known".to_owned(), text::name))?;
        line(
            "instruction set",
            format!("{}, of {}", instruction_set::name(*instruction_set), self.names().join(", ")),
        )?;
        let Cores { online, allowed, quota, used } = cores;
        let (online, allowed) = (number(*online, "not known"), number(*allowed, "not known"));
        line("cores", format!("{used}: {online} online, {allowed} allowed, quota {}", number(*quota, "none")))?;
        let Memory { total, available, limit } = memory;
        let (total, available) = (size(*total, "not known"), size(*available, "not known"));
        line("memory", format!("{total}, {available} available, limit {}", size(*limit, "none")))?;
        let OpenFiles { soft, hard } = open_files;
        line("open files", format!("{}, can be raised to {}", number(*soft, "any"), number(*hard, "any")))?;

        let Settings { compute_threads, serving_threads, max_bytes_in_flight, .. } = settings;
        line("compute threads", compute_threads.to_string())?;
        line("serving threads", serving_threads.to_string())?;
        line("bytes in flight", size(max_bytes_in_flight.map(|bytes| bytes as u64), "any number"))?;
        line("buffer pool", size(Some(settings.buffer_pool_bytes as u64), ""))?;
        line("largest message", size(Some(settings.max_message_bytes as u64), ""))?;
        let connections = Some(settings.connections).filter(|&connections| connections > 0);
        line("connections", number(connections, "any number"))?;
        for advice in settings.advice(machine) {
            line("advice", advice)?;
        }

        let Outcome { compared, differences } = outcome;
        let verdict = match differences.len() {
            0 => "all have the bits of every machine".to_owned(),
            some => format!("{some} DIFFER"),
        };
        let (sets, [one, several]) = (self.names().join(", "), places.threads);
        let how = format!("{sets} on {one} and {several} threads, {:.1} s", took.as_secs_f64());
        line("self-check", format!("{compared} results ({how}): {verdict}"))?;
        for difference in differences.iter().take(MOST_LINES) {
            line("", difference.to_string())?;
        }
        if differences.len() > MOST_LINES {
            line("", format!("and {} more: --json has all of them", differences.len() - MOST_LINES))?;
        }
        Ok(())
    }
}
