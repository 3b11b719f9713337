//! Devices: the CPU and the GPUs that are open.

use std::collections::HashMap;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};

use burn_backend::Backend;
use burn_backend::cubecl::Device as CubeDevice;
use burn_wgpu::Wgpu;
use prospr_shaders::Arithmetic;

use super::adapters;
use super::device_info::DeviceInfo;
use super::memory::{MemoryUse, Meter};
use super::refusals::Refusals;
use crate::{DType, Error, Precision, Result};

/// A device that holds tensors and computes them: the CPU, or a GPU that wgpu can use.
///
/// Clones refer to the same device; opening a device twice returns the same one.
#[derive(Clone)]
pub struct Device(Arc<Inner>);

struct Inner {
    info: DeviceInfo,
    kind: DeviceKind,
    meter: Arc<Meter>,
}

pub(crate) enum DeviceKind {
    Cpu,
    Gpu(Gpu),
}

/// An open GPU.
pub(crate) struct Gpu {
    pub(crate) burn: CubeDevice,
    /// Largest number of iterations of a loop in a shader, if the driver has a limit.
    pub(crate) loop_limit: Option<usize>,
    pub(super) refusals: Arc<Refusals>,
    class: Class,
    /// Arithmetic of matrix products in mixed precision.
    mixed: Arithmetic,
}

/// Class of a GPU. Shapes and this class decide which kernels run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// A graphics driver that runs shaders on the CPU; `wide` if its shaders have 64-bit integers.
    SoftwareRasterizer { wide: bool },
    /// A GPU, or a device that Burn opened: the kernels for GPUs are correct on every device.
    Gpu,
}

/// Returns the class of an open device.
pub(super) fn class_of(burn: &CubeDevice) -> Class {
    match Device::of_burn(burn).kind() {
        DeviceKind::Gpu(gpu) => gpu.class,
        DeviceKind::Cpu => unreachable!("Burn opened a GPU"),
    }
}

/// Returns the arithmetic of matrix products on an open device.
pub(super) fn arithmetic_of(burn: &CubeDevice, precision: Precision) -> Arithmetic {
    match (precision, Device::of_burn(burn).kind()) {
        (Precision::Mixed, DeviceKind::Gpu(gpu)) => gpu.mixed,
        _ => Arithmetic::Full,
    }
}

/// Largest number of iterations of a loop on software rasterizers. llvmpipe ends the loops of an invocation after
/// 65,535 iterations in total, without an error; this leaves room for outer loops.
pub(super) const SOFTWARE_LOOP_LIMIT: usize = 16_384;

impl Device {
    /// Returns the CPU.
    pub fn cpu() -> Device {
        static CPU: OnceLock<Device> = OnceLock::new();
        CPU.get_or_init(|| Device::of(DeviceInfo::of_cpu(), DeviceKind::Cpu)).clone()
    }

    fn of(info: DeviceInfo, kind: DeviceKind) -> Device {
        Device(Arc::new(Inner { info, kind, meter: Arc::default() }))
    }

    /// Opens the GPU at an index of [`Device::list`], or returns it if it is open.
    pub(super) fn open(index: usize) -> Result<Device> {
        let mut open = Opened::lock();
        if let Some(device) = open.by_index.get(&index) {
            return Ok(device.clone());
        }
        let adapter = &adapters::adapters()[index];
        let (burn, refusals) = adapters::open(adapter)?;
        let info = adapters::describe(index, adapter);
        let gpu = Gpu {
            burn: burn.clone(),
            loop_limit: info.software.then_some(SOFTWARE_LOOP_LIMIT),
            refusals,
            mixed: if info.software {
                Arithmetic::Full
            } else {
                adapters::half_arithmetic(adapter)
            },
            class: if info.software {
                Class::SoftwareRasterizer { wide: adapters::has_int64(adapter) }
            } else {
                Class::Gpu
            },
        };
        let device = Device::of(info, DeviceKind::Gpu(gpu));
        open.by_index.insert(index, device.clone());
        open.by_burn.insert(burn, device.clone());
        Ok(device)
    }

    /// Returns the engine's device for one that Burn opened.
    pub(crate) fn of_burn(burn: &CubeDevice) -> Device {
        let open = &mut Opened::lock().by_burn;
        let device = open.entry(burn.clone()).or_insert_with(|| {
            let info = DeviceInfo {
                selector: "burn".into(),
                name: format!("{burn:?}"),
                backend: "burn-wgpu".into(),
                driver: String::new(),
                software: false,
                memory: None,
                largest_buffer: None,
                f16: false,
                cooperative_matrices: Vec::new(),
            };
            // It may be a software rasterizer.
            let gpu = Gpu {
                burn: burn.clone(),
                loop_limit: Some(SOFTWARE_LOOP_LIMIT),
                refusals: Arc::default(),
                class: Class::Gpu,
                mixed: Arithmetic::Full,
            };
            Device::of(info, DeviceKind::Gpu(gpu))
        });
        device.clone()
    }

    /// Returns Burn's handle of this device, if it is a GPU. Burn tensors made on it can be
    /// [imported](crate::bridge::Shared::import) and used together with the engine's own.
    pub fn to_burn(&self) -> Option<CubeDevice> {
        match &self.0.kind {
            DeviceKind::Cpu => None,
            DeviceKind::Gpu(gpu) => Some(gpu.burn.clone()),
        }
    }

    /// Returns the description of the device.
    pub fn info(&self) -> &DeviceInfo {
        &self.0.info
    }

    /// Returns true for the CPU; a software rasterizer is a GPU.
    pub fn is_cpu(&self) -> bool {
        matches!(self.0.kind, DeviceKind::Cpu)
    }

    /// Returns true if the device can hold tensors of a type.
    pub fn supports(&self, dtype: DType) -> bool {
        self.is_cpu() || dtype != DType::F64
    }

    /// Describes how the device computes convolutions and matrix products with [`Precision::Mixed`].
    ///
    /// # Errors
    /// The reason, if it computes them in f32 nevertheless.
    pub fn mixed_precision(&self) -> Result<String, String> {
        let f32 = |why: &str| Err(format!("{self} computes in f32: {why}"));
        match self.kind() {
            DeviceKind::Cpu => f32("mixed precision is for GPUs"),
            DeviceKind::Gpu(_) if self.info().software => f32("it is a software rasterizer"),
            DeviceKind::Gpu(gpu) => match gpu.mixed {
                Arithmetic::Full => f32("its shaders have no 16-bit floats"),
                Arithmetic::Half => Ok("f16 operands, f32 products and sums (it offers no cooperative matrices of f16 with f32 sums)".into()),
                Arithmetic::Matrices { size, .. } => {
                    Ok(format!("f16 operands in cooperative matrices of {size}×{size}, f32 sums"))
                }
            },
        }
    }

    /// Waits until the device has finished all submitted work. Evaluation submits work to a GPU and returns; reading a
    /// value waits.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`] if it had too little memory; [`Error::Device`] if it fails.
    pub fn synchronize(&self) -> Result<()> {
        let DeviceKind::Gpu(gpu) = self.kind() else {
            return Ok(());
        };
        let synced = <Wgpu as Backend>::sync(&gpu.burn).map_err(|e| Error::Device {
            device: self.to_string(),
            during: "finishing its work".into(),
            reason: format!("{e:?}"),
        });
        self.refused().and(synced)
    }

    /// Returns the tensor memory in use and its peak.
    pub fn memory(&self) -> MemoryUse {
        self.0.meter.read()
    }

    /// Sets the peak to the memory in use now.
    pub fn reset_peak_memory(&self) {
        self.0.meter.reset_peak();
    }

    pub(crate) fn kind(&self) -> &DeviceKind {
        &self.0.kind
    }

    pub(super) fn meter(&self) -> &Arc<Meter> {
        &self.0.meter
    }

    /// Returns an error if the device cannot hold tensors of a type.
    pub(super) fn require(&self, dtype: DType) -> Result<()> {
        if self.supports(dtype) {
            return Ok(());
        }
        Err(Error::Device {
            device: self.to_string(),
            during: format!("making a {dtype} tensor"),
            reason: "GPUs have no 64-bit floats here; use F32, or `Device::cpu()`".into(),
        })
    }

    /// Checks that the device can hold tensors of a type.
    ///
    /// # Panics
    /// If it cannot.
    #[track_caller]
    pub(crate) fn check_dtype(&self, dtype: DType) {
        if let Err(e) = self.require(dtype) {
            panic!("{e}");
        }
    }
}

/// The open GPUs. They stay open until the process ends.
#[derive(Default)]
struct Opened {
    by_index: HashMap<usize, Device>,
    by_burn: HashMap<CubeDevice, Device>,
}

impl Opened {
    fn lock() -> MutexGuard<'static, Opened> {
        static OPENED: OnceLock<Mutex<Opened>> = OnceLock::new();
        OPENED.get_or_init(Mutex::default).lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl PartialEq for Device {
    fn eq(&self, other: &Device) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Device {}

impl Hash for Device {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.0).hash(state);
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.info.fmt(f)
    }
}

impl fmt::Debug for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Device({self})")
    }
}
