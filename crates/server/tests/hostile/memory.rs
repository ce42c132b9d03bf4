//! How much memory a server has ever had.

use crate::rig::Server;

/// The most that the process has had in memory since it began (`VmHWM`).
pub(crate) fn peak_mib(server: &Server) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let peak = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .unwrap();
    let kib: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
    kib >> 10
}

/// The server must never have had more.
#[track_caller]
pub(crate) fn stayed_below(server: &Server, mib_max: u64) {
    let peak = peak_mib(server);
    println!("peak: {peak} MiB");
    assert!(peak < mib_max, "{peak} MiB, of {mib_max}");
}
