//! Statistics of masks: kept weights, those of them on paths from input to output, FLOPs; the overlap of two masks.

use std::collections::HashMap;

use prospr_engine::ir::Op;
use prospr_engine::{DType, Device, Node, Params, Role, Tensor, Tree, grad, rewrite};
use prospr_nn::nn::{Mode, Network, Summary};

use crate::scores::prunable;
use crate::{Error, Mask, MaskLayer, Result};

/// One layer under a mask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayerStatistics {
    /// The weight's name.
    pub name: String,
    /// Number of weights.
    pub weights: usize,
    /// Number of kept weights.
    pub kept: usize,
    /// Number of kept weights on a path from the input to the output.
    pub effective: usize,
    /// Floating-point operations of one image in evaluation, without a mask.
    pub flops: u64,
}

impl LayerStatistics {
    /// The fraction kept.
    pub fn density(&self) -> f64 {
        self.kept as f64 / self.weights as f64
    }

    /// The fraction that is kept and lies on a path.
    pub fn effective_density(&self) -> f64 {
        self.effective as f64 / self.weights as f64
    }

    /// Returns true if no kept weight lies on a path, so that no signal passes the layer.
    pub fn is_collapsed(&self) -> bool {
        self.effective == 0
    }
}

/// A network under a mask, layer by layer. Layers that the mask does not name are whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statistics {
    /// Every layer with prunable weights, in the network's order.
    pub layers: Vec<LayerStatistics>,
}

impl Statistics {
    /// Statistics of a network for images `[c, h, w]`. Only names, roles and shapes of the parameters and the state
    /// count.
    ///
    /// # Errors
    /// As [`connected`].
    pub fn of(
        net: &dyn Network,
        params: &Params,
        state: &Params,
        mask: &Mask,
        image: [usize; 3],
    ) -> Result<Statistics> {
        let weights = prunable(params);
        let connected = connected(net, params, state, mask, image)?;
        let kept: HashMap<&str, &MaskLayer> = by_name(mask);
        let device = params.iter().next().map_or_else(Device::cpu, |(.., p)| p.device().clone());
        let summary = Summary::of(net, image, &device);
        let layer = |(((name, _, weight), effective), costs): (
            ((&str, _, &Tensor), &MaskLayer),
            &prospr_nn::nn::Layer,
        )| {
            let n = weight.numel();
            LayerStatistics {
                name: name.into(),
                weights: n,
                // An element of a smaller mask stands for several weights.
                kept: kept.get(name).map_or(n, |layer| layer.kept() * (n / layer.keep.len())),
                effective: effective.kept(),
                flops: costs.flops,
            }
        };
        let layers = weights.iter().zip(connected.layers());
        Ok(Statistics { layers: layers.zip(&summary.layers).map(layer).collect() })
    }

    /// Number of prunable weights.
    pub fn weights(&self) -> usize {
        self.layers.iter().map(|layer| layer.weights).sum()
    }

    /// Number of kept weights.
    pub fn kept(&self) -> usize {
        self.layers.iter().map(|layer| layer.kept).sum()
    }

    /// Number of kept weights on a path from the input to the output.
    pub fn effective(&self) -> usize {
        self.layers.iter().map(|layer| layer.effective).sum()
    }

    /// The fraction removed.
    pub fn sparsity(&self) -> f64 {
        1.0 - self.kept() as f64 / self.weights() as f64
    }

    /// The fraction that is removed or lies on no path: effective sparsity (Vysogorets and Kempe, "Connectivity
    /// matters", JMLR 2023).
    pub fn effective_sparsity(&self) -> f64 {
        1.0 - self.effective() as f64 / self.weights() as f64
    }

    /// Floating-point operations of one image in evaluation, without a mask.
    pub fn flops(&self) -> u64 {
        self.layers.iter().map(|layer| layer.flops).sum()
    }

    /// The fraction of the FLOPs that kept weights take: `Σ flops·density / Σ flops`.
    pub fn flops_kept(&self) -> f64 {
        self.flops_share(LayerStatistics::density)
    }

    /// The fraction of the FLOPs that kept weights on paths take.
    pub fn flops_effective(&self) -> f64 {
        self.flops_share(LayerStatistics::effective_density)
    }

    fn flops_share(&self, density: fn(&LayerStatistics) -> f64) -> f64 {
        let layers = self.layers.iter();
        let left: f64 = layers.map(|layer| layer.flops as f64 * density(layer)).sum();
        left / self.flops() as f64
    }

    /// The layers without a kept weight on a path.
    pub fn collapsed(&self) -> impl Iterator<Item = &LayerStatistics> {
        self.layers.iter().filter(|layer| layer.is_collapsed())
    }
}

fn by_name(mask: &Mask) -> HashMap<&str, &MaskLayer> {
    let layers = mask.layers().iter();
    layers.map(|layer| (&layer.name[..], layer)).collect()
}

/// The mask of the kept weights that lie on a path from the input to the output, each layer in its weight's shape.
///
/// Paths are computed, not searched: every kept weight becomes a positive number, batch norms scale by positive
/// numbers, biases and shifts are 0, the input is all ones, and max pools pass the mean (any pixel may be the largest).
/// Then no two paths cancel, and a weight lies on a path exactly if `w · ∂R/∂w > 0` for the sum `R` of the outputs: its
/// synaptic flow (Tanaka et al., 2020). The positive numbers are `channels / kept weights` of each layer, so that signals
/// neither grow nor shrink, in F64 on the CPU. Weights that only meet the zeros of a padded border lie on no path.
///
/// It is exact for networks of convolutions, linear layers, batch norms, pools, sums, concatenations and functions that
/// rise from 0 to positive numbers, such as ReLU; a path whose product of weights falls below 10⁻³⁰⁸ is lost.
///
/// # Errors
/// [`Error::Foreign`] if the mask names a layer that the network lacks or that has another shape, [`Error::Range`] if the flow
/// leaves the range of F64, or the engine's.
pub fn connected(
    net: &dyn Network,
    params: &Params,
    state: &Params,
    mask: &Mask,
    image: [usize; 3],
) -> Result<Mask> {
    let weights = prunable(params);
    let full =
        |value: f64, like: &Tensor| Tensor::full(value, like.shape(), DType::F64, &Device::cpu());
    let mut left = weights.map_leaves(|weight| full(1.0, weight));
    for (name, _, part) in mask.tensors(DType::F64, &Device::cpu())?.iter() {
        let whole = left.get(name).filter(|whole| {
            let shapes = part.shape().iter().zip(whole.shape());
            part.rank() == whole.rank() && shapes.into_iter().all(|(m, w)| m == w || *m == 1)
        });
        let Some(whole) = whole else {
            let wrong = weights.get(name).map(|w| w.shape().to_vec());
            return Err(Error::Foreign {
                path: "this".into(),
                reason: format!(
                    "its layer `{name}` has the shape {:?}, the network's {wrong:?}",
                    part.shape()
                ),
            });
        };
        let kept = part.broadcast_to(whole.shape());
        left.insert(name, Role::Weight, kept);
    }
    let mut positive = Params::new();
    for (name, role, value) in params.iter() {
        let value = match role {
            Role::Weight => left[name].clone(),
            Role::NormScale => full(1.0, value),
            Role::Bias | Role::NormShift | Role::Buffer => full(0.0, value),
        };
        positive.insert(name, role, value);
    }
    let mut neutral = Params::new();
    for (name, role, value) in state.iter() {
        let one = name.ends_with("running_var");
        neutral.insert(name, role, full(f64::from(u8::from(one)), value));
    }
    let scaled = left.map_leaves(|kept| {
        let sum = kept.sum();
        kept * (kept.shape()[0] as f64) / sum.maximum(&sum.ones_like())
    });
    scaled.eval_leaves()?;
    let [c, h, w] = image;
    let ones = Tensor::ones(&[1, c, h, w], DType::F64, &Device::cpu());
    let flow = |weights: &Params| {
        let all = positive.with(weights);
        let total = net.apply(&all, &neutral, &ones, Mode::Eval).0.sum();
        rewrite(&total, weights, mean_pools)
    };
    let gradient = grad(flow)(&scaled);
    let flows = scaled.zip_leaves(&gradient, |w, g| w * g);
    flows.eval_leaves()?;
    let layer = |(name, _, flow): (&str, Role, &Tensor)| {
        let flows = flow.to_f64s()?;
        if flows.iter().any(|flow| !flow.is_finite()) {
            return Err(Error::Range { layer: name.into(), dtype: DType::F64 });
        }
        Ok(MaskLayer {
            name: name.into(),
            shape: flow.shape().to_vec(),
            keep: flows.into_iter().map(|flow| flow > 0.0).collect(),
        })
    };
    Ok(Mask::from_layers(flows.iter().map(layer).collect::<Result<_>>()?))
}

/// A rule for [`rewrite`] that replaces every max pool by the mean of its window, zeros of the border included. A max
/// pool's derivative reaches one pixel of each window; this one's reaches all that could be the largest. Functions with
/// their own derivative, such as checkpoints, stay as they are.
fn mean_pools(node: &Node, inputs: &[Tensor]) -> Tensor {
    match node.op() {
        Op::PoolGather(window) => inputs[0].avg_pool2d(window.options),
        Op::Call { .. } => node.output().clone(),
        _ => node.apply(inputs),
    }
}

/// Overlap of two masks in one layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayerOverlap {
    /// The weight's name.
    pub name: String,
    /// Number of weights that both keep.
    pub both: usize,
    /// Number of weights that at least one of them keeps.
    pub either: usize,
}

impl LayerOverlap {
    /// Intersection over union, `|A ∩ B| / |A ∪ B|`; 1 if both keep nothing.
    pub fn iou(&self) -> f64 {
        match self.either {
            0 => 1.0,
            either => self.both as f64 / either as f64,
        }
    }

    /// Overlap of several layers together.
    pub fn total(layers: &[LayerOverlap]) -> LayerOverlap {
        LayerOverlap {
            name: "all".into(),
            both: layers.iter().map(|layer| layer.both).sum(),
            either: layers.iter().map(|layer| layer.either).sum(),
        }
    }
}

/// Overlap of two masks of one network, layer by layer.
///
/// # Errors
/// [`Error::Foreign`] if their layers or shapes differ.
pub fn overlap(a: &Mask, b: &Mask) -> Result<Vec<LayerOverlap>> {
    let foreign = |reason: String| Error::Foreign { path: "one of two".into(), reason };
    let others = by_name(b);
    if a.layers().len() != others.len() {
        let (here, there) = (a.layers().len(), others.len());
        return Err(foreign(format!("they have {here} and {there} layers")));
    }
    let layer = |a: &MaskLayer| {
        let b = others.get(&a.name[..]);
        let Some(b) = b.filter(|b| b.shape == a.shape) else {
            return Err(foreign(format!(
                "layer `{}` has the shape {:?}, in the other {:?}",
                a.name,
                a.shape,
                b.map(|b| &b.shape)
            )));
        };
        let count = |f: fn(bool, bool) -> bool| {
            let pairs = a.keep.iter().zip(&b.keep);
            pairs.filter(|&(&a, &b)| f(a, b)).count()
        };
        Ok(LayerOverlap {
            name: a.name.clone(),
            both: count(|a, b| a && b),
            either: count(|a, b| a || b),
        })
    };
    a.layers().iter().map(layer).collect()
}
