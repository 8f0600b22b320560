//! The settings that a server would have on this machine, as far as they depend on it, and advice on them.

use std::io;

use indicatif::BinaryBytes;
use rayon::ThreadPoolBuilder;

use crate::{config::Configs, descriptors, machine::Machine};

/// The settings, with the values that stand for the machine's own replaced by numbers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Settings {
    pub(super) compute_threads: usize,
    pub(super) serving_threads: usize,
    /// `None`: any number.
    pub(super) max_bytes_in_flight: Option<usize>,
    pub(super) buffer_pool_bytes: usize,
    pub(super) max_message_bytes: usize,
    /// 0: any number.
    pub(super) max_connections: usize,
    /// As many of these connections as fit below the limit on open files.
    pub(super) connections: usize,
}

impl Settings {
    /// Asks the libraries that start the threads how many they would start.
    ///
    /// # Errors
    /// Threads cannot be started.
    pub(super) fn of(configs: &Configs) -> io::Result<Self> {
        let server = &configs.server;
        let compute_threads = match server.threads {
            0 => ThreadPoolBuilder::new().build().map_err(io::Error::other)?.current_num_threads(),
            threads => threads,
        };
        let serving_threads = match configs.serving_threads {
            0 => tokio::runtime::Builder::new_multi_thread().build()?.metrics().num_workers(),
            threads => threads,
        };
        let bytes = server.admission.bytes_in_flight(server.max_message_bytes);
        let max_connections = server.connections.max_connections;
        Ok(Self {
            compute_threads,
            serving_threads,
            max_bytes_in_flight: (bytes < usize::MAX).then_some(bytes),
            buffer_pool_bytes: server.buffer_pool_bytes,
            max_message_bytes: server.max_message_bytes,
            max_connections,
            connections: descriptors::would_fit(max_connections),
        })
    }

    /// The settings that do not fit the machine, each with what to do.
    pub(super) fn advice(&self, machine: &Machine) -> Vec<String> {
        let &Self {
            compute_threads,
            serving_threads,
            max_bytes_in_flight,
            buffer_pool_bytes,
            max_message_bytes: _,
            max_connections,
            connections,
        } = self;
        let mut advice = Vec::new();
        let most = machine.memory.most();
        let bytes = max_bytes_in_flight.map(|bytes| bytes.saturating_add(buffer_pool_bytes) as u64);
        match (bytes, most) {
            (Some(bytes), Some(most)) if bytes > most => advice.push(format!(
                "--max-bytes-in-flight and --buffer-pool-bytes together are {}, more than the memory of {}: lower them",
                BinaryBytes(bytes),
                BinaryBytes(most)
            )),
            (None, _) => advice.push("--max-bytes-in-flight 0 lets calls take all memory: set a limit".to_owned()),
            (Some(_), _) => {}
        }
        if connections < max_connections {
            advice.push(format!(
                "the limit on open files lets in {connections} of --max-connections {max_connections}: raise the hard \
                 limit (ulimit -Hn)"
            ));
        }
        let cores = machine.cores.used;
        for (flag, threads) in [("--threads", compute_threads), ("--serving-threads", serving_threads)] {
            if threads > cores {
                advice.push(format!("{flag} {threads} is more than the cores, {cores}: threads wait for each other"));
            }
        }
        advice
    }
}
