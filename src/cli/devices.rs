//! `prospr devices`

use std::process::ExitCode;

use crate::{Device, DeviceInfo};

#[derive(clap::Args)]
pub struct Args {
    /// Show the device that this choice selects: auto, cpu, gpu, gpu:INDEX or gpu:NAME.
    #[arg(long, default_value = "auto", value_name = "DEVICE")]
    device: String,
}

pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    for info in Device::list() {
        describe(&info);
    }
    let reason = match args.device.as_str() {
        "auto" => Device::auto_explained()?.reason,
        choice => format!("using {}: --device {choice}", Device::select(choice)?),
    };
    println!("{reason}");
    Ok(ExitCode::SUCCESS)
}

fn describe(info: &DeviceInfo) {
    println!("{info}");
    let line = |name: &str, value: &str| println!("  {name:<22} {value}");
    if !info.driver.is_empty() {
        line("driver", &info.driver);
    }
    line("memory", &info.memory.map_or("unknown".into(), bytes));
    if info.backend != "burn-flex" {
        line("largest tensor", &info.largest_buffer.map_or("unlimited".into(), bytes));
        line("16-bit floats", if info.f16 { "yes" } else { "no" });
        let matrices = match info.cooperative_matrices.as_slice() {
            [] => "no".into(),
            shapes => shapes.join(", "),
        };
        line("cooperative matrices", &matrices);
        if info.software {
            line("note", "a software rasterizer: for tests; the CPU device is faster");
        }
    }
}

fn bytes(count: u64) -> String {
    match count as f64 / f64::from(1 << 30) {
        gib if gib < 1.0 => format!("{:.0} MiB", gib * 1024.0),
        gib => format!("{gib:.1} GiB"),
    }
}
