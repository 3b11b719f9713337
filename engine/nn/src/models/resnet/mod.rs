//! Residual networks: He et al., "Deep residual learning for image recognition", CVPR 2016; for large images as in
//! torchvision, for small ones as in section 4.2 or with torchvision's blocks behind a 3×3 stem.

mod text;

use super::build::{Bias, Builder, layer};
use crate::nn::init::Init;
use crate::nn::{self, Mode, Network, batch_norm_layer};
use prospr_engine::{ConvOptions, DType, Device, Key, Params, PoolOptions, Tensor};

/// What a block adds to its output where its input has another shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shortcut {
    /// Option A: every second pixel, and half of the new channels as zeros on each side; without parameters.
    Pad,
    /// Option B: a 1×1 convolution and batch norm.
    Project,
}

/// The convolutions of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Block {
    /// Two of 3×3; the first has the stride.
    Basic,
    /// 1×1, 3×3 and 1×1, the last with four times the channels; the second has the stride.
    Bottleneck,
}

/// One stage: several blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stage {
    /// Output channels of its convolutions, but for a bottleneck's last.
    pub width: usize,
    /// How many blocks. The first of every stage but the first has stride 2.
    pub blocks: usize,
}

/// A convolution, stages of blocks, global average pooling, one linear layer; batch norm after each convolution, ReLU
/// after each sum.
///
/// Names: `conv1`, `bn1`, `layer1.0.conv1`, …, `layer2.0.shortcut.0` or `layer2.0.downsample.0`, …, `linear` or `fc`.
#[derive(Clone, Debug, PartialEq)]
pub struct ResNet {
    /// Channels of the images.
    pub channels: usize,
    /// Output channels of the first convolution.
    pub stem: usize,
    /// Whether the first convolution is 7×7 with stride 2 and a 3×3 max pool with stride 2 follows; else it is 3×3 with
    /// stride 1.
    pub large_images: bool,
    /// What the blocks are made of.
    pub block: Block,
    /// The stages.
    pub stages: Vec<Stage>,
    /// What stands beside blocks that change the shape.
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

/// One block, by what its stage and place give it.
struct Place {
    name: String,
    from: usize,
    to: usize,
    stride: usize,
    convs: Vec<Conv>,
}

/// A convolution with batch norm: weight `[out, in, kernel, kernel]`.
struct Conv {
    name: String,
    norm: String,
    shape: [usize; 4],
    stride: usize,
}

impl ResNet {
    /// ResNet-20 with option A: 269,722 parameters at ten classes. With option B it has 272,474. Kaiming normal weights,
    /// fan-in.
    pub fn resnet20(classes: usize) -> ResNet {
        ResNet {
            channels: 3,
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

    /// torchvision's with a 3×3 stem. Its initial weights are torchvision's: Kaiming normal with fan-out, the linear
    /// layer PyTorch's default.
    fn torchvision(block: Block, blocks: [usize; 4], classes: usize) -> ResNet {
        let stages = [64, 128, 256, 512].into_iter().zip(blocks);
        ResNet {
            stem: 64,
            block,
            stages: stages
                .map(|(width, blocks)| Stage { width, blocks })
                .collect(),
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

    /// With the stem for large images: [`ResNet::resnet18`] and [`ResNet::resnet50`] are then torchvision's, with
    /// 11,689,512 and 25,557,032 parameters at 1,000 classes.
    pub fn imagenet(self) -> ResNet {
        ResNet {
            large_images: true,
            ..self
        }
    }

    fn first(&self) -> Conv {
        let (kernel, stride) = if self.large_images { (7, 2) } else { (3, 1) };
        Conv {
            name: "conv1".into(),
            norm: "bn1".into(),
            shape: [self.stem, self.channels, kernel, kernel],
            stride,
        }
    }

    fn places(&self) -> Vec<Place> {
        let (mut places, mut from) = (Vec::new(), self.stem);
        for (s, stage) in self.stages.iter().enumerate() {
            for b in 0..stage.blocks {
                let (stride, w) = (if s > 0 && b == 0 { 2 } else { 1 }, stage.width);
                // Outputs, inputs, kernel, stride.
                let convs = match self.block {
                    Block::Basic => vec![[w, from, 3, stride], [w, w, 3, 1]],
                    Block::Bottleneck => {
                        vec![[w, from, 1, 1], [w, w, 3, stride], [4 * w, w, 1, 1]]
                    }
                };
                let name = format!("layer{}.{b}", s + 1);
                let conv = |(i, &[to, from, k, stride]): (usize, &[usize; 4])| Conv {
                    name: format!("{name}.conv{}", i + 1),
                    norm: format!("{name}.bn{}", i + 1),
                    shape: [to, from, k, k],
                    stride,
                };
                let to = convs[convs.len() - 1][0];
                places.push(Place {
                    from,
                    to,
                    stride,
                    convs: convs.iter().enumerate().map(conv).collect(),
                    name,
                });
                from = to;
            }
        }
        places
    }

    /// Option B's convolution, where the block has one.
    fn projection(&self, place: &Place) -> Option<Conv> {
        let name = format!("{}.{}", place.name, self.projection);
        let has = self.shortcut == Shortcut::Project && place.changes_shape();
        has.then(|| Conv {
            name: format!("{name}.0"),
            norm: format!("{name}.1"),
            shape: [place.to, place.from, 1, 1],
            stride: place.stride,
        })
    }
}

impl Place {
    fn changes_shape(&self) -> bool {
        self.stride != 1 || self.from != self.to
    }

    /// Option A.
    fn pad(&self, x: &Tensor) -> Tensor {
        let (h, w) = (x.shape()[2], x.shape()[3]);
        let new = self.to - self.from;
        let around = [(0, 0), (new / 2, new - new / 2), (0, 0), (0, 0)];
        x.slice(2, 0, h, self.stride)
            .slice(3, 0, w, self.stride)
            .pad(&around, 0.0)
    }
}

impl Network for ResNet {
    /// # Panics
    /// If option A would have to remove channels.
    fn init(&self, key: Key, dtype: DType, device: &Device) -> (Params, Params) {
        let mut build = Builder::new(key, dtype, device);
        let mut conv = |conv: &Conv| {
            build.layer(&conv.name, &conv.shape, self.conv_init, Bias::None);
            build.norm(&conv.norm, conv.shape[0]);
        };
        let mut last = self.stem;
        conv(&self.first());
        for place in self.places() {
            let Place { name, from, to, .. } = &place;
            assert!(
                from <= to || self.shortcut == Shortcut::Project,
                "ResNet: option A adds channels, but {name} goes from {from} to {to}"
            );
            place.convs.iter().for_each(&mut conv);
            self.projection(&place).iter().for_each(&mut conv);
            last = *to;
        }
        let shape = [self.classes, last];
        build.layer(&self.linear, &shape, self.linear_init, Bias::PyTorch);
        build.done()
    }

    fn apply(
        &self,
        params: &Params,
        state: &Params,
        images: &Tensor,
        mode: Mode,
    ) -> (Tensor, Params) {
        let mut next = state.clone();
        let mut conv = |conv: &Conv, x: &Tensor| {
            let (weight, _) = layer(params, &conv.name);
            let same = ConvOptions::default().padding(conv.shape[2] / 2);
            let y = x.conv2d(weight, same.stride(conv.stride));
            batch_norm_layer(params, state, &conv.norm, &y, mode, &mut next)
        };
        let mut x = conv(&self.first(), images).relu();
        if self.large_images {
            x = x.max_pool2d(PoolOptions::new(3).stride(2).padding(1));
        }
        for place in self.places() {
            let mut y = conv(&place.convs[0], &x);
            for inner in &place.convs[1..] {
                y = conv(inner, &y.relu());
            }
            let shortcut = match self.projection(&place) {
                Some(projection) => conv(&projection, &x),
                None if place.changes_shape() => place.pad(&x),
                None => x,
            };
            x = (y + shortcut).relu();
        }
        let pooled = x.adaptive_avg_pool2d(1, 1).flatten_from(1);
        let (weight, bias) = layer(params, &self.linear);
        (nn::linear(&pooled, weight, bias), next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_have_a_text() {
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
                channels: 1,
                stem: 2,
                stages: vec![
                    Stage {
                        width: 3,
                        blocks: 1,
                    },
                    Stage {
                        width: 6,
                        blocks: 2,
                    },
                ],
                shortcut,
                ..ResNet::resnet20(5)
            };
            let (params, state) = net.init(Key::new(0), DType::F64, &device);
            let (logits, next) = net.apply(&params, &state, &images, Mode::Train(Key::new(2)));
            assert_eq!(logits.shape(), [2, 5]);
            assert_eq!(next.len(), state.len());
            let means = |s: &Params| s["layer2.1.bn2.running_mean"].to_f64s().unwrap();
            assert!(means(&state).iter().all(|&m| m == 0.0));
            assert!(means(&next).iter().all(|&m| m != 0.0));
        }
    }
}
