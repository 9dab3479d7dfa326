//! The processes of a pod as the machine sees them. The namespace `outside` shares the machine's process numbers, so the
//! kernel's own figures are read, not what a program says about itself.

use std::collections::BTreeSet;

use crate::cluster::object;

/// A process of a pod's containers.
#[derive(Debug)]
pub struct Process {
    /// Its number on this machine.
    pub pid: u32,
    /// Name of the program, at most 15 characters.
    pub name: String,
}

/// The processes of a pod, without that of its sandbox.
async fn processes(namespace: &str, pod: &str) -> Vec<Process> {
    let pod = object("pod", pod, namespace).await;
    let cgroup = format!("/pod{}/", pod["metadata"]["uid"].as_str().expect("uid"));
    let numbers = std::fs::read_dir("/proc").expect("/proc").flatten();
    let numbers = numbers.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    numbers
        .filter(|pid| read(*pid, "cgroup").is_some_and(|text| text.contains(&cgroup)))
        .filter_map(|pid| Some(Process { pid, name: read(pid, "comm")?.trim().to_owned() }))
        .filter(|process| process.name != "pause")
        .collect()
}

/// The one process of a pod that runs one program.
pub async fn only_process(namespace: &str, pod: &str) -> Process {
    let mut all = processes(namespace, pod).await;
    assert_eq!(all.len(), 1, "{all:?}");
    all.remove(0)
}

impl Process {
    /// Resident memory in bytes: its own pages, and those of its program and libraries.
    pub fn resident_bytes(&self) -> u64 {
        let status = read(self.pid, "status").expect("the process runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("VmRSS");
        let kib: u64 = line.trim().strip_suffix(" kB").expect("kB").trim().parse().expect("a number");
        kib * 1024
    }

    /// The TCP ports that are listened on in the process's network.
    pub fn listening(&self) -> BTreeSet<u16> {
        let tables = ["net/tcp", "net/tcp6"].map(|table| read(self.pid, table).unwrap_or_default());
        let port = |line: &str| {
            let mut fields = line.split_whitespace().skip(1);
            let (local, state) = (fields.next()?, fields.nth(1)?);
            let listens = state == "0A";
            u16::from_str_radix(local.rsplit_once(':')?.1, 16).ok().filter(|_| listens)
        };
        tables.iter().flat_map(|table| table.lines().skip(1).filter_map(port)).collect()
    }
}

fn read(pid: u32, file: &str) -> Option<String> {
    std::fs::read_to_string(format!("/proc/{pid}/{file}")).ok()
}
