//! Statistics of mask files: the sizes of the pruned networks and the overlap of masks. See [`inspect`].

use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::experiment::Origin;
use crate::models::{Model, by_name};
use crate::pruners::{LayerOverlap, Mask, Statistics, overlap, prunable};
use crate::report::{LayerValues, write_shares};
use crate::{DType, Device, Key, TensorFile};

/// The network that masks belong to. A field that is none is read from the mask's file; if the file does not state it
/// either, the default of the network counts.
#[derive(Clone, Debug, Default)]
pub struct Subject {
    /// Name of the network.
    pub model: Option<String>,
    /// Channels, height and width of the input images.
    pub image: Option<[usize; 3]>,
    /// Number of classes.
    pub classes: Option<usize>,
}

/// Statistics of several masks and of each pair.
#[derive(Clone, Debug, Serialize)]
pub struct Inspection {
    /// One entry for each file.
    pub masks: Vec<InspectedMask>,
    /// One entry for each pair of masks.
    pub overlaps: Vec<Overlap>,
}

/// Statistics of one mask. Fractions are between 0 and 1; FLOPs are those of evaluating one image.
#[derive(Clone, Debug, Serialize)]
pub struct InspectedMask {
    /// Path of the mask's file.
    pub file: PathBuf,
    /// Name of the network.
    pub model: String,
    /// Origin of the mask, if the file states it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,
    /// Number of prunable weights.
    pub weights: usize,
    /// Number of weights kept.
    pub kept: usize,
    /// Number of kept weights that lie on a path from the input to the output.
    pub effective: usize,
    /// Fraction of weights removed.
    pub sparsity: f64,
    /// Fraction of weights removed or on no path.
    pub effective_sparsity: f64,
    /// FLOPs of the prunable layers without a mask.
    pub flops: u64,
    /// Fraction of these FLOPs that the kept weights need.
    pub flops_kept: f64,
    /// Fraction of these FLOPs that the kept weights on paths need.
    pub flops_effective: f64,
    /// Names of the layers that no path passes through.
    pub collapsed: Vec<String>,
    /// The layers, first layer first.
    pub layers: Vec<InspectedLayer>,
}

/// Statistics of one layer of a mask.
#[derive(Clone, Debug, Serialize)]
pub struct InspectedLayer {
    /// Name of the weight tensor.
    pub name: String,
    /// Number of weights.
    pub weights: usize,
    /// Number of weights kept.
    pub kept: usize,
    /// Number of kept weights that lie on a path.
    pub effective: usize,
    /// Fraction of weights kept.
    pub density: f64,
    /// Fraction of weights that are kept and lie on a path.
    pub effective_density: f64,
    /// FLOPs of the layer without a mask.
    pub flops: u64,
}

/// Overlap of two masks.
#[derive(Clone, Debug, Serialize)]
pub struct Overlap {
    /// Path of the first mask.
    pub a: PathBuf,
    /// Path of the second mask.
    pub b: PathBuf,
    /// Intersection over union of the kept weights of all layers.
    pub iou: f64,
    /// Name of each layer and the intersection over union of its kept weights.
    pub layers: Vec<(String, f64)>,
}

/// Reads mask files and computes their statistics and overlaps.
///
/// # Errors
/// If a file cannot be read, its network is unknown, or two masks belong to different networks.
pub fn inspect(files: &[PathBuf], subject: &Subject) -> anyhow::Result<Inspection> {
    let read: Vec<(Mask, InspectedMask)> =
        files.iter().map(|file| read(file, subject)).collect::<anyhow::Result<_>>()?;
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
    Ok(Inspection { masks: read.into_iter().map(|(_, inspected)| inspected).collect(), overlaps })
}

/// Reads a mask file and computes its statistics.
fn read(file: &Path, subject: &Subject) -> anyhow::Result<(Mask, InspectedMask)> {
    let origin: Option<Origin> = toml::from_str(TensorFile::read(file)?.text()).ok();
    let stated = origin.as_ref();
    let model = subject.model.clone();
    let Some(model) = model.or_else(|| stated.map(|origin| origin.model.clone())) else {
        anyhow::bail!("{} does not name its network; name it with `--model`", file.display());
    };
    let usual = Model::of(&model)?;
    let image = subject.image.or(stated.and_then(|origin| origin.image));
    let classes = subject.classes.or(stated.and_then(|origin| origin.classes));
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
    /// Draws the fraction of weights kept of each layer into an SVG or a PNG file. For one mask, also draws
    /// the fraction of
    /// kept weights on a path; for several masks, draws one series for each.
    ///
    /// # Errors
    /// If the file has another extension, or it cannot be written.
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
