//! The fixtures' networks as pure functions of their parameters.

use prospr::nn::{self, batch_norm_train};
use prospr::prelude::*;

/// Logits of a network in training mode.
pub type Network = fn(&Params, &Tensor, Kinks) -> Tensor;

/// Variant of a network: with ReLUs and max pools (`Kept`), or with softplus and average pools instead (`Smoothed`).
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kinks {
    Kept,
    Smoothed,
}

impl Kinks {
    fn activate(self, x: &Tensor) -> Tensor {
        if self == Kinks::Kept { x.relu() } else { x.softplus() }
    }

    fn pool(self, x: &Tensor) -> Tensor {
        let window = PoolOptions::new(2);
        if self == Kinks::Kept { x.max_pool2d(window) } else { x.avg_pool2d(window) }
    }
}

fn norm(params: &Params, name: &str, x: &Tensor) -> Tensor {
    batch_norm_train(x, &params[&format!("{name}.weight")], &params[&format!("{name}.bias")], 1e-5)
        .0
}

/// A VGG-like network whose layers follow from the parameters' names: a `Sequential` of convolutions, norms and ReLUs,
/// with a 2×2 pool at each missing index and at the end, then global average pooling and a linear classifier.
pub fn vgg(params: &Params, x: &Tensor, kinks: Kinks) -> Tensor {
    let mut convs: Vec<usize> = params
        .iter()
        .filter(|(.., t)| t.rank() == 4)
        .filter_map(|(name, ..)| {
            name.strip_prefix("features.")?.strip_suffix(".weight")?.parse().ok()
        })
        .collect();
    convs.sort_unstable();
    let mut x = x.clone();
    let mut next = 0;
    for at in convs {
        if at > next {
            x = kinks.pool(&x);
        }
        let name = format!("features.{at}");
        let (weight, bias) = (&params[&format!("{name}.weight")], &params[&format!("{name}.bias")]);
        x = nn::conv2d(&x, weight, Some(bias), ConvOptions::default().padding(1));
        x = kinks.activate(&norm(params, &format!("features.{}", at + 1), &x));
        next = at + 3;
    }
    let pooled = kinks.pool(&x).adaptive_avg_pool2d(1, 1).flatten_from(1);
    nn::linear(&pooled, &params["classifier.weight"], Some(&params["classifier.bias"]))
}

/// ResNet-20 with parameter-free (option A) shortcuts (He et al., 2016, section 4.2).
pub fn resnet20(params: &Params, x: &Tensor, kinks: Kinks) -> Tensor {
    let conv = |name: &str, x: &Tensor, stride: usize| {
        x.conv2d(
            &params[&format!("{name}.weight")],
            ConvOptions::default().stride(stride).padding(1),
        )
    };
    let mut x = kinks.activate(&norm(params, "bn1", &conv("conv1", x, 1)));
    for stage in 1..=3 {
        for block in 0..3 {
            let name = format!("layer{stage}.{block}");
            let stride = if stage > 1 && block == 0 { 2 } else { 1 };
            let y =
                norm(params, &format!("{name}.bn1"), &conv(&format!("{name}.conv1"), &x, stride));
            let y = kinks.activate(&y);
            let y = norm(params, &format!("{name}.bn2"), &conv(&format!("{name}.conv2"), &y, 1));
            let shortcut = if stride == 1 {
                x
            } else {
                let quarter = y.shape()[1] / 4;
                let (h, w) = (x.shape()[2], x.shape()[3]);
                let around = [(0, 0), (quarter, quarter), (0, 0), (0, 0)];
                x.slice(2, 0, h, 2).slice(3, 0, w, 2).pad(&around, 0.0)
            };
            x = kinks.activate(&(y + shortcut));
        }
    }
    let pooled = x.adaptive_avg_pool2d(1, 1).flatten_from(1);
    nn::linear(&pooled, &params["linear.weight"], Some(&params["linear.bias"]))
}
