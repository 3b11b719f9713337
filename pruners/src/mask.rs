//! Scores in, masks out: the one place where weights are chosen.

use std::path::Path;

use prospr_engine::{DType, Device, Params, Role, Tensor, TensorFile, top_k_masks};

use crate::{Error, Result};

/// The fraction of weights to remove, in `[0, 1)`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sparsity(f64);

impl Sparsity {
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

    /// How many of `n` weights stay: `⌈n · (1 − sparsity)⌉`, as ProsPr's reference code.
    pub fn kept(self, n: usize) -> usize {
        // Products such as 100 · (1 − 0.9) lie a rounding error above a whole number.
        (n as f64 * (1.0 - self.0) - 1e-12 * n as f64)
            .ceil()
            .max(0.0) as usize
    }
}

/// What is beside the sparsity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MaskOptions {
    /// How many of its best weights each layer keeps in any case. With 0, a layer that would empty is an error.
    pub min_per_layer: usize,
}

/// Which weights stay, layer by layer.
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
    /// Whether each element stays, in row-major order.
    pub keep: Vec<bool>,
}

impl MaskLayer {
    /// How many stay.
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

    /// Keeps exactly the `⌈n(1 − sparsity)⌉` highest scores of all layers together. Equal scores rank by place:
    /// earlier layers and elements first.
    ///
    /// # Errors
    /// [`Error::NotFinite`], [`Error::EmptyLayer`], [`Error::Minimum`], or the engine's.
    pub fn global(scores: &Params, sparsity: Sparsity, options: MaskOptions) -> Result<Mask> {
        let layers: Vec<Tensor> = scores.iter().map(|(.., score)| score.clone()).collect();
        if let Some(at) = first_not_finite(&layers)? {
            let layer = scores.iter().nth(at).map(|(name, ..)| name.into());
            return Err(Error::NotFinite {
                layer: layer.expect("a layer of these"),
            });
        }
        let kept = sparsity.kept(layers.iter().map(Tensor::numel).sum());
        let minimum = |layer: &Tensor| options.min_per_layer.min(layer.numel());
        let needed = layers.iter().map(minimum).sum();
        let left = kept.checked_sub(needed).ok_or(Error::Minimum {
            needed,
            kept,
            sparsity: sparsity.fraction(),
        })?;
        let keep = match needed {
            0 => top_k_masks(&layers, kept)?,
            _ => {
                let own = |layer: &Tensor| {
                    let own = top_k_masks(std::slice::from_ref(layer), minimum(layer));
                    own.map(|mut own| own.remove(0))
                };
                let own: Vec<Tensor> = layers.iter().map(own).collect::<Result<_, _>>()?;
                // What stays in any case is never the best of the rest, of which there are at least `left`.
                let rest = |(own, layer): (&Tensor, &Tensor)| {
                    own.where_(&layer.full_like(f64::NEG_INFINITY), layer)
                };
                let rest: Vec<Tensor> = own.iter().zip(&layers).map(rest).collect();
                let best = top_k_masks(&rest, left)?;
                own.iter().zip(&best).map(|(a, b)| a.or(b)).collect()
            }
        };
        let layers = scores.iter().zip(keep).map(|((name, _, score), keep)| {
            let (name, shape) = (name.to_string(), score.shape().to_vec());
            let keep = keep.to_vec::<bool>()?;
            if !keep.contains(&true) {
                return Err(Error::EmptyLayer {
                    layer: name,
                    weights: keep.len(),
                    sparsity: sparsity.fraction(),
                });
            }
            Ok(MaskLayer { name, shape, keep })
        });
        Ok(Mask {
            layers: layers.collect::<Result<_>>()?,
        })
    }

    /// The mask as ones and zeros that multiply weights of this type and device.
    ///
    /// # Errors
    /// The engine's, if a device fails.
    pub fn tensors(&self, dtype: DType, device: &Device) -> Result<Params> {
        let mut tensors = Params::new();
        for layer in &self.layers {
            let ones: Vec<f32> = layer
                .keep
                .iter()
                .map(|&keep| f32::from(u8::from(keep)))
                .collect();
            let tensor = Tensor::new(&ones, &layer.shape, device)?.to_dtype(dtype);
            tensors.insert(&layer.name, Role::Weight, tensor);
        }
        Ok(tensors)
    }

    /// Layer by layer.
    pub fn layers(&self) -> &[MaskLayer] {
        &self.layers
    }

    /// How many weights the layers have in all.
    pub fn weights(&self) -> usize {
        self.layers.iter().map(|layer| layer.keep.len()).sum()
    }

    /// How many weights stay.
    pub fn kept(&self) -> usize {
        self.layers.iter().map(MaskLayer::kept).sum()
    }

    /// The fraction that is removed.
    pub fn sparsity(&self) -> f64 {
        1.0 - self.kept() as f64 / self.weights() as f64
    }

    /// Writes the mask as a safetensors file of bytes 0 and 1 by the names of the weights, with a text beside them.
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

    /// Reads a mask for the weights `of` a network, and the text beside it. Values may be of any type: what is not
    /// zero stays.
    ///
    /// # Errors
    /// [`Error::Foreign`] if a layer is missing, unknown or of another shape; the engine's, if the file cannot be
    /// read.
    pub fn load(path: &Path, of: &Params) -> Result<(Mask, String)> {
        let file = TensorFile::read(path)?;
        let foreign = |reason: String| Error::Foreign {
            path: path.display().to_string(),
            reason,
        };
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

/// The first of these with a value that is infinite or NaN.
fn first_not_finite(layers: &[Tensor]) -> Result<Option<usize>> {
    if layers.is_empty() {
        return Ok(None);
    }
    let flags: Vec<Tensor> = layers
        .iter()
        .map(|layer| layer.all_finite().reshape(&[1]))
        .collect();
    let finite = Tensor::concat(&flags, 0).to_vec::<bool>()?;
    Ok(finite.iter().position(|&finite| !finite))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scores(layers: &[(&str, &[f32])]) -> Params {
        let mut params = Params::new();
        for (name, values) in layers {
            params.insert(
                name,
                Role::Weight,
                Tensor::new(values, &[values.len()], &Device::cpu()).unwrap(),
            );
        }
        params
    }

    fn kept(mask: &Mask) -> Vec<Vec<f64>> {
        let tensors = mask.tensors(DType::F32, &Device::cpu()).unwrap();
        tensors.iter().map(|(.., t)| t.to_f64s().unwrap()).collect()
    }

    #[test]
    fn exactly_the_highest_stay_and_ties_rank_by_place() {
        let scores = scores(&[("a", &[1.0, 5.0, 1.0]), ("b", &[1.0, 3.0])]);
        let mask =
            |s: f64| Mask::global(&scores, Sparsity::new(s).unwrap(), MaskOptions::default());
        assert_eq!(
            kept(&mask(0.6).unwrap()),
            [vec![0.0, 1.0, 0.0], vec![0.0, 1.0]]
        );
        assert_eq!(
            kept(&mask(0.4).unwrap()),
            [vec![1.0, 1.0, 0.0], vec![0.0, 1.0]]
        );
        assert_eq!(kept(&mask(0.0).unwrap()), [vec![1.0; 3], vec![1.0; 2]]);
        assert_eq!(mask(0.6).unwrap().kept(), 2);
        let error = mask(0.8).unwrap_err();
        assert_eq!(
            error,
            Error::EmptyLayer {
                layer: "b".into(),
                weights: 2,
                sparsity: 0.8
            }
        );
        assert!(error.to_string().contains("--min-per-layer"));
    }

    #[test]
    fn minimum_per_layer() {
        let scores = scores(&[("a", &[9.0, 8.0, 7.0, 6.0]), ("b", &[1.0, 2.0])]);
        let mask = |s: f64, m| {
            Mask::global(
                &scores,
                Sparsity::new(s).unwrap(),
                MaskOptions { min_per_layer: m },
            )
        };
        assert_eq!(
            kept(&mask(0.5, 1).unwrap()),
            [vec![1.0, 1.0, 0.0, 0.0], vec![0.0, 1.0]]
        );
        assert!(matches!(
            mask(0.5, 2),
            Err(Error::Minimum {
                needed: 4,
                kept: 3,
                ..
            })
        ));
    }

    #[test]
    fn bad_input_is_refused() {
        assert_eq!(Sparsity::new(1.0), Err(Error::Sparsity(1.0)));
        assert!(Sparsity::new(f64::NAN).is_err() && Sparsity::new(-0.1).is_err());
        let scores = scores(&[("a", &[1.0, f32::NAN])]);
        let error =
            Mask::global(&scores, Sparsity::new(0.5).unwrap(), MaskOptions::default()).unwrap_err();
        assert_eq!(error, Error::NotFinite { layer: "a".into() });
    }

    #[test]
    fn files_hold_masks_and_know_their_network() {
        let path = std::env::temp_dir().join(format!("prospr-mask-{}", std::process::id()));
        let weights = scores(&[("a", &[1.0, 5.0, 2.0]), ("b", &[4.0, 3.0])]);
        let mask = Mask::global(
            &weights,
            Sparsity::new(0.4).unwrap(),
            MaskOptions::default(),
        );
        let mask = mask.unwrap();
        mask.save(&path, "seed = 1").unwrap();
        assert_eq!(
            Mask::load(&path, &weights).unwrap(),
            (mask, "seed = 1".into())
        );
        for (other, part) in [
            (scores(&[("a", &[0.0; 3])]), "layer `b`"),
            (scores(&[("a", &[0.0; 3]), ("b", &[0.0; 3])]), "shape [2]"),
            (
                scores(&[("a", &[0.0; 3]), ("b", &[0.0; 2]), ("c", &[0.0])]),
                "lacks",
            ),
        ] {
            let error = Mask::load(&path, &other).unwrap_err().to_string();
            assert!(
                error.contains(part) && error.contains("another network"),
                "{error}"
            );
        }
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn the_count_is_exact() {
        for (n, sparsity, kept) in [
            (100, 0.9, 10),
            (1000, 0.98, 20),
            (430_500, 0.98, 8610),
            (3, 0.5, 2),
            (10, 0.99, 1),
        ] {
            assert_eq!(
                Sparsity::new(sparsity).unwrap().kept(n),
                kept,
                "{n} at {sparsity}"
            );
        }
    }
}
