//! What the machine gives to this process: cores, memory, open files. Only Linux says all of it.

mod cgroup;

use std::{num::NonZero, thread};

use evenkeel_kernels::simd::{self, InstructionSet};
use procfs::{CpuInfo, Current as _, Meminfo, process::Process};

use crate::descriptors;
use cgroup::Cgroup;

/// The facts, as far as the system tells them.
#[derive(Clone, Debug)]
pub(crate) struct Machine {
    /// The processor's name.
    pub(crate) processor: Option<String>,
    /// The instruction sets that kernels are compiled for and the processor has.
    pub(crate) instruction_sets: Vec<InstructionSet>,
    /// The one that the kernels use.
    pub(crate) instruction_set: InstructionSet,
    pub(crate) cores: Cores,
    pub(crate) memory: Memory,
    pub(crate) open_files: OpenFiles,
}

/// The cores.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cores {
    /// Those of the machine that are online.
    pub(crate) online: Option<usize>,
    /// Those on which this process may run.
    pub(crate) allowed: Option<usize>,
    /// The processor time that its cgroups may use, in cores; `None`: all.
    pub(crate) quota: Option<f64>,
    /// The number of threads that a setting of 0 takes.
    pub(crate) used: usize,
}

/// The memory, in bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Memory {
    pub(crate) total: Option<u64>,
    pub(crate) available: Option<u64>,
    /// The least limit of its cgroups; `None`: there is none.
    pub(crate) limit: Option<u64>,
}

/// The limits on open files; `None`: any number.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OpenFiles {
    pub(crate) soft: Option<u64>,
    /// The limit that the server raises the soft one to.
    pub(crate) hard: Option<u64>,
}

impl Machine {
    /// Asks the system.
    pub(crate) fn look() -> Self {
        let processors = CpuInfo::current().ok();
        let meminfo = Meminfo::current().ok();
        let cgroup = Cgroup::of_this_process();
        let (soft, hard) = descriptors::limits();
        Self {
            processor: processors.as_ref().and_then(|all| all.model_name(0)).map(str::to_owned),
            instruction_sets: InstructionSet::ALL.into_iter().filter(|set| set.is_available()).collect(),
            instruction_set: simd::chosen(),
            cores: Cores {
                online: processors.as_ref().map(CpuInfo::num_cores),
                allowed: allowed(),
                quota: cgroup.cores,
                used: thread::available_parallelism().map_or(1, NonZero::get),
            },
            memory: Memory {
                total: meminfo.as_ref().map(|info| info.mem_total),
                available: meminfo.as_ref().and_then(|info| info.mem_available),
                limit: cgroup.memory,
            },
            open_files: OpenFiles { soft, hard },
        }
    }
}

impl Memory {
    /// The most memory that the process can have: the machine's, or less.
    pub(crate) fn most(&self) -> Option<u64> {
        self.total.into_iter().chain(self.limit).min()
    }
}

/// The number of cores on which this process may run.
fn allowed() -> Option<usize> {
    let ranges = Process::myself().ok()?.status().ok()?.cpus_allowed_list?;
    Some(ranges.into_iter().map(|(first, last)| (last - first + 1) as usize).sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn linux_tells_all_of_it() {
        let Machine { processor: _, instruction_sets, instruction_set, cores, memory, open_files } = Machine::look();
        assert!(instruction_sets.contains(&instruction_set));
        let Cores { online, allowed, quota, used } = cores;
        let (online, allowed) = (online.expect("it is told"), allowed.expect("it is told"));
        assert!((1..=online).contains(&allowed), "{cores:?}");
        let fit = quota.map_or(allowed, |quota| allowed.min((quota as usize).max(1)));
        assert_eq!(used, fit, "{cores:?}");
        let (total, available) = (memory.total.expect("it is told"), memory.available.expect("it is told"));
        assert!(available <= total && total >= 64 << 20, "{memory:?}");
        assert!(memory.most().is_some_and(|most| most <= total), "{memory:?}");
        assert!(open_files.hard.is_none_or(|hard| open_files.soft.is_some_and(|soft| soft <= hard)), "{open_files:?}");
    }
}
