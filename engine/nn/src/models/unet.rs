//! U-Net: Ronneberger, Fischer and Brox, "U-Net: convolutional networks for biomedical image segmentation", MICCAI
//! 2015. As is usual now, but unlike in the paper, convolutions keep the image's size and are followed by batch norm.

use crate::nn::init::Bias;
use crate::nn::{Network, Scope};
use prospr_engine::{ConvOptions, PoolOptions, Tensor};

/// U-Net. The encoder has pairs of 3×3 convolutions, with twice the channels after each 2×2 max pool. Each level of the
/// decoder has a 2×2 transposed convolution with stride 2, a concatenation (encoder channels first) and a pair of 3×3
/// convolutions. A 1×1 convolution gives each pixel's logits: `[n, c, h, w]` to `[n, classes, h, w]`.
///
/// Names are those of the usual PyTorch implementation (milesial/Pytorch-UNet, `bilinear=False`):
/// `inc.double_conv.0`, …, `down1.maxpool_conv.1.double_conv.0`, …, `up1.up`, `up1.conv.double_conv.0`, …,
/// `outc.conv`. A transposed convolution's weight is `[in, out, 2, 2]`. The paper's size has 31,036,546 parameters for images
/// of one channel and two classes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UNet {
    /// Channels of the first pair; 64 in the paper.
    pub base: usize,
    /// Number of times that the image is halved; 4 in the paper. Its sides must be multiples of `2^depth`.
    pub depth: usize,
    /// Number of classes of a pixel.
    pub classes: usize,
}

impl Network for UNet {
    /// Initial values are PyTorch's.
    ///
    /// # Panics
    /// If a side of the images is not a multiple of `2^depth`.
    fn forward(&self, s: &Scope, images: &Tensor) -> Tensor {
        let mut x = pair(&s.at("inc.double_conv"), images, self.base);
        let mut levels = Vec::new();
        for level in 1..=self.depth {
            let s = s.at(format_args!("down{level}.maxpool_conv.1.double_conv"));
            let halved = x.max_pool2d(PoolOptions::new(2));
            levels.push(x);
            x = pair(&s, &halved, self.base << level);
        }
        for (i, skip) in levels.into_iter().rev().enumerate() {
            let (s, width) = (s.at(format_args!("up{}", i + 1)), skip.shape()[1]);
            let twice = ConvOptions::default().stride(2);
            let y = s.at("up").conv_transpose2d(&x, width, 2, twice);
            x = pair(&s.at("conv.double_conv"), &Tensor::concat(&[skip, y], 1), width);
        }
        s.at("outc.conv").conv2d(&x, self.classes, 1, ConvOptions::default())
    }
}

/// Two 3×3 convolutions without biases, each followed by batch norm and ReLU.
fn pair(s: &Scope, x: &Tensor, channels: usize) -> Tensor {
    let s = s.with_bias(Bias::None);
    [0, 3].into_iter().fold(x.clone(), |x, i| {
        let same = ConvOptions::default().padding(1);
        let y = s.at(i).conv2d(&x, channels, 3, same);
        s.at(i + 1).batch_norm(&y).relu()
    })
}
