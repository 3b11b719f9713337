//! Scores in, masks out: the one place where weights are chosen.

use std::cmp::Ordering;

use prospr_engine::{DType, Params, Role, Tensor};

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

/// Which weights stay: ones and zeros by the names of the weights, in the shapes of the scores.
#[derive(Clone, Debug)]
pub struct Mask {
    layers: Params,
    stats: Vec<LayerStats>,
}

/// One layer of a mask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayerStats {
    /// The weight's name.
    pub name: String,
    /// Its size.
    pub weights: usize,
    /// How many stay.
    pub kept: usize,
}

impl Mask {
    /// Keeps exactly the `⌈n(1 − sparsity)⌉` highest scores of all layers together. Equal scores rank by place:
    /// earlier layers and elements first.
    ///
    /// # Errors
    /// [`Error::NotFinite`], [`Error::EmptyLayer`], [`Error::Minimum`], or the engine's.
    pub fn global(scores: &Params, sparsity: Sparsity, options: MaskOptions) -> Result<Mask> {
        let mut layers: Vec<Vec<f64>> = Vec::new();
        for (name, _, score) in scores.iter() {
            let values = score.to_f64s()?;
            if values.iter().any(|v| !v.is_finite()) {
                return Err(Error::NotFinite { layer: name.into() });
            }
            layers.push(values);
        }
        let total: usize = layers.iter().map(Vec::len).sum();
        let kept = sparsity.kept(total);
        let mut keep: Vec<Vec<bool>> = layers
            .iter()
            .map(|scores| vec![false; scores.len()])
            .collect();
        let mut left = kept;
        for (scores, keep) in layers.iter().zip(&mut keep) {
            let minimum = options.min_per_layer.min(scores.len());
            for (_, at) in best(scores.iter().copied().zip(0..), minimum) {
                keep[at] = true;
            }
            left = left.checked_sub(minimum).ok_or_else(|| Error::Minimum {
                needed: layers_minimum(&layers, options.min_per_layer),
                kept,
                sparsity: sparsity.fraction(),
            })?;
        }
        let candidates = layers
            .iter()
            .enumerate()
            .flat_map(|(l, scores)| scores.iter().enumerate().map(move |(i, &s)| (s, (l, i))))
            .filter(|&(_, (l, i))| !keep[l][i]);
        for (_, (l, i)) in best(candidates, left) {
            keep[l][i] = true;
        }
        let mut mask = Mask {
            layers: Params::new(),
            stats: Vec::new(),
        };
        for ((name, _, score), keep) in scores.iter().zip(&keep) {
            let stats = LayerStats {
                name: name.into(),
                weights: keep.len(),
                kept: keep.iter().filter(|&&k| k).count(),
            };
            if stats.kept == 0 {
                let weights = stats.weights;
                return Err(Error::EmptyLayer {
                    layer: stats.name,
                    weights,
                    sparsity: sparsity.fraction(),
                });
            }
            let ones: Vec<f32> = keep.iter().map(|&k| f32::from(u8::from(k))).collect();
            let tensor = Tensor::new(&ones, score.shape(), score.device())?;
            mask.layers.insert(name, Role::Weight, tensor);
            mask.stats.push(stats);
        }
        Ok(mask)
    }

    /// The mask as tensors that multiply weights of this type and device.
    ///
    /// # Errors
    /// The engine's, if a device fails.
    pub fn tensors(&self, dtype: DType, device: &prospr_engine::Device) -> Result<Params> {
        let mut tensors = Params::new();
        for (name, role, layer) in self.layers.iter() {
            tensors.insert(name, role, layer.to_device(device)?.to_dtype(dtype));
        }
        Ok(tensors)
    }

    /// Layer by layer.
    pub fn stats(&self) -> &[LayerStats] {
        &self.stats
    }

    /// How many weights stay.
    pub fn kept(&self) -> usize {
        self.stats.iter().map(|s| s.kept).sum()
    }

    /// The fraction that is removed.
    pub fn sparsity(&self) -> f64 {
        1.0 - self.kept() as f64 / self.stats.iter().map(|s| s.weights).sum::<usize>() as f64
    }
}

fn layers_minimum(layers: &[Vec<f64>], minimum: usize) -> usize {
    layers.iter().map(|scores| minimum.min(scores.len())).sum()
}

/// The `k` highest scores; equal ones in the order of their places.
fn best<P: Ord + Copy>(scored: impl Iterator<Item = (f64, P)>, k: usize) -> Vec<(f64, P)> {
    let mut all: Vec<(f64, P)> = scored.collect();
    let order =
        |a: &(f64, P), b: &(f64, P)| -> Ordering { b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)) };
    if k < all.len() {
        if k > 0 {
            all.select_nth_unstable_by(k - 1, order);
        }
        all.truncate(k);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use prospr_engine::Device;

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
