//! The time of calls on a device, and the memory of this process.

use std::any::Any;
use std::time::{Duration, Instant};

use burn::tensor::Device;

/// The result of a call, kept until the device has computed it: an operation whose result is dropped may be left out.
pub(super) type Kept = Box<dyn Any>;

/// Something to be timed.
pub(super) type Work<'a> = Box<dyn FnMut() -> Kept + 'a>;

/// Most calls in a round, so that a round of calls that cost nothing ends.
const MOST_CALLS: u32 = 100_000;

/// Seconds a call, as the mean of `calls`. Each is waited for, so that a device can neither merge nor delay calls; on a
/// GPU a call therefore costs some tens of microseconds at least.
pub(super) fn seconds_a_call(device: &Device, calls: u32, work: &mut Work<'_>) -> anyhow::Result<f64> {
    let started = Instant::now();
    for _ in 0..calls {
        let kept = work();
        device.sync()?;
        drop(kept);
    }
    Ok(started.elapsed().as_secs_f64() / f64::from(calls))
}

/// How many calls take about as long as `duration`, at least one. This is also the warm-up: the first call pays for
/// compiling and tuning, and isn't counted.
pub(super) fn calls_in(device: &Device, duration: Duration, work: &mut Work<'_>) -> anyhow::Result<u32> {
    seconds_a_call(device, 1, work)?;
    let mut calls = 1;
    loop {
        let seconds = seconds_a_call(device, calls, work)?;
        let wanted = duration.as_secs_f64() / seconds.max(1e-9);
        if wanted <= 4.0 * f64::from(calls) || calls >= MOST_CALLS {
            return Ok((wanted.round() as u32).clamp(1, MOST_CALLS));
        }
        calls *= 4;
    }
}

/// The most memory that this process has had in RAM at any one time, in bytes; `None` if the system doesn't say.
pub(super) fn peak_resident_bytes() -> Option<u64> {
    line_of_status("VmHWM:")
}

/// The memory that this process has in RAM now, in bytes; `None` if the system doesn't say.
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
