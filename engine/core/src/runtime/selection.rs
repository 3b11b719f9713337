//! Choosing a device.

use super::adapters;
use super::device::Device;
use super::device_info::DeviceInfo;
use crate::{Error, Result};

/// A device and the reason for choosing it.
#[derive(Clone)]
pub struct Selection {
    /// The device.
    pub device: Device,
    /// One line that names the device and the reason.
    pub reason: String,
}

/// The environment variable that overrides [`Device::auto`].
const VARIABLE: &str = "PROSPR_DEVICE";

impl Device {
    /// Opens the best GPU; a software rasterizer only if there is no other.
    ///
    /// # Errors
    /// [`Error::NoSuchDevice`] if wgpu finds none; [`Error::Device`] if it cannot be opened.
    pub fn gpu() -> Result<Device> {
        Device::select("gpu")
    }

    /// Chooses the device of a program whose user chose none: the one that `PROSPR_DEVICE` names, else the best GPU,
    /// else the CPU. Software rasterizers are slower than the CPU and are only used if they are named.
    ///
    /// # Errors
    /// As [`Device::select`].
    pub fn auto() -> Result<Device> {
        Device::auto_explained().map(|selection| selection.device)
    }

    /// Chooses as [`Device::auto`], and gives the reason in one line.
    ///
    /// # Errors
    /// As [`Device::select`].
    pub fn auto_explained() -> Result<Selection> {
        if let Some(wish) = std::env::var(VARIABLE).ok().filter(|wish| !wish.is_empty()) {
            let device = Device::select(&wish)?;
            let reason = format!("using {device}: {VARIABLE}={wish}");
            return Ok(Selection { device, reason });
        }
        let infos = gpu_infos();
        let Some(index) = infos.iter().position(|info| !info.software) else {
            let device = Device::cpu();
            let why = match infos.first() {
                Some(info) => format!("the only GPU is a software rasterizer ({})", info.name),
                None => "no GPU was found".into(),
            };
            return Ok(Selection { reason: format!("using {device}: {why}"), device });
        };
        let device = Device::open(index)?;
        let why = if infos.len() == 1 { "the only GPU" } else { "the best GPU" };
        Ok(Selection { reason: format!("using {device}: {why}"), device })
    }

    /// Opens the device that a selector names: `auto`, `cpu`, `gpu`, `gpu:INDEX`, or `gpu:NAME` with any part of its
    /// name.
    ///
    /// # Errors
    /// [`Error::NoSuchDevice`] lists the devices of this machine; [`Error::Device`] if the device cannot be opened.
    pub fn select(selector: &str) -> Result<Device> {
        let missing = |reason: &str| {
            let lines: Vec<String> =
                Device::list().iter().map(|info| format!("  {info}")).collect();
            Err(Error::NoSuchDevice {
                requested: selector.into(),
                reason: reason.into(),
                available: lines.join("\n"),
            })
        };
        let infos = gpu_infos();
        match selector.split_once(':') {
            None if selector == "auto" => Device::auto(),
            None if selector == "cpu" => Ok(Device::cpu()),
            None if selector == "gpu" && infos.is_empty() => missing(
                "wgpu found no GPU; on Linux, install a Vulkan driver (Debian: mesa-vulkan-drivers).",
            ),
            None if selector == "gpu" => Device::open(0),
            Some(("gpu", which)) => {
                let found = match which.parse::<usize>() {
                    Ok(index) => (index < infos.len()).then_some(index),
                    Err(_) => {
                        let wanted = which.to_lowercase();
                        infos.iter().position(|info| info.name.to_lowercase().contains(&wanted))
                    }
                };
                match found {
                    Some(index) => Device::open(index),
                    None => missing("No GPU has that index or name."),
                }
            }
            _ => missing("Write `auto`, `cpu`, `gpu`, `gpu:INDEX` or `gpu:NAME`."),
        }
    }

    /// Lists every device of this machine, GPUs first.
    pub fn list() -> Vec<DeviceInfo> {
        let mut infos = gpu_infos();
        infos.push(DeviceInfo::of_cpu());
        infos
    }
}

/// Descriptions of the GPUs, in the order of their indices.
fn gpu_infos() -> Vec<DeviceInfo> {
    adapters::adapters()
        .iter()
        .enumerate()
        .map(|(i, adapter)| adapters::describe(i, adapter))
        .collect()
}
