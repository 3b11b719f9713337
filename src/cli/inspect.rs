//! `prospr inspect`

use std::fmt::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use super::models;
use crate::inspection::{InspectedLayer, InspectedMask, Inspection, Overlap, Subject, inspect};

#[derive(clap::Args)]
pub struct Args {
    /// Masks: a run's mask.safetensors, or a file of another program, also PyTorch's .pt.
    #[arg(required = true, value_name = "MASK")]
    files: Vec<PathBuf>,
    /// Network, by a name from `prospr models`, if the files do not name it.
    #[arg(long, value_name = "NAME")]
    model: Option<String>,
    /// Channels, height and width of the images, instead of those in the files or the network's usual ones.
    #[arg(long, value_name = "C,H,W", value_delimiter = ',')]
    image: Option<Vec<usize>>,
    /// Number of classes, instead of that in the files or the network's usual one.
    #[arg(long)]
    classes: Option<usize>,
    /// Draw the kept weights of each layer into an .svg or .png file.
    #[arg(long, value_name = "FILE")]
    picture: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let subject = Subject {
        model: args.model.clone(),
        image: models::image(args.image.as_deref())?,
        classes: args.classes,
    };
    let inspection = inspect(&args.files, &subject)?;
    if let Some(file) = &args.picture {
        inspection.picture(file)?;
    }
    match args.json {
        true => println!("{}", serde_json::to_string_pretty(&inspection)?),
        false => print!("{}", text(&inspection)?),
    }
    Ok(ExitCode::SUCCESS)
}

fn text(inspection: &Inspection) -> Result<String, std::fmt::Error> {
    let mut text = String::new();
    for mask in &inspection.masks {
        describe(&mut text, mask)?;
    }
    for Overlap { a, b, iou, layers } in &inspection.overlaps {
        writeln!(text, "{} and {}", a.display(), b.display())?;
        writeln!(text, "  IoU {iou:.4}")?;
        for (name, iou) in layers {
            writeln!(text, "  {name:<36} {iou:>8.4}  {}", bar(*iou))?;
        }
    }
    Ok(text)
}

fn describe(text: &mut String, mask: &InspectedMask) -> std::fmt::Result {
    write!(text, "{}: {}", mask.file.display(), mask.model)?;
    if let Some(origin) = &mask.origin {
        let check = origin.check.map(|check| format!(", {}", check.title()));
        write!(
            text,
            ", {} at {} %{}, seed {}",
            origin.pruner,
            100.0 * origin.sparsity_requested,
            check.unwrap_or_default(),
            origin.seed
        )?;
    }
    writeln!(text)?;
    let percent = |fraction: f64| format!("{:.2} %", 100.0 * fraction);
    let weights = |count: usize, what: &str, sparsity: f64| {
        format!("{count} of {}, {what} {}", mask.weights, percent(sparsity))
    };
    let flops = format!(
        "{} of {}, on paths {}",
        percent(mask.flops_kept),
        models::short(mask.flops),
        percent(mask.flops_effective)
    );
    let mut line = |name: &str, value: String| writeln!(text, "  {name:<14} {value}");
    line("weights kept", weights(mask.kept, "sparsity", mask.sparsity))?;
    let effective = weights(mask.effective, "effective sparsity", mask.effective_sparsity);
    line("on a path", effective)?;
    line("FLOPs kept", flops)?;
    for layer in &mask.collapsed {
        let warning = format!("no path from the input to the output passes {layer}");
        line("layer collapse", warning)?;
    }
    writeln!(
        text,
        "  {:<36} {:>10} {:>10} {:>10} {:>9}",
        "layer", "weights", "kept", "on a path", "density"
    )?;
    for layer in &mask.layers {
        let InspectedLayer { name, weights, kept, effective, density, .. } = layer;
        writeln!(
            text,
            "  {name:<36} {weights:>10} {kept:>10} {effective:>10} {:>9}  {}",
            percent(*density),
            bar(*density)
        )?;
    }
    Ok(())
}

/// Draws a fraction as a bar 24 characters wide, in steps of an eighth of a character.
fn bar(share: f64) -> String {
    let eighths = (share * 24.0 * 8.0).ceil() as usize;
    let last = [' ', '▏', '▎', '▍', '▌', '▋', '▊', '▉'][eighths % 8];
    format!("{}{last}", "█".repeat(eighths / 8)).trim_end().into()
}
