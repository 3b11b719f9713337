//! VGG-like networks: Simonyan and Zisserman, "Very deep convolutional networks for large-scale image
//! recognition", ICLR 2015, with batch norm or without; for large images as in torchvision, for small ones with a single
//! linear classifier.

mod layer;

use std::fmt;

pub use layer::VggLayer;

use crate::nn::init::{Bias, Init};
use crate::nn::{Network, Scope};
use prospr_engine::{ConvOptions, PoolOptions, Tensor};

/// The reduction over a pool's pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PoolKind {
    /// Max pooling.
    Max,
    /// Average pooling.
    Average,
}

/// The classifier after the feature extractor.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Head {
    /// A linear layer on the mean of each channel.
    GlobalAverage,
    /// A linear layer on all pixels of all channels.
    Flatten,
    /// torchvision's classifier: adaptive average pooling to 7×7 pixels and three linear layers
    /// (`classifier.0`, `classifier.3` and `classifier.6`), with ReLU and dropout after each of the first
    /// two.
    Hidden {
        /// Size of the hidden layers; 4096 in torchvision.
        width: usize,
        /// Probability of dropping a value; 0.5 in torchvision.
        dropout: f64,
    },
}

/// A VGG network: a sequence of convolutions and pools, then a classifier.
///
/// Names are those of a PyTorch `Sequential` in which each convolution, batch norm, ReLU and pool takes an index:
/// `features.0.weight`, `features.1.running_mean`, …, and `classifier.weight`.
#[derive(Clone, Debug, PartialEq)]
pub struct Vgg {
    /// The feature extractor.
    pub layers: Vec<VggLayer>,
    /// True if a batch norm follows each convolution.
    pub batch_norm: bool,
    /// True if convolutions have biases.
    pub conv_bias: bool,
    /// True if linear layers have biases.
    pub linear_bias: bool,
    /// Max or average pooling.
    pub pool: PoolKind,
    /// The classifier.
    pub head: Head,
    /// Number of classes.
    pub classes: usize,
    /// Prefix of the index in the names of the layers, with its dot.
    pub prefix: String,
    /// Name of the classifier.
    pub classifier: String,
}

/// The layers of VGG-16 and VGG-19, from the numbers of convolutions before each of the five pools.
fn published(convs: [usize; 5]) -> Vec<VggLayer> {
    let stage = |(convs, channels)| {
        let conv = VggLayer::Conv { channels, kernel: 3 };
        std::iter::repeat_n(conv, convs).chain([VggLayer::Pool])
    };
    let widths = [64, 128, 256, 512, 512];
    convs.into_iter().zip(widths).flat_map(stage).collect()
}

impl Vgg {
    /// A network for small images, with batch norm, biases, max pools and global average pooling.
    pub fn new(layers: Vec<VggLayer>, classes: usize) -> Vgg {
        Vgg {
            layers,
            batch_norm: true,
            conv_bias: true,
            linear_bias: true,
            pool: PoolKind::Max,
            head: Head::GlobalAverage,
            classes,
            prefix: "features.".into(),
            classifier: "classifier".into(),
        }
    }

    /// VGG-16 (configuration D) for small images: 14,728,266 parameters at ten classes.
    pub fn vgg16(classes: usize) -> Vgg {
        Vgg::new(published([2, 2, 3, 3, 3]), classes)
    }

    /// VGG-19 (configuration E) for small images: 20,040,522 parameters at ten classes.
    pub fn vgg19(classes: usize) -> Vgg {
        Vgg::new(published([2, 2, 4, 4, 4]), classes)
    }

    /// Returns the network with torchvision's classifier, as `vgg16_bn` and `vgg19_bn`: 138,365,992 and
    /// 143,678,248 parameters at 1,000 classes.
    pub fn imagenet(self) -> Vgg {
        let head = Head::Hidden { width: 4096, dropout: 0.5 };
        Vgg { head, ..self }
    }
}

impl Network for Vgg {
    /// Initial values are torchvision's: convolutions Kaiming normal with fan-out, linear weights normal with standard
    /// deviation 0.01, biases zero.
    fn forward(&self, s: &Scope, images: &Tensor) -> Tensor {
        let bias = |has| if has { Bias::Zero } else { Bias::None };
        let convs = s.with_weights(Init::KAIMING_NORMAL_FAN_OUT).with_bias(bias(self.conv_bias));
        let module = |index: usize| convs.at(format_args!("{}{index}", self.prefix));
        let (mut x, mut index) = (images.clone(), 0);
        for &layer in &self.layers {
            x = match (layer, self.pool) {
                (VggLayer::Pool, PoolKind::Max) => x.max_pool2d(PoolOptions::new(2)),
                (VggLayer::Pool, PoolKind::Average) => x.avg_pool2d(PoolOptions::new(2)),
                (VggLayer::Conv { channels, kernel }, _) => {
                    let same = ConvOptions::default().padding(kernel / 2);
                    let mut y = module(index).conv2d(&x, channels, kernel, same);
                    index += 1;
                    if self.batch_norm {
                        y = module(index).batch_norm(&y);
                        index += 1;
                    }
                    y.relu()
                }
            };
            // Index of the pool or the ReLU.
            index += 1;
        }
        x = match self.head {
            Head::GlobalAverage => x.adaptive_avg_pool2d(1, 1),
            Head::Flatten => x,
            Head::Hidden { .. } => x.adaptive_avg_pool2d(7, 7),
        };
        x = x.flatten_from(1);
        let linear = s.with_weights(Init::Normal(0.01)).with_bias(bias(self.linear_bias));
        let classifier = linear.at(&self.classifier);
        let Head::Hidden { width, dropout } = self.head else {
            return classifier.linear(&x, self.classes);
        };
        for index in [0, 3] {
            x = classifier.at(index).linear(&x, width).relu();
            x = s.dropout(&x, dropout);
        }
        classifier.at(6).linear(&x, self.classes)
    }
}

impl fmt::Display for Vgg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let layers: Vec<String> = self.layers.iter().map(VggLayer::to_string).collect();
        let no = |has| if has { "" } else { "no " };
        let pools = match self.pool {
            _ if !self.layers.contains(&VggLayer::Pool) => "no",
            PoolKind::Max => "max",
            PoolKind::Average => "average",
        };
        let head = match self.head {
            Head::GlobalAverage => "global average".into(),
            Head::Flatten => "flatten".into(),
            Head::Hidden { width, .. } => format!("two hidden layers of {width}"),
        };
        write!(
            f,
            "vgg:{} ({}batch norm, {}conv biases, {pools} pools, {head}, {} classes)",
            layers.join(","),
            no(self.batch_norm),
            no(self.conv_bias),
            self.classes
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::Mode;
    use prospr_engine::{DType, Device, Key};

    fn layers(text: &str) -> Vec<VggLayer> {
        text.split(',').map(|l| l.parse().unwrap()).collect()
    }

    #[test]
    fn names_and_shapes_are_torchvisions() {
        let net = Vgg::vgg16(1000).imagenet();
        let (params, state) = net.init(Key::new(0), &[3, 32, 32], DType::F32, &Device::cpu());
        assert_eq!(params["features.40.weight"].shape(), [512, 512, 3, 3]);
        assert_eq!(params["classifier.0.weight"].shape(), [4096, 25088]);
        assert_eq!(params["classifier.6.bias"].shape(), [1000]);
        assert_eq!(state["features.41.running_var"].shape(), [512]);
        assert_eq!(state.len(), 2 * 13);
    }

    #[test]
    fn dropout_is_for_training() {
        let device = Device::cpu();
        let head = Head::Hidden { width: 50, dropout: 0.5 };
        let net = Vgg { head, ..Vgg::new(layers("4,M"), 5) };
        let images = Key::new(1).normal(&[2, 3, 8, 8], DType::F64, &device);
        let (params, state) = net.init(Key::new(0), &[3, 8, 8], DType::F64, &device);
        let logits = |mode| {
            let (logits, _) = net.apply(&params, &state, &images, mode);
            logits.to_f64s().unwrap()
        };
        let train = |seed| logits(Mode::Train(Key::new(seed)));
        assert_eq!(logits(Mode::Eval), logits(Mode::Eval));
        assert_eq!(train(2), train(2));
        assert_ne!(train(2), train(3));
    }

    #[test]
    fn every_option_applies() {
        let device = Device::cpu();
        let images = Key::new(1).normal(&[2, 3, 8, 8], DType::F64, &device);
        for (yes, pool, head) in
            [(true, PoolKind::Average, Head::GlobalAverage), (false, PoolKind::Max, Head::Flatten)]
        {
            let mut net = Vgg::new(layers("4k5,M,6"), 5);
            (net.batch_norm, net.conv_bias, net.linear_bias) = (yes, !yes, yes);
            (net.pool, net.head) = (pool, head);
            let (params, state) = net.init(Key::new(0), &[3, 8, 8], DType::F64, &device);
            for mode in [Mode::Train(Key::new(2)), Mode::Eval] {
                let (logits, next) = net.apply(&params, &state, &images, mode);
                assert_eq!(logits.shape(), [2, 5], "{net}");
                assert_eq!(next.len(), if yes { 4 } else { 0 });
            }
        }
    }
}
