//! U-Net: Ronneberger, Fischer and Brox, "U-Net: convolutional networks for biomedical image segmentation", MICCAI
//! 2015. As is usual now, and other than in the paper, convolutions keep the image's size, and batch norm follows each.

use super::build::{Bias, Builder, layer};
use crate::nn::init::Init;
use crate::nn::{self, Mode, Network, batch_norm_layer};
use prospr_engine::{ConvOptions, DType, Device, Key, Params, PoolOptions, Tensor};

/// Pairs of 3×3 convolutions on the way down, with twice the channels after each 2×2 max pool; on the way up a
/// 2×2 transposed convolution with stride 2, the pixels from the way down before its channels, and a pair again.
/// A 1×1 convolution gives each pixel's logits: `[n, c, h, w]` to `[n, classes, h, w]`.
///
/// Names are those of the usual PyTorch implementation (milesial/Pytorch-UNet, `bilinear=False`):
/// `inc.double_conv.0`, …, `down1.maxpool_conv.1.double_conv.0`, …, `up1.up`, `up1.conv.double_conv.0`, …,
/// `outc.conv`. A transposed convolution's weight is `[in, out, 2, 2]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UNet {
    /// Channels of the images.
    pub channels: usize,
    /// Channels of the first pair; 64 in the paper.
    pub base: usize,
    /// How many times the image is halved; 4 in the paper. Its sides are to be multiples of `2^depth`.
    pub depth: usize,
    /// Number of classes of a pixel.
    pub classes: usize,
}

/// A pair of convolutions: its name and its channels, before and after.
type Pair = (String, usize, usize);

impl UNet {
    /// The paper's size: 31,036,546 parameters at one channel and two classes.
    pub fn new(channels: usize, classes: usize) -> UNet {
        UNet {
            channels,
            base: 64,
            depth: 4,
            classes,
        }
    }

    fn width(&self, level: usize) -> usize {
        self.base << level
    }

    fn down(&self, level: usize) -> Pair {
        match level {
            0 => ("inc.double_conv".into(), self.channels, self.base),
            _ => (
                format!("down{level}.maxpool_conv.1.double_conv"),
                self.width(level - 1),
                self.width(level),
            ),
        }
    }

    /// The transposed convolution of a level and the pair after it, from the lowest level up.
    fn up(&self) -> impl Iterator<Item = (String, Pair)> {
        (1..=self.depth).map(|i| {
            let to = self.width(self.depth - i);
            let pair = (format!("up{i}.conv.double_conv"), 2 * to, to);
            (format!("up{i}.up"), pair)
        })
    }
}

impl Network for UNet {
    /// PyTorch's defaults.
    fn init(&self, key: Key, dtype: DType, device: &Device) -> (Params, Params) {
        let (mut build, init) = (Builder::new(key, dtype, device), Init::PyTorchDefault);
        let pair = |build: &mut Builder<'_>, (name, from, to): Pair| {
            for (index, from) in [(0, from), (3, to)] {
                let shape = [to, from, 3, 3];
                build.layer(&format!("{name}.{index}"), &shape, init, Bias::None);
                build.norm(&format!("{name}.{}", index + 1), to);
            }
        };
        for level in 0..=self.depth {
            pair(&mut build, self.down(level));
        }
        for (up, after) in self.up() {
            build.transposed(&up, [after.1, after.2, 2, 2], init);
            pair(&mut build, after);
        }
        let shape = [self.classes, self.base, 1, 1];
        build.layer("outc.conv", &shape, init, Bias::PyTorch);
        build.done()
    }

    /// # Panics
    /// If a side of the images is no multiple of `2^depth`.
    fn apply(
        &self,
        params: &Params,
        state: &Params,
        images: &Tensor,
        mode: Mode,
    ) -> (Tensor, Params) {
        let mut next = state.clone();
        let mut pair = |(name, ..): &Pair, x: &Tensor| {
            [0, 3].into_iter().fold(x.clone(), |x, index| {
                let (weight, _) = layer(params, &format!("{name}.{index}"));
                let y = x.conv2d(weight, ConvOptions::default().padding(1));
                let norm = format!("{name}.{}", index + 1);
                batch_norm_layer(params, state, &norm, &y, mode, &mut next).relu()
            })
        };
        let mut levels = vec![pair(&self.down(0), images)];
        for level in 1..=self.depth {
            let halved = levels[level - 1].max_pool2d(PoolOptions::new(2));
            levels.push(pair(&self.down(level), &halved));
        }
        let mut x = levels.pop().expect("there is a lowest level");
        for ((up, after), beside) in self.up().zip(levels.into_iter().rev()) {
            let (weight, bias) = layer(params, &up);
            let bias = bias.expect("transposed convolutions have biases");
            let twice = ConvOptions::default().stride(2);
            let y = x.conv_transpose2d(weight, twice, [0, 0]) + bias.reshape(&[after.2, 1, 1]);
            x = pair(&after, &Tensor::concat(&[beside, y], 1));
        }
        let (weight, bias) = layer(params, "outc.conv");
        let logits = nn::conv2d(&x, weight, bias, ConvOptions::default());
        (logits, next)
    }
}
