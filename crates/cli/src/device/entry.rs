//! One device of this machine, as the listing knows it.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::memory;
use super::name::{Adapter, DeviceName};

/// A device that this build can reach on this machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct DeviceEntry {
    /// What to write after `--device`.
    pub(crate) device: String,
    /// What kind of hardware it is.
    pub(crate) kind: Kind,
    /// What drives it.
    pub(crate) runtime: Runtime,
    /// Which one of its kind on its runtime, counted from 0.
    pub(crate) index: usize,
    /// What the hardware calls itself.
    pub(crate) name: String,
    /// The driver and its version, if known.
    pub(crate) driver: Option<String>,
    /// Memory that it can use, in bytes, where known.
    pub(crate) memory_bytes: Option<u64>,
}

/// What kind of hardware a device is, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Kind {
    /// A card with its own memory.
    DiscreteGpu,
    /// A GPU that shares the processor's memory.
    IntegratedGpu,
    /// A GPU handed into a virtual machine.
    VirtualGpu,
    /// A GPU that does not say which kind it is.
    OtherGpu,
    /// A graphics driver that computes on the processor.
    Software,
    /// The processor itself.
    Cpu,
}

/// What drives a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Runtime {
    /// Burn's own CPU backend.
    Flex,
    /// burn-ndarray.
    Ndarray,
    /// wgpu on Vulkan.
    Vulkan,
    /// wgpu on Metal.
    Metal,
    /// wgpu on DirectX 12.
    DirectX12,
    /// wgpu on OpenGL.
    OpenGl,
    /// CUDA.
    Cuda,
    /// ROCm.
    Rocm,
}

impl Kind {
    /// Whether this is a GPU and not the processor under one name or another.
    pub(crate) fn is_gpu(self) -> bool {
        self < Self::Software
    }
}

impl DeviceEntry {
    /// The CPU through Burn's own backend: always here.
    pub(crate) fn cpu() -> Self {
        Self::processor(DeviceName::Cpu, Runtime::Flex)
    }

    /// The CPU through burn-ndarray.
    pub(crate) fn ndarray() -> Self {
        Self::processor(DeviceName::NdArray, Runtime::Ndarray)
    }

    fn processor(device: DeviceName, runtime: Runtime) -> Self {
        let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self {
            device: device.to_string(),
            kind: Kind::Cpu,
            runtime,
            index: 0,
            name: format!("processor, {threads} {}", if threads == 1 { "thread" } else { "threads" }),
            driver: None,
            memory_bytes: memory::of_this_machine(),
        }
    }

    /// Whether `name` means this device. The listing spells wgpu's devices `wgpu:N`; the names that pin its graphics
    /// API mean the same ones.
    pub(crate) fn answers_to(&self, name: DeviceName) -> bool {
        match name {
            DeviceName::Vulkan(adapter) => {
                self.runtime == Runtime::Vulkan && self.device == DeviceName::Wgpu(adapter).to_string()
            }
            DeviceName::Metal => {
                self.runtime == Runtime::Metal && self.device == DeviceName::Wgpu(Adapter::Gpu(0)).to_string()
            }
            _ => self.device == name.to_string(),
        }
    }
}

/// `NVIDIA H200, discrete GPU, Vulkan`.
impl fmt::Display for DeviceEntry {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            Kind::Cpu => write!(formatter, "{}, {}", self.runtime, self.name),
            kind => write!(formatter, "{}, {kind}, {}", self.name, self.runtime),
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::DiscreteGpu => "discrete GPU",
            Self::IntegratedGpu => "integrated GPU",
            Self::VirtualGpu => "virtual GPU",
            Self::OtherGpu => "GPU",
            Self::Software => "software adapter",
            Self::Cpu => "CPU",
        })
    }
}

impl fmt::Display for Runtime {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Flex => "Flex",
            Self::Ndarray => "burn-ndarray",
            Self::Vulkan => "Vulkan",
            Self::Metal => "Metal",
            Self::DirectX12 => "DirectX 12",
            Self::OpenGl => "OpenGL",
            Self::Cuda => "CUDA",
            Self::Rocm => "ROCm",
        })
    }
}
