//! `prospr models`

use std::process::ExitCode;

use anyhow::Context;
use serde::Serialize;

use crate::Device;
use crate::models::{MODELS, Model, by_name};
use crate::nn::{Layer, Summary};

#[derive(clap::Args)]
pub struct Args {
    /// Show one network with its layers, by any name that runs accept.
    #[arg(long, value_name = "NAME")]
    model: Option<String>,
    /// Channels, height and width of the images, instead of the usual ones.
    #[arg(long, value_name = "C,H,W", value_delimiter = ',', requires = "model")]
    image: Option<Vec<usize>>,
    /// Number of classes, instead of the usual number.
    #[arg(long, requires = "model")]
    classes: Option<usize>,
    /// Print JSON, with all layers.
    #[arg(long)]
    json: bool,
}

/// A network for images of one size.
#[derive(Serialize)]
struct Row {
    name: String,
    about: &'static str,
    /// Channels, height, width.
    image: [usize; 3],
    classes: usize,
    /// Shape of one image's logits.
    output: Vec<usize>,
    parameters: usize,
    prunable_weights: usize,
    /// FLOPs of one image in evaluation mode.
    flops: u64,
    /// FLOPs of one image in a training step.
    training_step_flops: u64,
    layers: Vec<LayerRow>,
}

#[derive(Serialize)]
struct LayerRow {
    name: String,
    shape: Vec<usize>,
    weights: usize,
    /// FLOPs of one image in evaluation mode.
    flops: u64,
}

pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let Some(name) = &args.model else {
        let rows: Vec<Row> = MODELS
            .iter()
            .map(|model| row(model, model.example, model.image, model.classes))
            .collect::<anyhow::Result<_>>()?;
        match args.json {
            true => println!("{}", serde_json::to_string_pretty(&rows)?),
            false => list(&rows),
        }
        return Ok(ExitCode::SUCCESS);
    };
    let model = Model::of(name)?;
    let image = image(args.image.as_deref())?.unwrap_or(model.image);
    let row = row(model, name, image, args.classes.unwrap_or(model.classes))?;
    match args.json {
        true => println!("{}", serde_json::to_string_pretty(&row)?),
        false => describe(&row),
    }
    Ok(ExitCode::SUCCESS)
}

/// Parses the value of `--image`.
pub fn image(sizes: Option<&[usize]>) -> anyhow::Result<Option<[usize; 3]>> {
    let sizes = sizes.map(|sizes| {
        let three = sizes.try_into().ok();
        three.with_context(|| format!("--image takes C,H,W, found {} numbers", sizes.len()))
    });
    sizes.transpose()
}

fn row(model: &Model, name: &str, image: [usize; 3], classes: usize) -> anyhow::Result<Row> {
    let net = by_name(name, image, classes)?;
    let summary = Summary::of(&*net, image, &Device::cpu());
    let layer = |Layer { name, shape, flops }: Layer| LayerRow {
        name,
        weights: shape.iter().product(),
        shape,
        flops,
    };
    Ok(Row {
        name: name.into(),
        about: model.about,
        image,
        classes,
        output: summary.output,
        parameters: summary.parameters,
        prunable_weights: summary.weights,
        flops: summary.flops,
        training_step_flops: summary.step_flops,
        layers: summary.layers.into_iter().map(layer).collect(),
    })
}

fn list(rows: &[Row]) {
    println!(
        "{:<20}{:>14}{:>9}{:>13}{:>13}{:>9}{:>10}{:>8}",
        "network", "images", "classes", "parameters", "prunable", "FLOPs", "training", "layers"
    );
    for row in rows {
        println!(
            "{:<20}{:>14}{:>9}{:>13}{:>13}{:>9}{:>10}{:>8}",
            row.name,
            sizes(&row.image),
            row.classes,
            row.parameters,
            row.prunable_weights,
            short(row.flops),
            short(row.training_step_flops),
            row.layers.len()
        );
        println!("  {}", row.about);
    }
    println!(
        "FLOPs of one image: forward, and in a training step. Parameters and prunable weights are scalars."
    );
}

fn describe(row: &Row) {
    println!("{}: {}", row.name, row.about);
    let line = |name: &str, value: String| println!("  {name:<22} {value}");
    line("images", format!("{}, {} classes", sizes(&row.image), row.classes));
    line("logits of an image", sizes(&row.output));
    line("parameters", row.parameters.to_string());
    line("prunable weights", row.prunable_weights.to_string());
    line("FLOPs, forward", row.flops.to_string());
    line("FLOPs, training step", row.training_step_flops.to_string());
    println!("  {} layers with prunable weights", row.layers.len());
    for layer in &row.layers {
        println!("    {:<36} {:>18} {:>10}", layer.name, sizes(&layer.shape), layer.weights);
    }
}

fn sizes(shape: &[usize]) -> String {
    let sizes: Vec<String> = shape.iter().map(usize::to_string).collect();
    sizes.join("×")
}

/// Formats a number with three digits and a unit.
pub fn short(count: u64) -> String {
    let (value, unit) = match count as f64 {
        count if count >= 1e9 => (count / 1e9, "G"),
        count => (count / 1e6, "M"),
    };
    let digits = if value < 10.0 {
        2
    } else if value < 100.0 {
        1
    } else {
        0
    };
    format!("{value:.digits$} {unit}")
}
