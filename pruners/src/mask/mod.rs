//! Masks from scores: the one place where weights are chosen.

use std::path::Path;

use prospr_engine::{DType, Device, Params, Role, Tensor, top_k_masks};
use prospr_store::TensorFile;

use crate::{Error, Result};

mod allocation;
#[cfg(test)]
mod tests;

pub use allocation::Allocation;

/// The fraction of weights to remove, in `[0, 1)`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sparsity(f64);

impl Sparsity {
    /// A sparsity of this fraction.
    ///
    /// # Errors
    /// [`Error::Sparsity`] outside `[0, 1)`.
    pub fn new(fraction: f64) -> Result<Sparsity> {
        if (0.0..1.0).contains(&fraction) {
            Ok(Sparsity(fraction))
        } else {
            Err(Error::Sparsity(fraction))
        }
    }

    /// The fraction removed.
    pub fn fraction(self) -> f64 {
        self.0
    }

    /// Number of weights kept of `n`: `⌈n · (1 − sparsity)⌉`, as in ProsPr's reference code.
    pub fn kept(self, n: usize) -> usize {
        // Products such as 100 · (1 − 0.9) lie a rounding error above a whole number.
        (n as f64 * (1.0 - self.0) - 1e-12 * n as f64).ceil().max(0.0) as usize
    }
}

/// Options of a mask besides the sparsity.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MaskOptions {
    /// Rule that shares out the kept weights among the layers.
    pub allocation: Allocation,
    /// Number of its best weights that each layer keeps in any case. With 0, a layer that would lose all is an error.
    pub min_per_layer: usize,
    /// Layers that stay whole: `first`, `last`, or names such as `conv1` or `conv1.weight`. The order of layers is that
    /// of the network's parameters.
    pub keep: Vec<String>,
    /// True if the sparsity is that of the other layers alone. Otherwise it is that of the whole network, and the other
    /// layers lose more to make up for those that stay whole.
    pub sparsity_excludes_kept: bool,
}

/// Binary pruning mask: the kept weights of each layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mask {
    layers: Vec<MaskLayer>,
}

/// One layer of a mask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MaskLayer {
    /// The weight's name.
    pub name: String,
    /// The weight's shape.
    pub shape: Vec<usize>,
    /// For each element, true if it is kept, in row-major order.
    pub keep: Vec<bool>,
}

impl MaskLayer {
    /// Number of kept elements.
    pub fn kept(&self) -> usize {
        self.keep.iter().filter(|&&keep| keep).count()
    }
}

impl Mask {
    /// A mask of these layers.
    ///
    /// # Panics
    /// If a layer has more or fewer elements than its shape.
    pub fn from_layers(layers: Vec<MaskLayer>) -> Mask {
        for MaskLayer { name, shape, keep } in &layers {
            let (found, expected) = (keep.len(), shape.iter().product::<usize>());
            assert!(
                found == expected,
                "layer `{name}` of shape {shape:?} takes {expected} elements, found {found}"
            );
        }
        Mask { layers }
    }

    /// Keeps exactly the `⌈n(1 − sparsity)⌉` highest scores of all `n` weights, or of each layer as many as
    /// [`Allocation`] says, the same number in all. Equal scores rank by place: earlier layers and elements first.
    ///
    /// # Errors
    /// [`Error::NotFinite`], [`Error::EmptyLayer`], [`Error::Minimum`], [`Error::UnknownLayer`], or the engine's.
    pub fn new(scores: &Params, sparsity: Sparsity, options: &MaskOptions) -> Result<Mask> {
        let names: Vec<&str> = scores.iter().map(|(name, ..)| name).collect();
        let layers: Vec<Tensor> = scores.iter().map(|(.., score)| score.clone()).collect();
        if let Some(at) = first_not_finite(&layers)? {
            let layer = names[at].into();
            return Err(Error::NotFinite { layer });
        }
        let dense = allocation::dense(&names, &options.keep)?;
        let pruned: Vec<Tensor> = layers
            .iter()
            .zip(&dense)
            .filter(|(_, dense)| !**dense)
            .map(|(layer, _)| layer.clone())
            .collect();
        let numel = |layers: &[Tensor]| layers.iter().map(Tensor::numel).sum::<usize>();
        let whole = numel(&layers) - numel(&pruned);
        let kept = match options.sparsity_excludes_kept {
            true => whole + sparsity.kept(numel(&pruned)),
            false => sparsity.kept(numel(&layers)),
        };
        let minima: Vec<usize> =
            pruned.iter().map(|layer| options.min_per_layer.min(layer.numel())).collect();
        let needed = whole + minima.iter().sum::<usize>();
        if kept < needed {
            return Err(Error::Minimum { needed, kept, sparsity: sparsity.fraction() });
        }
        let mut best = chosen(&pruned, &minima, kept - whole, options.allocation)?.into_iter();
        let layers = scores.iter().zip(dense).map(|((name, _, score), dense)| {
            let (name, shape) = (name.to_string(), score.shape().to_vec());
            let keep = match dense {
                true => vec![true; score.numel()],
                false => best.next().expect("one for each").to_vec::<bool>()?,
            };
            if !keep.contains(&true) {
                return Err(Error::EmptyLayer {
                    layer: name,
                    weights: keep.len(),
                    sparsity: sparsity.fraction(),
                });
            }
            Ok(MaskLayer { name, shape, keep })
        });
        Ok(Mask { layers: layers.collect::<Result<_>>()? })
    }

    /// The mask as ones and zeros that multiply weights of this type and device.
    ///
    /// # Errors
    /// The engine's, if a device fails.
    pub fn tensors(&self, dtype: DType, device: &Device) -> Result<Params> {
        let mut tensors = Params::new();
        for layer in &self.layers {
            let ones: Vec<f32> = layer.keep.iter().map(|&keep| f32::from(u8::from(keep))).collect();
            let tensor = Tensor::new(&ones, &layer.shape, device)?.to_dtype(dtype);
            tensors.insert(&layer.name, Role::Weight, tensor);
        }
        Ok(tensors)
    }

    /// The layers, in the network's order.
    pub fn layers(&self) -> &[MaskLayer] {
        &self.layers
    }

    /// Number of weights of all layers.
    pub fn weights(&self) -> usize {
        self.layers.iter().map(|layer| layer.keep.len()).sum()
    }

    /// Number of kept weights.
    pub fn kept(&self) -> usize {
        self.layers.iter().map(MaskLayer::kept).sum()
    }

    /// The fraction removed.
    pub fn sparsity(&self) -> f64 {
        1.0 - self.kept() as f64 / self.weights() as f64
    }

    /// Writes the mask as a safetensors file of bytes 0 and 1 by the names of the weights, with a text as metadata.
    ///
    /// # Errors
    /// The engine's, if the file cannot be written.
    pub fn save(&self, path: &Path, metadata: &str) -> Result<()> {
        let mut file = TensorFile::new(metadata);
        for MaskLayer { name, shape, keep } in &self.layers {
            let bytes: Vec<u8> = keep.iter().map(|&keep| u8::from(keep)).collect();
            file.insert(name, &Tensor::new(&bytes, shape, &Device::cpu())?)?;
        }
        Ok(file.write(path)?)
    }

    /// Reads a mask for the weights `of` a network, and the text in its metadata. Values may be of any type; weights with
    /// values other than zero are kept.
    ///
    /// # Errors
    /// [`Error::Foreign`] if a layer is missing, unknown or of another shape; the engine's, if the file cannot be
    /// read.
    pub fn load(path: &Path, of: &Params) -> Result<(Mask, String)> {
        let file = TensorFile::read(path)?;
        let foreign = |reason: String| Error::Foreign { path: path.display().to_string(), reason };
        if let Some(name) = file.names().find(|name| of.get(name).is_none()) {
            let known: Vec<&str> = of.iter().map(|(name, ..)| name).collect();
            return Err(foreign(format!(
                "it has a layer `{name}`, but the network's weights are {}",
                known.join(", ")
            )));
        }
        let mut layers = Vec::new();
        for (name, _, weight) in of.iter() {
            let shape = file
                .shape(name)
                .ok_or_else(|| foreign(format!("it lacks the network's layer `{name}`")))?;
            if shape != weight.shape() {
                return Err(foreign(format!(
                    "its layer `{name}` has the shape {shape:?}, the network's {:?}",
                    weight.shape()
                )));
            }
            let values = file.tensor(name, &Device::cpu())?.to_f64s()?;
            layers.push(MaskLayer {
                name: name.into(),
                shape: shape.to_vec(),
                keep: values.iter().map(|&value| value != 0.0).collect(),
            });
        }
        let text = file.text().to_string();
        Ok((Mask { layers }, text))
    }
}

/// Masks of the `kept` best scores of these layers, the minimum of each layer among them.
fn chosen(
    layers: &[Tensor],
    minima: &[usize],
    kept: usize,
    allocation: Allocation,
) -> Result<Vec<Tensor>> {
    let shapes: Vec<Vec<usize>> = layers.iter().map(|layer| layer.shape().to_vec()).collect();
    let own_best = |counts: &[usize]| -> Result<Vec<Tensor>> {
        let own = |(layer, &count): (&Tensor, &usize)| {
            Ok(top_k_masks(std::slice::from_ref(layer), count)?.remove(0))
        };
        layers.iter().zip(counts).map(own).collect()
    };
    if let Some(counts) = allocation.counts(&shapes, minima, kept) {
        return own_best(&counts);
    }
    let needed = minima.iter().sum::<usize>();
    if needed == 0 {
        return Ok(top_k_masks(layers, kept)?);
    }
    let own = own_best(minima)?;
    // The scores of weights that are kept already become −∞; enough others are left.
    let rest =
        |(own, layer): (&Tensor, &Tensor)| own.where_(&layer.full_like(f64::NEG_INFINITY), layer);
    let rest: Vec<Tensor> = own.iter().zip(layers).map(rest).collect();
    let best = top_k_masks(&rest, kept - needed)?;
    Ok(own.iter().zip(&best).map(|(a, b)| a.or(b)).collect())
}

/// The index of the first layer with a value that is infinite or NaN.
fn first_not_finite(layers: &[Tensor]) -> Result<Option<usize>> {
    if layers.is_empty() {
        return Ok(None);
    }
    let flags: Vec<Tensor> = layers.iter().map(|layer| layer.all_finite().reshape(&[1])).collect();
    let finite = Tensor::concat(&flags, 0).to_vec::<bool>()?;
    Ok(finite.iter().position(|&finite| !finite))
}
