//! What this machine has.

use std::time::Duration;

use super::child::{Silence, run_ourselves};
use super::entry::{DeviceEntry, Kind};
#[cfg(any(feature = "cuda", feature = "rocm"))]
use super::name::DeviceName;
use super::quiet::without_stderr;

#[cfg(feature = "wgsl")]
pub(super) mod adapters;

/// Whether this build has any backend for GPUs.
pub(super) const CAN_REACH_GPUS: bool = cfg!(any(feature = "wgsl", feature = "cuda", feature = "rocm"));

/// How long drivers may take to say what they drive. An idle NVIDIA card can take seconds to wake.
const PROBE_LIMIT: Duration = Duration::from_secs(30);

/// The devices of this machine that this build can reach.
#[derive(Clone, Debug)]
pub(crate) struct Listing {
    /// The CPU first, then the GPUs from the best on, a software adapter last.
    pub(crate) entries: Vec<DeviceEntry>,
    /// Why the GPUs are missing, if asking for them failed.
    pub(crate) problem: Option<String>,
}

impl Listing {
    /// The listing of a machine without GPUs, made without asking any driver.
    pub(super) fn processors_only() -> Self {
        let mut entries = vec![DeviceEntry::cpu()];
        if cfg!(feature = "ndarray") {
            entries.push(DeviceEntry::ndarray());
        }
        Self { entries, problem: None }
    }

    /// All names in one line, `cpu, ndarray, wgpu:0 (NVIDIA H200)`.
    pub(super) fn names(&self) -> String {
        let name = |entry: &DeviceEntry| match entry.kind {
            Kind::Cpu => entry.device.clone(),
            _ => format!("{} ({})", entry.device, entry.name),
        };
        self.entries.iter().map(name).collect::<Vec<_>>().join(", ")
    }
}

/// Lists what is here, asking the drivers in a child process.
pub(crate) fn list() -> Listing {
    let mut listing = Listing::processors_only();
    if !CAN_REACH_GPUS {
        return listing;
    }
    match run_ourselves(&["devices", "--probe"], PROBE_LIMIT) {
        Ok(answer) => match serde_json::from_str::<Vec<DeviceEntry>>(&answer) {
            Ok(gpus) => listing.entries.extend(gpus),
            Err(error) => listing.problem = Some(format!("the answer of the probe cannot be read: {error}")),
        },
        // The program's file was moved or replaced under it: ask here, at the risk that the child is there to take.
        Err(Silence::NotStarted(_)) => listing.entries.extend(without_stderr(probe_here)),
        Err(silence) => listing.problem = Some(silence.to_string()),
    }
    listing
}

/// Asks the drivers in this process: the body of the child.
pub(crate) fn probe_here() -> Vec<DeviceEntry> {
    #[allow(unused_mut, reason = "without a GPU backend there is nothing to add")]
    let mut entries = Vec::new();
    #[cfg(feature = "cuda")]
    entries.extend(indexed(burn::tensor::DeviceType::Cuda, super::entry::Runtime::Cuda, DeviceName::Cuda));
    #[cfg(feature = "rocm")]
    entries.extend(indexed(burn::tensor::DeviceType::Rocm, super::entry::Runtime::Rocm, DeviceName::Rocm));
    #[cfg(feature = "wgsl")]
    entries.extend(adapters::adapters());
    entries
}

/// The devices of a backend that simply numbers them.
#[cfg(any(feature = "cuda", feature = "rocm"))]
fn indexed(
    backend: burn::tensor::DeviceType,
    runtime: super::entry::Runtime,
    name: fn(usize) -> DeviceName,
) -> Vec<DeviceEntry> {
    let entry = |(index, device): (usize, burn::tensor::Device)| {
        let identity = device.identity();
        let address = identity.as_ref().and_then(|identity| identity.physical.as_ref()?.pci_address);
        DeviceEntry {
            device: name(index).to_string(),
            kind: Kind::DiscreteGpu,
            runtime,
            index,
            name: identity.map_or_else(|| format!("{runtime} device"), |identity| identity.name),
            driver: None,
            memory_bytes: address.and_then(|address| super::memory::of_card(&address.to_string())),
        }
    };
    burn::tensor::Device::enumerate(backend).into_iter().enumerate().map(entry).collect()
}
