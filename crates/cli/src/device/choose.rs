//! From a name to an open device.

use burn::tensor::Device;
use kiln_training::estimate::MemoryEstimate;

use super::entry::{DeviceEntry, Kind};
use super::error::DeviceError;
use super::name::{Adapter, DeviceName};
use super::open::open;
use super::probe::{Listing, list};
use super::shortage::{Shortage, shortage};
use super::trial::{Depth, Trial, try_apart};

/// An open device.
#[derive(Clone, Debug)]
pub(crate) struct Chosen {
    /// The device, without automatic differentiation.
    pub(crate) device: Device,
    /// The name that asks for this very device again, `wgpu:0`.
    pub(crate) name: String,
    /// One line: which device it is and, if `auto` chose it, why.
    pub(crate) description: String,
    /// Whether it is a GPU and not the processor under one name or another.
    pub(crate) is_gpu: bool,
    /// Memory that it can use, in bytes, where known.
    memory_bytes: Option<u64>,
}

impl Chosen {
    /// What it is to the person at this machine.
    pub(crate) fn words(&self) -> &'static str {
        if self.is_gpu { "this device" } else { "this machine's processor" }
    }

    /// Where its memory is less than what training with batches of `batch` windows needs.
    pub(crate) fn shortage(&self, needed: &MemoryEstimate, batch: usize) -> Option<Shortage> {
        let place = if self.is_gpu { "this device" } else { "this machine" };
        shortage(place, self.memory_bytes?, needed, batch)
    }
}

/// Opens the device that `name` asks for.
///
/// # Errors
/// A name that is none, a backend that was not compiled in, a device that is not here, a driver that refuses.
pub(crate) fn choose(name: &str) -> Result<Chosen, DeviceError> {
    let asked_for: DeviceName = name.parse()?;
    if let Some(feature) = missing_feature(asked_for) {
        let here = list().names();
        return Err(DeviceError::NotCompiledIn { name: name.to_owned(), feature, here });
    }
    match asked_for {
        // These need no driver, so none is asked.
        DeviceName::Cpu => opened(&DeviceEntry::cpu(), name, None, &Listing::processors_only()),
        DeviceName::NdArray => opened(&DeviceEntry::ndarray(), name, None, &Listing::processors_only()),
        DeviceName::Auto => {
            let listing = list();
            let (entry, reason) = pick(&listing, |gpu| try_apart(gpu, Depth::Quick));
            opened(&entry, &entry.device, Some(reason), &listing)
        }
        wanted => {
            let listing = list();
            match listing.entries.iter().find(|entry| entry.answers_to(wanted)) {
                Some(entry) => {
                    withstands_us(entry, &listing)?;
                    opened(entry, &wanted.to_string(), None, &listing)
                }
                None => Err(DeviceError::NotHere {
                    name: name.to_owned(),
                    reason: why_not_here(wanted, &listing),
                    here: listing.names(),
                }),
            }
        }
    }
}

/// What `auto` takes out of a listing, and why: the first GPU that passes its trial, else the CPU. Never a software
/// adapter, which computes on the processor too, but slower.
pub(crate) fn pick(listing: &Listing, mut trial: impl FnMut(&DeviceEntry) -> Trial) -> (DeviceEntry, String) {
    let mut failures = Vec::new();
    for gpu in listing.entries.iter().filter(|entry| entry.kind.is_gpu()) {
        match trial(gpu) {
            Trial::Works { .. } => {
                let mut reason = "the best GPU here".to_owned();
                if !failures.is_empty() {
                    reason = format!("the best GPU here that works ({})", failures.join("; "));
                }
                return (gpu.clone(), reason);
            }
            Trial::Fails { problem } => failures.push(format!("{}, {}: {problem}", gpu.device, gpu.name)),
        }
    }
    (DeviceEntry::cpu(), why_cpu(listing, &failures))
}

/// Software adapters are known to crash in their own compiler on kernels that every GPU takes, and no `Result` comes
/// back from that. They are not for speed, so there is time to try each before it is trusted with the program.
fn withstands_us(entry: &DeviceEntry, listing: &Listing) -> Result<(), DeviceError> {
    if entry.kind != Kind::Software {
        return Ok(());
    }
    let Trial::Fails { problem } = try_apart(entry, Depth::Full) else {
        return Ok(());
    };
    let advice = if cfg!(feature = "wgpu") {
        "; the build `--no-default-features --features wgsl`, without tuned kernels, gets along with such adapters"
    } else {
        ""
    };
    Err(DeviceError::DoesNotStart {
        name: entry.device.clone(),
        description: entry.to_string(),
        reason: format!("{problem}{advice}"),
        here: listing.names(),
    })
}

/// Why `auto` falls back to the CPU.
fn why_cpu(listing: &Listing, failures: &[String]) -> String {
    if !failures.is_empty() {
        return format!("no GPU here works ({})", failures.join("; "));
    }
    if let Some(problem) = &listing.problem {
        return format!("the GPUs of this machine could not be listed: {problem}");
    }
    // A software adapter is none; `kiln devices` lists it.
    if super::probe::CAN_REACH_GPUS { "no GPU was found" } else { "this build has no GPU backend" }.to_owned()
}

/// Why a device that this build could reach is not in the listing.
fn why_not_here(wanted: DeviceName, listing: &Listing) -> String {
    if let Some(problem) = &listing.problem {
        return format!("the GPUs of this machine could not be listed: {problem}");
    }
    let software = listing.entries.iter().find(|entry| entry.kind == Kind::Software);
    match wanted {
        DeviceName::Wgpu(Adapter::Software) | DeviceName::Vulkan(Adapter::Software) => {
            "no software adapter is installed (on Debian: `apt install mesa-vulkan-drivers`)".to_owned()
        }
        DeviceName::Cuda(_) => "no CUDA device with this number (`nvidia-smi` shows what the driver sees)".to_owned(),
        DeviceName::Rocm(_) => "no ROCm device with this number (`rocminfo` shows what the driver sees)".to_owned(),
        _ if listing.entries.iter().any(|entry| entry.kind.is_gpu()) => "no GPU has this name".to_owned(),
        _ => match software {
            Some(software) => format!(
                "no GPU was found, only the software adapter {}; `{}` asks for that one",
                software.name, software.device
            ),
            None => "no graphics adapter was found: there is no GPU, or its driver is not installed".to_owned(),
        },
    }
}

/// The cargo feature that `name` needs and this build lacks.
pub(super) fn missing_feature(name: DeviceName) -> Option<&'static str> {
    let (feature, compiled_in) = match name {
        DeviceName::Auto | DeviceName::Cpu => return None,
        DeviceName::NdArray => ("ndarray", cfg!(feature = "ndarray")),
        DeviceName::Wgpu(_) => ("wgpu", cfg!(feature = "wgsl")),
        DeviceName::Vulkan(_) => ("wgpu", cfg!(feature = "wgpu")),
        DeviceName::Metal => ("metal", cfg!(feature = "metal")),
        DeviceName::Cuda(_) => ("cuda", cfg!(feature = "cuda")),
        DeviceName::Rocm(_) => ("rocm", cfg!(feature = "rocm")),
    };
    (!compiled_in).then_some(feature)
}

/// Opens an entry and describes it under `name`.
fn opened(entry: &DeviceEntry, name: &str, reason: Option<String>, listing: &Listing) -> Result<Chosen, DeviceError> {
    let device = open(entry).map_err(|reason| DeviceError::DoesNotStart {
        name: name.to_owned(),
        description: entry.to_string(),
        reason,
        here: listing.names(),
    })?;
    let description = match reason {
        Some(reason) => format!("{name} ({entry}), chosen by auto: {reason}"),
        None => format!("{name} ({entry})"),
    };
    let (is_gpu, memory_bytes) = (entry.kind.is_gpu(), entry.memory_bytes);
    Ok(Chosen { device, name: name.to_owned(), description, is_gpu, memory_bytes })
}
