//! Resident memory of another process. Source: `/proc`.

use std::fs;

/// A measurement of what a process needs at most from here on.
pub(super) struct Memory {
    pid: u32,
    before: u64,
}

impl Memory {
    /// Begins: forgets the highest mark of the past.
    pub(super) fn of(pid: u32) -> Self {
        // 5: reset the peak of the resident set (proc(5)).
        fs::write(format!("/proc/{pid}/clear_refs"), "5").unwrap();
        let memory = Self { pid, before: 0 };
        Self { before: memory.kilobytes("VmRSS:"), ..memory }
    }

    /// How far the highest mark since then is above the beginning, bytes.
    pub(super) fn grown(&self) -> u64 {
        self.kilobytes("VmHWM:").saturating_sub(self.before) * 1024
    }

    fn kilobytes(&self, field: &str) -> u64 {
        let text = fs::read_to_string(format!("/proc/{}/status", self.pid)).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(field)).expect("a living process");
        line.split_whitespace().next().unwrap().parse().unwrap()
    }
}

#[test]
fn the_highest_mark_is_seen_after_it_is_over() {
    let memory = Memory::of(std::process::id());
    let big = vec![7_u8; 64 << 20];
    assert_eq!(std::hint::black_box(&big).iter().filter(|byte| **byte == 7).count(), 64 << 20);
    drop(big);
    assert!(memory.grown() >= 60 << 20, "{}", memory.grown());
}
