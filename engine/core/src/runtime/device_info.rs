//! Descriptions of devices.

use std::fmt;

/// Description of a device, known without opening it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceInfo {
    /// The name that `--device` and [`Device::select`](crate::Device::select) take: `cpu`, `gpu:0`, …
    pub selector: String,
    /// The adapter's or processor's name.
    pub name: String,
    /// The graphics API, or `burn-flex` for the CPU.
    pub backend: String,
    /// Driver name and version; empty for the CPU.
    pub driver: String,
    /// True for a software rasterizer: Vulkan or DX12 computed by the CPU (lavapipe, WARP, SwiftShader).
    pub software: bool,
    /// Bytes of memory, if the system reports them.
    pub memory: Option<u64>,
    /// Bytes of the largest tensor, if there is a limit.
    pub largest_buffer: Option<u64>,
    /// True if shaders can compute in 16-bit floats.
    pub f16: bool,
    /// Shapes and types of the matrix units that shaders may use.
    pub cooperative_matrices: Vec<String>,
}

impl DeviceInfo {
    /// Describes this machine's processor.
    pub(super) fn of_cpu() -> DeviceInfo {
        let read = |path: &str, key: &str| {
            let text = std::fs::read_to_string(path).ok()?;
            let line = text.lines().find(|line| line.starts_with(key))?;
            Some(line.split_once(':')?.1.trim().to_string())
        };
        let cores = std::thread::available_parallelism().map_or(1, |n| n.get());
        let name = read("/proc/cpuinfo", "model name")
            .unwrap_or_else(|| std::env::consts::ARCH.to_string());
        let memory = read("/proc/meminfo", "MemTotal")
            .and_then(|kib| kib.trim_end_matches(" kB").parse::<u64>().ok())
            .map(|kib| kib * 1024);
        DeviceInfo {
            selector: "cpu".into(),
            name: format!("{name}, {cores} threads"),
            backend: "burn-flex".into(),
            driver: String::new(),
            software: false,
            memory,
            largest_buffer: None,
            f16: false,
            cooperative_matrices: Vec::new(),
        }
    }
}

impl fmt::Display for DeviceInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} ({})", self.selector, self.name, self.backend)
    }
}
