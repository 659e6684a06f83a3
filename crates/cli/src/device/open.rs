//! From a listed device to Burn's handle of it.

use std::panic::{self, AssertUnwindSafe};
use std::sync::{Mutex, PoisonError};

use burn::tensor::Device;

use super::entry::{DeviceEntry, Kind, Runtime};
use super::quiet::without_stderr;

/// What was opened so far. A second client of one device would have a memory pool of its own, and wgpu refuses to open
/// one selector twice.
static OPENED: Mutex<Vec<(Runtime, Kind, usize, Device)>> = Mutex::new(Vec::new());

/// Opens a device, or hands out the handle of the first time.
///
/// # Errors
/// What the driver said when it refused.
pub(super) fn open(entry: &DeviceEntry) -> Result<Device, String> {
    let mut opened = OPENED.lock().unwrap_or_else(PoisonError::into_inner);
    let known = opened
        .iter()
        .find(|(runtime, kind, index, _)| (*runtime, *kind, *index) == (entry.runtime, entry.kind, entry.index));
    if let Some((.., device)) = known {
        return Ok(device.clone());
    }
    let device = without_panic(|| without_stderr(|| open_now(entry)))??;
    opened.push((entry.runtime, entry.kind, entry.index, device.clone()));
    Ok(device)
}

fn open_now(entry: &DeviceEntry) -> Result<Device, String> {
    match entry.runtime {
        Runtime::Flex => Ok(Device::flex()),
        Runtime::Ndarray => ndarray(),
        Runtime::Cuda => cuda(entry.index),
        Runtime::Rocm => rocm(entry.index),
        Runtime::Vulkan | Runtime::Metal | Runtime::DirectX12 | Runtime::OpenGl => wgpu(entry),
    }
}

#[cfg(feature = "ndarray")]
#[allow(
    deprecated,
    reason = "deprecated by Burn in favour of Flex; kept here as a choice, to compare with and to check by"
)]
fn ndarray() -> Result<Device, String> {
    Ok(Device::ndarray())
}

#[cfg(not(feature = "ndarray"))]
fn ndarray() -> Result<Device, String> {
    Err("not part of this build".to_owned())
}

#[cfg(feature = "wgsl")]
fn wgpu(entry: &DeviceEntry) -> Result<Device, String> {
    use burn::tensor::DeviceKind;
    use burn::tensor::wgpu::WgpuBackend;

    kiln_kernels::set_up_gpus();
    let api = match entry.runtime {
        Runtime::Metal => WgpuBackend::Metal,
        Runtime::DirectX12 => WgpuBackend::Dx12,
        Runtime::OpenGl => WgpuBackend::Gl,
        _ => WgpuBackend::Vulkan,
    };
    let kind = match entry.kind {
        Kind::DiscreteGpu => DeviceKind::DiscreteGpu(entry.index),
        Kind::IntegratedGpu => DeviceKind::IntegratedGpu(entry.index),
        Kind::VirtualGpu => DeviceKind::VirtualGpu(entry.index),
        // Burn has no selector for this kind; it is listed only if it is the API's one GPU.
        Kind::OtherGpu => DeviceKind::DefaultDevice,
        Kind::Software | Kind::Cpu => DeviceKind::Cpu,
    };
    Device::wgpu_options().graphics_api(api).device_kind(kind).init().map_err(|error| error.to_string())
}

#[cfg(not(feature = "wgsl"))]
fn wgpu(_entry: &DeviceEntry) -> Result<Device, String> {
    Err("not part of this build".to_owned())
}

#[cfg(feature = "cuda")]
fn cuda(index: usize) -> Result<Device, String> {
    awake(Device::cuda(index))
}

#[cfg(not(feature = "cuda"))]
fn cuda(_index: usize) -> Result<Device, String> {
    Err("not part of this build".to_owned())
}

#[cfg(feature = "rocm")]
fn rocm(index: usize) -> Result<Device, String> {
    awake(Device::rocm(index))
}

#[cfg(not(feature = "rocm"))]
fn rocm(_index: usize) -> Result<Device, String> {
    Err("not part of this build".to_owned())
}

/// These backends open a device at its first operation, so one is done here, where its failure can be reported.
#[cfg(any(feature = "cuda", feature = "rocm"))]
fn awake(device: Device) -> Result<Device, String> {
    device.sync().map_err(|error| error.to_string())?;
    Ok(device)
}

/// The panic hook belongs to the whole process, so one at a time may exchange it.
static HOOK: Mutex<()> = Mutex::new(());

/// Runs `action` and turns a panic, which is how parts of the backends report what a machine lacks, into its message.
pub(super) fn without_panic<Output>(action: impl FnOnce() -> Output) -> Result<Output, String> {
    let _alone = HOOK.lock().unwrap_or_else(PoisonError::into_inner);
    let hook = panic::take_hook();
    panic::set_hook(Box::new(|_| {}));
    let outcome = panic::catch_unwind(AssertUnwindSafe(action));
    panic::set_hook(hook);
    outcome.map_err(|payload| {
        let text = payload.downcast_ref::<String>().map(String::as_str);
        text.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or("its driver failed").to_owned()
    })
}
