//! wgpu's adapters on this machine: listing, describing and opening them.

use std::sync::{Arc, OnceLock};

use burn_wgpu::wgpu;
use prospr_shaders::Arithmetic;

use super::device_info::DeviceInfo;
use super::refusals::Refusals;
use crate::{Error, Result};

/// One instance for the life of the process: Vulkan loaders crash when instances come and go on threads.
fn instance() -> &'static wgpu::Instance {
    static INSTANCE: OnceLock<wgpu::Instance> = OnceLock::new();
    INSTANCE.get_or_init(|| {
        wgpu::Instance::new(wgpu::InstanceDescriptor {
            backends: wgpu::Backends::PRIMARY,
            ..wgpu::InstanceDescriptor::new_without_display_handle()
        })
    })
}

/// The adapters, in the order of the indices of `gpu:INDEX`: discrete GPUs first, software rasterizers last.
pub(super) fn adapters() -> &'static [wgpu::Adapter] {
    static ADAPTERS: OnceLock<Vec<wgpu::Adapter>> = OnceLock::new();
    ADAPTERS.get_or_init(|| {
        let mut adapters =
            pollster::block_on(instance().enumerate_adapters(wgpu::Backends::PRIMARY));
        adapters.sort_by_key(|adapter| match adapter.get_info().device_type {
            wgpu::DeviceType::DiscreteGpu => 0,
            wgpu::DeviceType::IntegratedGpu => 1,
            wgpu::DeviceType::VirtualGpu => 2,
            wgpu::DeviceType::Other => 3,
            wgpu::DeviceType::Cpu => 4,
        });
        adapters
    })
}

/// Describes an adapter.
pub(super) fn describe(index: usize, adapter: &wgpu::Adapter) -> DeviceInfo {
    let info = adapter.get_info();
    let features = adapter.features();
    let limits = adapter.limits();
    let matrices = if features.contains(wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX) {
        let shape = |p: &wgpu::CooperativeMatrixProperties| {
            format!("{}×{}×{} {:?}→{:?}", p.m_size, p.n_size, p.k_size, p.ab_type, p.cr_type)
        };
        adapter.cooperative_matrix_properties().iter().map(shape).collect()
    } else {
        Vec::new()
    };
    let driver = [info.driver.trim(), info.driver_info.trim()].join(" ");
    DeviceInfo {
        selector: format!("gpu:{index}"),
        name: info.name,
        backend: info.backend.to_string(),
        driver: driver.trim().to_string(),
        software: info.device_type == wgpu::DeviceType::Cpu,
        memory: device_memory(adapter),
        largest_buffer: Some(limits.max_buffer_size.min(limits.max_storage_buffer_binding_size)),
        f16: features.contains(wgpu::Features::SHADER_F16),
        cooperative_matrices: matrices,
    }
}

/// Returns true if shaders can compute in 64-bit integers.
pub(super) fn has_int64(adapter: &wgpu::Adapter) -> bool {
    adapter.features().contains(wgpu::Features::SHADER_INT64)
}

/// Returns the arithmetic of mixed precision: matrix units with f16 operands and f32 sums if the adapter has them and
/// its subgroups have one fixed size, otherwise f16 in workgroup memory, or f32 without 16-bit floats.
pub(super) fn half_arithmetic(adapter: &wgpu::Adapter) -> Arithmetic {
    let (features, info) = (adapter.features(), adapter.get_info());
    if !features.contains(wgpu::Features::SHADER_F16) {
        return Arithmetic::Full;
    }
    let lanes = info.subgroup_min_size;
    if !features.contains(wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX)
        || lanes != info.subgroup_max_size
    {
        return Arithmetic::Half;
    }
    use wgpu::CooperativeScalarType::{F16, F32};
    let offered = adapter.cooperative_matrix_properties();
    let sizes = [16, 8].into_iter().find(|&size| {
        offered.iter().any(|p| {
            [p.m_size, p.n_size, p.k_size] == [size; 3] && p.ab_type == F16 && p.cr_type == F32
        })
    });
    let matrices =
        sizes.map(|size| Arithmetic::Matrices { size: size as usize, lanes: lanes as usize });
    matrices.filter(|matrices| !matrices.tiles().is_empty()).unwrap_or(Arithmetic::Half)
}

/// Returns the bytes of the largest device-local heap, if the graphics API reports them.
#[cfg(any(target_os = "linux", target_os = "android", target_os = "windows"))]
fn device_memory(adapter: &wgpu::Adapter) -> Option<u64> {
    // SAFETY: the handles are only read, and the guard keeps the adapter alive while they are.
    let properties = unsafe {
        let vulkan = adapter.as_hal::<wgpu::hal::api::Vulkan>()?;
        let instance = vulkan.shared_instance().raw_instance();
        instance.get_physical_device_memory_properties(vulkan.raw_physical_device())
    };
    const DEVICE_LOCAL: u32 = 1; // VK_MEMORY_HEAP_DEVICE_LOCAL_BIT
    let heaps = &properties.memory_heaps[..properties.memory_heap_count as usize];
    heaps.iter().filter(|heap| heap.flags.as_raw() & DEVICE_LOCAL != 0).map(|heap| heap.size).max()
}

#[cfg(not(any(target_os = "linux", target_os = "android", target_os = "windows")))]
fn device_memory(_: &wgpu::Adapter) -> Option<u64> {
    None
}

/// Opens an adapter with all its features and passes it to Burn. The returned record notes when its driver runs out of
/// memory.
pub(super) fn open(
    adapter: &wgpu::Adapter,
) -> Result<(burn_backend::cubecl::Device, Arc<Refusals>)> {
    let info = adapter.get_info();
    let failed = |reason: String| Error::Device {
        device: info.name.clone(),
        during: "opening it".into(),
        reason,
    };
    let request = adapter.request_device(&wgpu::DeviceDescriptor {
        label: Some("prospr"),
        required_features: adapter.features().difference(wgpu::Features::MAPPABLE_PRIMARY_BUFFERS),
        required_limits: adapter.limits(),
        memory_hints: wgpu::MemoryHints::MemoryUsage,
        trace: wgpu::Trace::Off,
        // SAFETY: cooperative matrices are experimental in wgpu; every kernel that uses them is validated.
        experimental_features: unsafe { wgpu::ExperimentalFeatures::enabled() },
    });
    let (device, queue) = pollster::block_on(request).map_err(|e| failed(e.to_string()))?;
    let opened = device.clone();
    let setup = burn_wgpu::WgpuSetup {
        instance: instance().clone(),
        adapter: adapter.clone(),
        device,
        queue,
        backend: info.backend,
    };
    let options = burn_wgpu::RuntimeOptions::try_default().map_err(|e| failed(e.to_string()))?;
    let burn = burn_wgpu::try_init_device(setup, options).map_err(|e| failed(e.to_string()))?;
    let refusals = Arc::<Refusals>::default();
    let seen = refusals.clone();
    // Replaces Burn's handler, which does the same without recording. The panic ends the task in Burn's thread that
    // needed the memory.
    opened.on_uncaptured_error(Arc::new(move |error| match error {
        wgpu::Error::OutOfMemory { .. } => {
            seen.note();
            std::panic::resume_unwind(Box::new(format!("wgpu error: {error}")));
        }
        error => panic!("wgpu error: {error}"),
    }));
    Ok((burn.into(), refusals))
}
