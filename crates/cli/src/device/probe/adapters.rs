//! The adapters that wgpu reaches.

use std::collections::HashMap;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use burn::tensor::wgpu::wgpu;

use crate::device::entry::{DeviceEntry, Kind, Runtime};
use crate::device::memory;
use crate::device::name::{self, DeviceName};

/// An adapter as its graphics API presents it.
#[derive(Clone, Debug)]
pub(in crate::device) struct Adapter {
    pub(in crate::device) runtime: Runtime,
    pub(in crate::device) kind: Kind,
    pub(in crate::device) name: String,
    pub(in crate::device) driver: String,
    pub(in crate::device) pci_address: String,
}

/// All adapters of the first graphics API with a GPU and of those asked before it.
///
/// An API with nothing but a software adapter is no reason to stop: a GPU handed into a virtual machine may be reached
/// by OpenGL alone. Where the first has a GPU, the others are not asked: the same card on two APIs is not two devices,
/// and OpenGL's search for a window system costs time and talks.
pub(super) fn adapters() -> Vec<DeviceEntry> {
    let mut found = Vec::new();
    for (api, runtime) in graphics_apis() {
        let adapters = adapters_on(api, runtime);
        let has_gpu = adapters.iter().any(|adapter| adapter.kind.is_gpu());
        found.extend(adapters);
        if has_gpu {
            break;
        }
    }
    numbered(found)
}

/// The graphics APIs that can be here, in the order in which Burn prefers them.
fn graphics_apis() -> Vec<(wgpu::Backend, Runtime)> {
    if cfg!(target_os = "macos") {
        return vec![(wgpu::Backend::Metal, Runtime::Metal)];
    }
    vec![
        (wgpu::Backend::Vulkan, Runtime::Vulkan),
        (wgpu::Backend::Dx12, Runtime::DirectX12),
        (wgpu::Backend::Gl, Runtime::OpenGl),
    ]
}

fn adapters_on(api: wgpu::Backend, runtime: Runtime) -> Vec<Adapter> {
    let mut options = wgpu::InstanceDescriptor::new_without_display_handle();
    options.backends = api.into();
    let instance = wgpu::Instance::new(options);
    let mut listing = pin!(instance.enumerate_adapters(api.into()));
    // Outside a browser the list is ready when it is asked for.
    let Poll::Ready(adapters) = listing.as_mut().poll(&mut Context::from_waker(Waker::noop())) else {
        return Vec::new();
    };
    adapters.iter().map(|adapter| describe(&adapter.get_info(), runtime)).collect()
}

fn describe(info: &wgpu::AdapterInfo, runtime: Runtime) -> Adapter {
    let kind = match info.device_type {
        wgpu::DeviceType::DiscreteGpu => Kind::DiscreteGpu,
        wgpu::DeviceType::IntegratedGpu => Kind::IntegratedGpu,
        wgpu::DeviceType::VirtualGpu => Kind::VirtualGpu,
        wgpu::DeviceType::Cpu => Kind::Software,
        wgpu::DeviceType::Other => Kind::OtherGpu,
    };
    Adapter {
        runtime,
        kind,
        name: info.name.clone(),
        driver: format!("{} {}", info.driver, info.driver_info).trim().to_owned(),
        pci_address: info.device_pci_bus_id.clone(),
    }
}

/// Gives each adapter that can be opened its name, from the best on.
///
/// Burn's selectors count each kind by itself, in the order of the API, so `index` is taken before sorting; `wgpu:N`
/// counts all GPUs through. Burn can select one software adapter on an API, the first, and has no selector for a GPU of
/// undeclared kind except as the API's default, which is this GPU only where there is no other.
pub(in crate::device) fn numbered(adapters: Vec<Adapter>) -> Vec<DeviceEntry> {
    let declared_gpu = adapters.iter().any(|adapter| adapter.kind.is_gpu() && adapter.kind != Kind::OtherGpu);
    let mut seen: HashMap<(Runtime, Kind), usize> = HashMap::new();
    let mut indexed = Vec::new();
    for adapter in adapters {
        let index = seen.entry((adapter.runtime, adapter.kind)).or_default();
        indexed.push((*index, adapter));
        *index += 1;
    }
    indexed.retain(|(index, adapter)| match adapter.kind {
        Kind::OtherGpu => !declared_gpu && *index == 0,
        Kind::Software => *index == 0,
        _ => true,
    });
    indexed.sort_by_key(|(_, adapter)| adapter.kind);

    let mut software_seen = false;
    indexed.retain(|(_, adapter)| adapter.kind != Kind::Software || !std::mem::replace(&mut software_seen, true));
    let entry = |(number, (index, adapter)): (usize, (usize, Adapter))| DeviceEntry {
        device: spelling(adapter.kind, number),
        kind: adapter.kind,
        runtime: adapter.runtime,
        index,
        // A software adapter computes in this machine's memory; so does an integrated GPU, in a part that is not
        // stated.
        memory_bytes: match adapter.kind {
            Kind::Software => memory::of_this_machine(),
            _ => memory::of_card(&adapter.pci_address),
        },
        name: adapter.name,
        driver: (!adapter.driver.is_empty()).then_some(adapter.driver),
    };
    indexed.into_iter().enumerate().map(entry).collect()
}

/// What to write after `--device` for an adapter of this kind, the number `number` among the GPUs.
fn spelling(kind: Kind, number: usize) -> String {
    let adapter = if kind.is_gpu() { name::Adapter::Gpu(number) } else { name::Adapter::Software };
    DeviceName::Wgpu(adapter).to_string()
}
