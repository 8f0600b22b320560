//! The limits of control groups, of version 2 and 1: those of a container, a pod or a service.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Where the hierarchies are mounted.
const MOUNTED: &str = "/sys/fs/cgroup";

/// The least limits of a group and of those around it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Cgroup {
    /// The processor time in a period, in periods; `None`: any.
    pub(super) cores: Option<f64>,
    /// The memory in bytes; `None`: any.
    pub(super) memory: Option<u64>,
}

impl Cgroup {
    /// Those of this process; none where there are no groups.
    pub(super) fn of_this_process() -> Self {
        Self::read(Path::new(MOUNTED), &fs::read_to_string("/proc/self/cgroup").unwrap_or_default())
    }

    /// `groups`: the lines of `/proc/self/cgroup`, each `HIERARCHY:CONTROLLERS:PATH`.
    fn read(mounted: &Path, groups: &str) -> Self {
        let mut limits = Self::default();
        for line in groups.lines() {
            let mut fields = line.splitn(3, ':').skip(1);
            let (Some(controllers), Some(path)) = (fields.next(), fields.next()) else { continue };
            // Version 2 has one hierarchy for all controllers; version 1 one for each, by its name.
            let has = |name| controllers.split(',').any(|controller| controller == name);
            if controllers.is_empty() {
                for folder in around(mounted, path) {
                    limits.cores = least(limits.cores, ratio_of(&folder.join("cpu.max")));
                    limits.memory = least(limits.memory, number_in(&folder.join("memory.max")));
                }
            } else if has("cpu") {
                for folder in around(&mounted.join(controllers), path) {
                    let quota = number_in(&folder.join("cpu.cfs_quota_us"));
                    let period = number_in(&folder.join("cpu.cfs_period_us"));
                    let cores = quota.zip(period).map(|(quota, period)| quota as f64 / period as f64);
                    limits.cores = least(limits.cores, cores);
                }
            } else if has("memory") {
                /// Version 1 has so much memory, or some pages less, where there is no limit.
                const ANY: u64 = 1 << 62;
                for folder in around(&mounted.join(controllers), path) {
                    let memory = number_in(&folder.join("memory.limit_in_bytes")).filter(|&limit| limit < ANY);
                    limits.memory = least(limits.memory, memory);
                }
            }
        }
        limits
    }
}

/// The folder of a group and those of the groups around it. Within a container, the path may be that of the machine,
/// which is not there; the container's own group is then at the root.
fn around(root: &Path, path: &str) -> Vec<PathBuf> {
    let own = root.join(path.trim_start_matches('/'));
    own.ancestors().take_while(|folder| folder.starts_with(root)).map(Path::to_owned).collect()
}

fn least<T: PartialOrd>(a: Option<T>, b: Option<T>) -> Option<T> {
    match (a, b) {
        (Some(a), Some(b)) => Some(if b < a { b } else { a }),
        (a, b) => a.or(b),
    }
}

/// The number in a file; `None` for `max`, -1 or no file.
fn number_in(path: &Path) -> Option<u64> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

/// The ratio of the two numbers in a file.
fn ratio_of(path: &Path) -> Option<f64> {
    let text = fs::read_to_string(path).ok()?;
    let mut numbers = text.split_whitespace().map(str::parse::<f64>);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(quota)), Some(Ok(period))) if period > 0.0 => Some(quota / period),
        (_, _) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().expect("a temporary folder");
        for (path, text) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().expect("it is in a folder")).expect("it can be made");
            fs::write(path, text).expect("it can be written");
        }
        root
    }

    #[test]
    fn the_least_limit_of_a_group_and_those_around_it_holds() {
        let root = files(&[
            ("pod/cpu.max", "400000 100000\n"),
            ("pod/memory.max", "2147483648\n"),
            ("pod/own/cpu.max", "150000 100000\n"),
            ("pod/own/memory.max", "max\n"),
            ("other/memory.max", "1\n"),
        ]);
        let limits = Cgroup::read(root.path(), "0::/pod/own\n");
        assert_eq!(limits, Cgroup { cores: Some(1.5), memory: Some(2 << 30) });
        assert_eq!(Cgroup::read(root.path(), "0::/pod\n").cores, Some(4.0));
    }

    /// A container whose path is that of the machine.
    #[test]
    fn the_root_is_read_where_the_path_is_not_there() {
        let root = files(&[("cpu.max", "max 100000\n"), ("memory.max", "536870912\n")]);
        let limits = Cgroup::read(root.path(), "0::/system.slice/docker-0123.scope\n");
        assert_eq!(limits, Cgroup { cores: None, memory: Some(512 << 20) });
    }

    #[test]
    fn version_1_has_a_hierarchy_for_each_controller() {
        let root = files(&[
            ("cpu,cpuacct/job/cpu.cfs_quota_us", "50000\n"),
            ("cpu,cpuacct/job/cpu.cfs_period_us", "100000\n"),
            ("cpu,cpuacct/cpu.cfs_quota_us", "-1\n"),
            ("cpu,cpuacct/cpu.cfs_period_us", "100000\n"),
            ("memory/job/memory.limit_in_bytes", "9223372036854771712\n"),
            ("memory/memory.limit_in_bytes", "1073741824\n"),
        ]);
        let limits = Cgroup::read(root.path(), "4:memory:/job\n3:cpu,cpuacct:/job\n1:name=systemd:/x\nnonsense\n");
        assert_eq!(limits, Cgroup { cores: Some(0.5), memory: Some(1 << 30) });
    }

    #[test]
    fn no_group_has_no_limit() {
        assert_eq!(Cgroup::read(Path::new("/nowhere"), "0::/\n"), Cgroup::default());
        assert_eq!(Cgroup::read(Path::new("/nowhere"), ""), Cgroup::default());
    }
}
