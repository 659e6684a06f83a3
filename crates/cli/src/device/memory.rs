//! How much memory a device has, where the operating system says so.
//!
//! wgpu states no capacity, so this is read from where the drivers publish it.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

/// The memory that a process may have here, in bytes: this machine's, or its container's where that is less.
pub(super) fn of_this_machine() -> Option<u64> {
    let machine = total_of_meminfo(&fs::read_to_string("/proc/meminfo").ok()?)?;
    // A container sees its own group of processes as the root of all; without a limit the file says `max`.
    let limit = fs::read_to_string("/sys/fs/cgroup/memory.max").ok().and_then(|limit| limit.trim().parse().ok());
    Some(limit.map_or(machine, |limit: u64| limit.min(machine)))
}

/// The memory that this process has, in bytes.
pub(super) fn of_this_process() -> Option<u64> {
    kibibytes(&fs::read_to_string("/proc/self/status").ok()?, "VmRSS:")
}

/// The memory of the card at a PCI address such as `0000:01:00.0`, in bytes.
pub(super) fn of_card(pci_address: &str) -> Option<u64> {
    if pci_address.is_empty() {
        return None;
    }
    let published = Path::new("/sys/bus/pci/devices").join(pci_address).join("mem_info_vram_total");
    match fs::read_to_string(published) {
        Ok(bytes) => bytes.trim().parse().ok(),
        Err(_) => of_nvidia_card(&nvidia_listing()?, pci_address),
    }
}

/// What NVIDIA's own tool says: a line `00000000:01:00.0, 143771` for each card, the memory in MiB.
fn nvidia_listing() -> Option<String> {
    let output = Command::new("nvidia-smi")
        .args(["--query-gpu=pci.bus_id,memory.total", "--format=csv,noheader,nounits"])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    String::from_utf8(output.stdout).ok()
}

/// The `MemTotal` line of `/proc/meminfo`, in bytes.
pub(super) fn total_of_meminfo(meminfo: &str) -> Option<u64> {
    kibibytes(meminfo, "MemTotal:")
}

/// The line of one of the system's lists that starts so, in bytes.
fn kibibytes(listing: &str, start: &str) -> Option<u64> {
    let line = listing.lines().find_map(|line| line.strip_prefix(start))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1024)
}

/// The line of a card in [`nvidia_listing`]; the tool writes the PCI domain with eight digits, Vulkan with four.
pub(super) fn of_nvidia_card(listing: &str, pci_address: &str) -> Option<u64> {
    listing.lines().find_map(|line| {
        let (address, mebibytes) = line.split_once(',')?;
        let same = address.trim().to_ascii_lowercase().ends_with(&pci_address.to_ascii_lowercase());
        let mebibytes: u64 = mebibytes.trim().parse().ok()?;
        same.then(|| mebibytes.checked_mul(1024 * 1024)).flatten()
    })
}
