//! The memory of this process.

/// The most memory that this process had in RAM at any one time so far, in bytes; nothing where the system does not say.
pub(super) fn peak_resident_bytes() -> Option<u64> {
    peak_of_status(&std::fs::read_to_string("/proc/self/status").ok()?)
}

/// The line `VmHWM:   123456 kB` of Linux's `/proc/self/status`, in bytes.
fn peak_of_status(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_peak_is_read_from_its_line() {
        let status = "Name:\tkiln\nVmPeak:\t  999 kB\nVmHWM:\t   12345 kB\nVmRSS:\t 1 kB\n";
        assert_eq!(peak_of_status(status), Some(12345 * 1024));
        assert_eq!(peak_of_status("Name:\tkiln\n"), None);
        assert_eq!(peak_of_status("VmHWM:\tmuch\n"), None);
    }
}
