//! What processes have used, as Linux counts it: `/proc/<pid>/stat` and `/proc/<pid>/status`.

use std::{fs, io};

/// What a process, or all of a process group, has used since it was started.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Usage {
    /// Processor time in user and kernel mode, seconds; Linux counts in hundredths.
    pub(crate) cpu_s: f64,
    /// The most memory it ever had resident, bytes; of a group the sum.
    pub(crate) memory_peak: u64,
    /// What it has resident now, bytes; of a group the sum.
    pub(crate) memory: u64,
}

/// Linux tells processor time in hundredths of a second on every architecture (`USER_HZ`).
const TICKS_PER_SECOND: f64 = 100.0;

impl Usage {
    /// Of this process.
    pub(crate) fn of_this_process() -> io::Result<Self> {
        Self::of_process("self")
    }

    /// Of every process of a group that still runs.
    pub(crate) fn of_group(group: u32) -> io::Result<Self> {
        let mut sum = Self::default();
        for entry in fs::read_dir("/proc")? {
            let name = entry?.file_name();
            let Some(pid) = name.to_str().filter(|name| name.parse::<u32>().is_ok()) else {
                continue;
            };
            // It may end between the two looks.
            let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else {
                continue;
            };
            if Stat::read(&stat).is_some_and(|stat| stat.group == group)
                && let Ok(usage) = Self::of_process(pid)
            {
                sum.cpu_s += usage.cpu_s;
                sum.memory_peak += usage.memory_peak;
                sum.memory += usage.memory;
            }
        }
        Ok(sum)
    }

    fn of_process(pid: &str) -> io::Result<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
        let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
        let stat = Stat::read(&stat).ok_or_else(|| io::Error::other("a stat file is not one"))?;
        Ok(Self {
            cpu_s: stat.cpu_s,
            memory_peak: bytes_of(&status, "VmHWM:"),
            memory: bytes_of(&status, "VmRSS:"),
        })
    }
}

#[derive(Debug, PartialEq)]
struct Stat {
    group: u32,
    cpu_s: f64,
}

impl Stat {
    /// A program's name may hold blanks and parentheses; the numbers begin after the last one.
    fn read(text: &str) -> Option<Self> {
        let (_, numbers) = text.rsplit_once(')')?;
        let numbers: Vec<&str> = numbers.split_whitespace().collect();
        let ticks = |at: usize| numbers.get(at)?.parse::<f64>().ok();
        Some(Self {
            group: numbers.get(2)?.parse().ok()?,
            cpu_s: (ticks(11)? + ticks(12)?) / TICKS_PER_SECOND,
        })
    }
}

fn bytes_of(status: &str, name: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_are_found_behind_any_name() {
        let text = "42 (a) b (c) S 1 40 40 0 -1 4194560 1 2 3 4 150 50 9 9 20 0 3 0 100 1 2";
        let expected = Stat {
            group: 40,
            cpu_s: 2.0,
        };
        assert_eq!(Stat::read(text), Some(expected));
        assert_eq!(Stat::read("42 (name) S 1"), None);
    }

    #[test]
    fn memory_is_in_kibibytes() {
        let status = "Name:\tx\nVmHWM:\t    2048 kB\nVmRSS:\t    1024 kB\n";
        assert_eq!(bytes_of(status, "VmHWM:"), 2_097_152);
        assert_eq!(bytes_of(status, "VmRSS:"), 1_048_576);
        assert_eq!(bytes_of("Name:\tx\n", "VmHWM:"), 0);
    }

    #[test]
    fn a_process_has_used_some_memory() {
        let usage = Usage::of_this_process().unwrap();
        assert!(0 < usage.memory && usage.memory <= usage.memory_peak);
    }
}
