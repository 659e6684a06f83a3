//! The memory of this process.

/// The most memory that this process had in RAM at any one time so far, in bytes; nothing where the system does not say.
pub(super) fn peak_resident_bytes() -> Option<u64> {
    line_of_status("VmHWM:")
}

/// The memory that this process has in RAM now, in bytes; nothing where the system does not say.
pub(super) fn resident_bytes() -> Option<u64> {
    line_of_status("VmRSS:")
}

fn line_of_status(label: &str) -> Option<u64> {
    bytes_of_line(&std::fs::read_to_string("/proc/self/status").ok()?, label)
}

/// A line such as `VmHWM:   123456 kB` of Linux's `/proc/self/status`, in bytes.
fn bytes_of_line(status: &str, label: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(label))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_read_from_its_line() {
        let status = "Name:\tkiln\nVmPeak:\t  999 kB\nVmHWM:\t   12345 kB\nVmRSS:\t 1 kB\n";
        assert_eq!(bytes_of_line(status, "VmHWM:"), Some(12345 * 1024));
        assert_eq!(bytes_of_line(status, "VmRSS:"), Some(1024));
        assert_eq!(bytes_of_line("Name:\tkiln\n", "VmHWM:"), None);
        assert_eq!(bytes_of_line("VmHWM:\tmuch\n", "VmHWM:"), None);
    }
}
