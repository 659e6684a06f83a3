//! Devices: what a person may write after `--device`, what this machine has, and how one of them is opened.
//!
//! Only this module names Burn's backends. Three rules keep a driver from harming anyone:
//! - drivers are asked in a child process of ourselves with a time limit ([`probe`], [`trial`]), so that one that
//!   crashes or hangs is a line in a list and not the end of the program;
//! - a device is opened by the one constructor that answers with a `Result` ([`open`]); `Device::default()`, which
//!   picks what was compiled in and not what is here, is never called;
//! - an adapter has one selector inside the program however it was spelled, since two selectors are two clients with
//!   two memory pools on one card.

mod child;
mod choose;
mod entry;
mod error;
#[cfg_attr(not(feature = "wgsl"), allow(dead_code, reason = "a build for CPUs alone looks for no card"))]
mod memory;
mod name;
mod open;
mod probe;
mod quiet;
mod shortage;
#[cfg(test)]
mod tests;
mod trial;

pub(crate) use child::{Silence, run_ourselves_with};
pub(crate) use choose::{Chosen, choose, pick};
pub(crate) use entry::DeviceEntry;
pub(crate) use error::DeviceError;
pub(crate) use probe::{Listing, list, probe_here};
pub(crate) use trial::{Depth, Trial, try_apart, try_here};

/// The memory that this process has, where the system says so.
pub(crate) fn memory_of_this_process() -> Option<u64> {
    memory::of_this_process()
}

/// The device backends that are cargo features and were left out of this build, by their names after `--device`.
pub(crate) fn not_compiled_in() -> Vec<&'static str> {
    [
        ("ndarray", cfg!(feature = "ndarray")),
        ("wgpu", cfg!(feature = "wgsl")),
        ("vulkan", cfg!(feature = "wgpu")),
        ("cuda", cfg!(feature = "cuda")),
        ("rocm", cfg!(feature = "rocm")),
        ("metal", cfg!(feature = "metal")),
    ]
    .into_iter()
    .filter_map(|(name, compiled_in)| (!compiled_in).then_some(name))
    .collect()
}
