//! Residual networks for small images: He et al., "Deep residual learning for image recognition", CVPR 2016,
//! section 4.2.

use std::fmt;

use crate::nn::init::{Init, pytorch_bias};
use crate::nn::{self, Mode, Network, batch_norm_init, batch_norm_layer};
use crate::{ConvOptions, DType, Device, Key, Params, Role, Tensor};

/// What a block adds to its output where its input has another shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shortcut {
    /// Option A: every second pixel, and half of the new channels as zeros on each side; without parameters.
    Pad,
    /// Option B: a 1×1 convolution and batch norm.
    Project,
}

/// One stage: blocks of two 3×3 convolutions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stage {
    /// Output channels of its convolutions.
    pub width: usize,
    /// How many blocks. The first of every stage but the first has stride 2.
    pub blocks: usize,
}

/// A 3×3 convolution, stages of basic blocks, global average pooling, one linear layer; batch norm after each
/// convolution, ReLU after each sum.
///
/// Names: `conv1`, `bn1`, `layer1.0.conv1`, …, `layer2.0.shortcut.0`, …, `linear`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResNet {
    /// Channels of the images.
    pub channels: usize,
    /// Output channels of the first convolution.
    pub stem: usize,
    /// The stages.
    pub stages: Vec<Stage>,
    /// What stands beside blocks that change the shape.
    pub shortcut: Shortcut,
    /// Number of classes.
    pub classes: usize,
    /// Name of the linear layer.
    pub linear: String,
}

/// One block, by what its stage and place give it.
struct Block {
    name: String,
    from: usize,
    to: usize,
    stride: usize,
}

impl ResNet {
    /// ResNet-20 with option A: 269,722 parameters at ten classes. With option B it has 272,474.
    pub fn resnet20(classes: usize) -> ResNet {
        ResNet {
            channels: 3,
            stem: 16,
            stages: [16, 32, 64].map(|width| Stage { width, blocks: 3 }).into(),
            shortcut: Shortcut::Pad,
            classes,
            linear: "linear".into(),
        }
    }

    fn blocks(&self) -> Vec<Block> {
        let (mut blocks, mut from) = (Vec::new(), self.stem);
        for (s, stage) in self.stages.iter().enumerate() {
            for b in 0..stage.blocks {
                blocks.push(Block {
                    name: format!("layer{}.{b}", s + 1),
                    from,
                    to: stage.width,
                    stride: if s > 0 && b == 0 { 2 } else { 1 },
                });
                from = stage.width;
            }
        }
        blocks
    }
}

impl Block {
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
        let (mut params, mut state) = (Params::new(), Params::new());
        let mut layer = 0;
        let mut keys = || {
            layer += 1;
            key.fold_in(layer).split()
        };
        let mut conv =
            |params: &mut Params, conv: String, norm: String, [to, from, k]: [usize; 3]| {
                let [key, _] = keys();
                let draw = Init::KAIMING_NORMAL_FAN_IN.draw(key, &[to, from, k, k], dtype, device);
                params.insert(format!("{conv}.weight"), Role::Weight, draw);
                batch_norm_init(params, &mut state, &norm, to, dtype, device);
            };
        let mut last = self.stem;
        conv(
            &mut params,
            "conv1".into(),
            "bn1".into(),
            [self.stem, self.channels, 3],
        );
        for block in self.blocks() {
            let (name, from, to) = (&block.name, block.from, block.to);
            let part = |part: &str| format!("{name}.{part}");
            conv(&mut params, part("conv1"), part("bn1"), [to, from, 3]);
            conv(&mut params, part("conv2"), part("bn2"), [to, to, 3]);
            match self.shortcut {
                Shortcut::Project if block.changes_shape() => {
                    conv(
                        &mut params,
                        part("shortcut.0"),
                        part("shortcut.1"),
                        [to, from, 1],
                    );
                }
                Shortcut::Pad => assert!(
                    from <= to,
                    "ResNet: option A adds channels, but {name} goes from {from} to {to}"
                ),
                Shortcut::Project => (),
            }
            last = to;
        }
        let ([weight, bias], shape) = (keys(), [self.classes, last]);
        let draw = Init::KAIMING_NORMAL_FAN_IN.draw(weight, &shape, dtype, device);
        params.insert(format!("{}.weight", self.linear), Role::Weight, draw);
        let draw = pytorch_bias(bias, &shape, dtype, device);
        params.insert(format!("{}.bias", self.linear), Role::Bias, draw);
        (params, state)
    }

    fn apply(
        &self,
        params: &Params,
        state: &Params,
        images: &Tensor,
        mode: Mode,
    ) -> (Tensor, Params) {
        let mut next = state.clone();
        let mut conv = |conv: &str, norm: &str, x: &Tensor, stride: usize| {
            let weight = &params[&format!("{conv}.weight")];
            let same = ConvOptions::default().padding(weight.shape()[2] / 2);
            let y = x.conv2d(weight, same.stride(stride));
            batch_norm_layer(params, state, norm, &y, mode, &mut next)
        };
        let mut x = conv("conv1", "bn1", images, 1).relu();
        for block in self.blocks() {
            let part = |part: &str| format!("{}.{part}", block.name);
            let y = conv(&part("conv1"), &part("bn1"), &x, block.stride).relu();
            let y = conv(&part("conv2"), &part("bn2"), &y, 1);
            let shortcut = match self.shortcut {
                _ if !block.changes_shape() => x,
                Shortcut::Pad => block.pad(&x),
                Shortcut::Project => {
                    conv(&part("shortcut.0"), &part("shortcut.1"), &x, block.stride)
                }
            };
            x = (y + shortcut).relu();
        }
        let pooled = x.adaptive_avg_pool2d(1, 1).flatten_from(1);
        let linear = |part: &str| &params[&format!("{}.{part}", self.linear)];
        (
            nn::linear(&pooled, linear("weight"), Some(linear("bias"))),
            next,
        )
    }
}

impl fmt::Display for ResNet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let blocks: usize = self.stages.iter().map(|s| s.blocks).sum();
        let stages: Vec<String> = self
            .stages
            .iter()
            .map(|s| format!("{}×{}", s.blocks, s.width))
            .collect();
        let option = if self.shortcut == Shortcut::Pad {
            "A"
        } else {
            "B"
        };
        write!(
            f,
            "resnet{} (stem {}, blocks {}, option {option} shortcuts, {} classes)",
            2 * blocks + 2,
            self.stem,
            stages.join(" "),
            self.classes
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_counted_as_published() {
        let device = Device::cpu();
        let count = |net: &ResNet| net.init(Key::new(0), DType::F32, &device).0.numel();
        let a = ResNet::resnet20(10);
        assert_eq!(count(&a), 269_722);
        let b = ResNet {
            shortcut: Shortcut::Project,
            ..a.clone()
        };
        assert_eq!(count(&b), 272_474);
        let text = "resnet20 (stem 16, blocks 3×16 3×32 3×64, option A shortcuts, 10 classes)";
        assert_eq!(a.to_string(), text);
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
