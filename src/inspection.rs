//! What mask files say about the networks that they leave: [`inspect`].

use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::experiment::Origin;
use crate::models::{Model, by_name};
use crate::pruners::{LayerOverlap, Mask, Statistics, overlap, prunable};
use crate::report::{LayerValues, write_shares};
use crate::{DType, Device, Key, TensorFile};

/// The network that masks are of. What is left out is what a mask's file tells, or else what is usual for the network.
#[derive(Clone, Debug, Default)]
pub struct Subject {
    /// Its name.
    pub model: Option<String>,
    /// Channels, height and width of its images.
    pub image: Option<[usize; 3]>,
    /// How many classes they have.
    pub classes: Option<usize>,
}

/// Several masks and what they share.
#[derive(Clone, Debug, Serialize)]
pub struct Inspection {
    /// One a file.
    pub masks: Vec<InspectedMask>,
    /// One for any two.
    pub overlaps: Vec<Overlap>,
}

/// One mask. Fractions are between 0 and 1; FLOPs are of one image in evaluation.
#[derive(Clone, Debug, Serialize)]
pub struct InspectedMask {
    /// Where it is.
    pub file: PathBuf,
    /// The network.
    pub model: String,
    /// What the file tells of its making.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,
    /// Prunable weights.
    pub weights: usize,
    /// Those that stay.
    pub kept: usize,
    /// Those of them that lie on a path from the input to the output.
    pub effective: usize,
    /// The fraction removed.
    pub sparsity: f64,
    /// The fraction removed or on no path.
    pub effective_sparsity: f64,
    /// Of the whole network.
    pub flops: u64,
    /// The share that the weights that stay take.
    pub flops_kept: f64,
    /// The share that those on paths take.
    pub flops_effective: f64,
    /// Layers that no path passes.
    pub collapsed: Vec<String>,
    /// Layer by layer.
    pub layers: Vec<InspectedLayer>,
}

/// One layer of a mask.
#[derive(Clone, Debug, Serialize)]
pub struct InspectedLayer {
    /// The weight's name.
    pub name: String,
    /// How many weights there are.
    pub weights: usize,
    /// How many stay.
    pub kept: usize,
    /// How many of those lie on a path.
    pub effective: usize,
    /// The fraction that stays.
    pub density: f64,
    /// The fraction that stays and lies on a path.
    pub effective_density: f64,
    /// Floating-point operations without a mask.
    pub flops: u64,
}

/// What two masks share.
#[derive(Clone, Debug, Serialize)]
pub struct Overlap {
    /// One of them.
    pub a: PathBuf,
    /// The other.
    pub b: PathBuf,
    /// Intersection over union of the weights that they keep.
    pub iou: f64,
    /// The same of each layer.
    pub layers: Vec<(String, f64)>,
}

/// Reads masks and looks at what they leave.
///
/// # Errors
/// If a file cannot be read, its network is unknown, or two masks are of different networks.
pub fn inspect(files: &[PathBuf], subject: &Subject) -> anyhow::Result<Inspection> {
    let read: Vec<(Mask, InspectedMask)> = files
        .iter()
        .map(|file| read(file, subject))
        .collect::<anyhow::Result<_>>()?;
    let mut overlaps = Vec::new();
    for (at, (a, first)) in read.iter().enumerate() {
        for (b, second) in &read[at + 1..] {
            let layers = overlap(a, b)?;
            overlaps.push(Overlap {
                a: first.file.clone(),
                b: second.file.clone(),
                iou: LayerOverlap::total(&layers).iou(),
                layers: layers.iter().map(|l| (l.name.clone(), l.iou())).collect(),
            });
        }
    }
    Ok(Inspection {
        masks: read.into_iter().map(|(_, inspected)| inspected).collect(),
        overlaps,
    })
}

fn read(file: &Path, subject: &Subject) -> anyhow::Result<(Mask, InspectedMask)> {
    let origin: Option<Origin> = toml::from_str(TensorFile::read(file)?.text()).ok();
    let told = origin.as_ref();
    let model = subject.model.clone();
    let Some(model) = model.or_else(|| told.map(|origin| origin.model.clone())) else {
        anyhow::bail!(
            "{} does not tell which network it is of; say it with `--model`",
            file.display()
        );
    };
    let usual = Model::of(&model)?;
    let image = subject.image.or(told.and_then(|origin| origin.image));
    let classes = subject.classes.or(told.and_then(|origin| origin.classes));
    let image = image.unwrap_or(usual.image);
    let net = by_name(&model, image, classes.unwrap_or(usual.classes))?;
    let (params, state) = net.init(Key::new(0), &image, DType::F32, &Device::cpu());
    let (mask, _) = Mask::load(file, &prunable(&params))?;
    let statistics = Statistics::of(&*net, &params, &state, &mask, image)?;
    let layer = |layer: &crate::pruners::LayerStatistics| InspectedLayer {
        name: layer.name.clone(),
        weights: layer.weights,
        kept: layer.kept,
        effective: layer.effective,
        density: layer.density(),
        effective_density: layer.effective_density(),
        flops: layer.flops,
    };
    let inspected = InspectedMask {
        file: file.into(),
        model,
        weights: statistics.weights(),
        kept: statistics.kept(),
        effective: statistics.effective(),
        sparsity: statistics.sparsity(),
        effective_sparsity: statistics.effective_sparsity(),
        flops: statistics.flops(),
        flops_kept: statistics.flops_kept(),
        flops_effective: statistics.flops_effective(),
        collapsed: statistics.collapsed().map(|l| l.name.clone()).collect(),
        layers: statistics.layers.iter().map(layer).collect(),
        origin,
    };
    Ok((mask, inspected))
}

impl Inspection {
    /// Writes a picture of what is left of each layer as an SVG or a PNG file: of one mask kept and effective weights,
    /// of several those that they keep.
    ///
    /// # Errors
    /// If the file's name ends otherwise, or it cannot be written.
    pub fn picture(&self, file: &Path) -> anyhow::Result<()> {
        let shares = |label: String, mask: &InspectedMask, of: fn(&InspectedLayer) -> f64| {
            let values = mask.layers.iter().map(of).collect();
            LayerValues { label, values }
        };
        let series = match &self.masks[..] {
            [mask] => vec![
                shares("kept".into(), mask, |layer| layer.density),
                shares("on a path".into(), mask, |layer| layer.effective_density),
            ],
            masks => masks
                .iter()
                .map(|mask| shares(mask.file.display().to_string(), mask, |l| l.density))
                .collect(),
        };
        let names = self.masks.iter().flat_map(|mask| &mask.layers);
        let rows = self.masks.first().map_or(0, |mask| mask.layers.len());
        let names: Vec<&str> = names.take(rows).map(|layer| &layer.name[..]).collect();
        write_shares(file, &names, series)
    }
}
