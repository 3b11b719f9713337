//! Residual networks: He et al., "Deep residual learning for image recognition", CVPR 2016; for large images as in
//! torchvision, for small ones as in section 4.2 or with torchvision's blocks behind a 3×3 stem.

mod text;

use crate::nn::init::{Bias, Init};
use crate::nn::{Network, Scope};
use prospr_engine::{ConvOptions, PoolOptions, Tensor};

/// The shortcut of a block that changes the shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shortcut {
    /// Option A: every second pixel, with zero channels added, half of them before and half after; no parameters.
    Pad,
    /// Option B: a 1×1 convolution and batch norm.
    Project,
}

/// The convolutions of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Block {
    /// Two 3×3 convolutions; the first has the stride.
    Basic,
    /// 1×1, 3×3 and 1×1 convolutions, the last with four times the channels; the second has the stride.
    Bottleneck,
}

/// One stage: several blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stage {
    /// Output channels of its convolutions, except a bottleneck's last.
    pub width: usize,
    /// Number of blocks. Except in the first stage, the first block has stride 2.
    pub blocks: usize,
}

/// A residual network: a convolution, stages of blocks, global average pooling and one linear layer, with batch norm
/// after each convolution and ReLU after each sum.
///
/// Names: `conv1`, `bn1`, `layer1.0.conv1`, …, `layer2.0.shortcut.0` or `layer2.0.downsample.0`, …, `linear` or `fc`.
#[derive(Clone, Debug, PartialEq)]
pub struct ResNet {
    /// Output channels of the first convolution.
    pub stem: usize,
    /// True for the stem of large images: a 7×7 convolution with stride 2 and a 3×3 max pool with stride 2. The stem of
    /// small images is a 3×3 convolution with stride 1.
    pub large_images: bool,
    /// The kind of the blocks.
    pub block: Block,
    /// The stages.
    pub stages: Vec<Stage>,
    /// The shortcut of blocks that change the shape.
    pub shortcut: Shortcut,
    /// Number of classes.
    pub classes: usize,
    /// Name of option B's layers in a block.
    pub projection: String,
    /// Name of the linear layer.
    pub linear: String,
    /// Initial weights of the convolutions.
    pub conv_init: Init,
    /// Initial weights of the linear layer; its bias is PyTorch's.
    pub linear_init: Init,
}

impl ResNet {
    /// ResNet-20 with option A: 269,722 parameters at ten classes. With option B it has 272,474. Kaiming normal weights,
    /// fan-in.
    pub fn resnet20(classes: usize) -> ResNet {
        ResNet {
            stem: 16,
            large_images: false,
            block: Block::Basic,
            stages: [16, 32, 64].map(|width| Stage { width, blocks: 3 }).into(),
            shortcut: Shortcut::Pad,
            classes,
            projection: "shortcut".into(),
            linear: "linear".into(),
            conv_init: Init::KAIMING_NORMAL_FAN_IN,
            linear_init: Init::KAIMING_NORMAL_FAN_IN,
        }
    }

    /// A torchvision ResNet with a 3×3 stem. Its initial weights are torchvision's: Kaiming normal with
    /// fan-out, the linear
    /// layer PyTorch's default.
    fn torchvision(block: Block, blocks: [usize; 4], classes: usize) -> ResNet {
        let stages = [64, 128, 256, 512].into_iter().zip(blocks);
        ResNet {
            stem: 64,
            block,
            stages: stages.map(|(width, blocks)| Stage { width, blocks }).collect(),
            shortcut: Shortcut::Project,
            projection: "downsample".into(),
            linear: "fc".into(),
            conv_init: Init::KAIMING_NORMAL_FAN_OUT,
            linear_init: Init::PyTorchDefault,
            ..ResNet::resnet20(classes)
        }
    }

    /// ResNet-18 for small images: 11,173,962 parameters at ten classes.
    pub fn resnet18(classes: usize) -> ResNet {
        ResNet::torchvision(Block::Basic, [2, 2, 2, 2], classes)
    }

    /// ResNet-50 for small images: 23,520,842 parameters at ten classes.
    pub fn resnet50(classes: usize) -> ResNet {
        ResNet::torchvision(Block::Bottleneck, [3, 4, 6, 3], classes)
    }

    /// Returns the network with the stem for large images: [`ResNet::resnet18`] and [`ResNet::resnet50`] are
    /// then torchvision's, with 11,689,512 and 25,557,032 parameters at 1,000 classes.
    pub fn imagenet(self) -> ResNet {
        ResNet { large_images: true, ..self }
    }

    /// One block with convolutions of this width.
    fn block(&self, s: &Scope, x: &Tensor, width: usize, stride: usize) -> Tensor {
        let sizes = match self.block {
            Block::Basic => vec![[width, 3, stride], [width, 3, 1]],
            Block::Bottleneck => vec![[width, 1, 1], [width, 3, stride], [4 * width, 1, 1]],
        };
        let mut y = x.clone();
        for (i, size) in (1..).zip(sizes) {
            let input = if i == 1 { y } else { y.relu() };
            y = conv(s, [&format!("conv{i}"), &format!("bn{i}")], &input, size);
        }
        let (from, to) = (x.shape()[1], y.shape()[1]);
        let shortcut = match self.shortcut {
            _ if stride == 1 && from == to => x.clone(),
            Shortcut::Project => conv(&s.at(&self.projection), ["0", "1"], x, [to, 1, stride]),
            Shortcut::Pad => {
                assert!(
                    from <= to,
                    "ResNet: option A adds channels, but {} goes from {from} to {to}",
                    s.path()
                );
                let (h, w, new) = (x.shape()[2], x.shape()[3], to - from);
                let around = [(0, 0), (new / 2, new - new / 2), (0, 0), (0, 0)];
                x.slice(2, 0, h, stride).slice(3, 0, w, stride).pad(&around, 0.0)
            }
        };
        (y + shortcut).relu()
    }
}

/// A convolution and its batch norm, with these names. The image keeps its size, divided by the stride.
fn conv(
    s: &Scope,
    [conv, norm]: [&str; 2],
    x: &Tensor,
    [out, kernel, stride]: [usize; 3],
) -> Tensor {
    let same = ConvOptions::default().padding(kernel / 2).stride(stride);
    let y = s.at(conv).conv2d(x, out, kernel, same);
    s.at(norm).batch_norm(&y)
}

impl Network for ResNet {
    /// # Panics
    /// If option A would have to remove channels.
    fn forward(&self, s: &Scope, images: &Tensor) -> Tensor {
        let convs = s.with_weights(self.conv_init).with_bias(Bias::None);
        let [kernel, stride] = if self.large_images { [7, 2] } else { [3, 1] };
        let size = [self.stem, kernel, stride];
        let mut x = conv(&convs, ["conv1", "bn1"], images, size).relu();
        if self.large_images {
            x = x.max_pool2d(PoolOptions::new(3).stride(2).padding(1));
        }
        for (i, stage) in (1..).zip(&self.stages) {
            for block in 0..stage.blocks {
                let stride = if i > 1 && block == 0 { 2 } else { 1 };
                let s = convs.at(format_args!("layer{i}.{block}"));
                x = self.block(&s, &x, stage.width, stride);
            }
        }
        let pooled = x.adaptive_avg_pool2d(1, 1).flatten_from(1);
        let s = s.with_weights(self.linear_init);
        s.at(&self.linear).linear(&pooled, self.classes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::Mode;
    use prospr_engine::{DType, Device, Key, Params};

    #[test]
    fn networks_are_displayed_with_their_sizes() {
        let text = "resnet20 (stem 16, blocks 3×16 3×32 3×64, option A shortcuts, 10 classes)";
        assert_eq!(ResNet::resnet20(10).to_string(), text);
        let text = "resnet50 (stem 64 for large images, bottlenecks 3×64 4×128 6×256 3×512, option B shortcuts, 1000 classes)";
        assert_eq!(ResNet::resnet50(1000).imagenet().to_string(), text);
    }

    #[test]
    fn odd_sizes_and_both_shortcuts_fit() {
        let device = Device::cpu();
        let images = Key::new(1).normal(&[2, 1, 7, 9], DType::F64, &device);
        for shortcut in [Shortcut::Pad, Shortcut::Project] {
            let net = ResNet {
                stem: 2,
                stages: vec![Stage { width: 3, blocks: 1 }, Stage { width: 6, blocks: 2 }],
                shortcut,
                ..ResNet::resnet20(5)
            };
            let (params, state) = net.init(Key::new(0), &[1, 7, 9], DType::F64, &device);
            let (logits, next) = net.apply(&params, &state, &images, Mode::Train(Key::new(2)));
            assert_eq!(logits.shape(), [2, 5]);
            assert_eq!(next.len(), state.len());
            let means = |s: &Params| s["layer2.1.bn2.running_mean"].to_f64s().unwrap();
            assert!(means(&state).iter().all(|&m| m == 0.0));
            assert!(means(&next).iter().all(|&m| m != 0.0));
        }
    }
}
