//! VGG-like networks: Simonyan and Zisserman, "Very deep convolutional networks for large-scale image
//! recognition", ICLR 2015, with batch norm or without, and with a single linear classifier.

use std::fmt;
use std::str::FromStr;

use crate::nn::init::{Init, pytorch_bias};
use crate::nn::{self, Mode, Network, batch_norm_init, batch_norm_layer};
use crate::{ConvOptions, DType, Device, Key, Params, PoolOptions, Role, Tensor};

/// A layer of the feature extractor. In text, `64` is a 3×3 convolution with 64 outputs, `64k5` a 5×5 one, and
/// `M` a pool.
///
/// ```
/// use prospr_engine::models::VggLayer;
/// assert_eq!("64".parse(), Ok(VggLayer::Conv { channels: 64, kernel: 3 }));
/// assert_eq!("M".parse(), Ok(VggLayer::Pool));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VggLayer {
    /// Convolution with stride 1 that keeps the image's size, batch norm if there is any, ReLU.
    Conv {
        /// Output channels.
        channels: usize,
        /// Size of the square kernel, odd.
        kernel: usize,
    },
    /// Pooling of 2×2 pixels.
    Pool,
}

/// How pixels are pooled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PoolKind {
    /// The largest.
    Max,
    /// The mean.
    Average,
}

/// How the linear classifier gets its inputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Head {
    /// The mean of each channel.
    GlobalAverage,
    /// All pixels of all channels.
    Flatten {
        /// How many pixels are left after the last layer.
        pixels: usize,
    },
}

/// Convolutions and pools in a row, then one linear classifier.
///
/// Names are those of a PyTorch `Sequential` in which each convolution, batch norm, ReLU and pool takes an index:
/// `features.0.weight`, `features.1.running_mean`, …, and `classifier.weight`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vgg {
    /// Channels of the images.
    pub channels: usize,
    /// The feature extractor.
    pub layers: Vec<VggLayer>,
    /// Whether a batch norm follows each convolution.
    pub batch_norm: bool,
    /// Whether convolutions have biases.
    pub conv_bias: bool,
    /// Whether the classifier has one.
    pub linear_bias: bool,
    /// How the pools pool.
    pub pool: PoolKind,
    /// What is before the classifier.
    pub head: Head,
    /// Number of classes.
    pub classes: usize,
    /// What stands before the index in the names of the layers.
    pub prefix: String,
    /// Name of the classifier.
    pub classifier: String,
}

impl Vgg {
    /// For colour images: batch norm, biases, max pools and global average pooling.
    pub fn new(layers: Vec<VggLayer>, classes: usize) -> Vgg {
        Vgg {
            channels: 3,
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

    /// Each layer with the index of its first module.
    fn indexed(&self) -> impl Iterator<Item = (usize, VggLayer)> {
        let conv = 2 + usize::from(self.batch_norm);
        self.layers.iter().scan(0, move |next, &layer| {
            let at = *next;
            *next += if layer == VggLayer::Pool { 1 } else { conv };
            Some((at, layer))
        })
    }

    fn name(&self, index: usize) -> String {
        format!("{}{index}", self.prefix)
    }
}

impl Network for Vgg {
    fn init(&self, key: Key, dtype: DType, device: &Device) -> (Params, Params) {
        let (mut params, mut state) = (Params::new(), Params::new());
        let mut channels = self.channels;
        let layer = |params: &mut Params, name: &str, shape: &[usize], at, biased| {
            let [weight, bias] = key.fold_in(at as u64).split();
            let draw = Init::KAIMING_NORMAL_FAN_IN.draw(weight, shape, dtype, device);
            params.insert(format!("{name}.weight"), Role::Weight, draw);
            if biased {
                let draw = pytorch_bias(bias, shape, dtype, device);
                params.insert(format!("{name}.bias"), Role::Bias, draw);
            }
        };
        for (at, conv) in self.indexed() {
            let VggLayer::Conv {
                channels: out,
                kernel,
            } = conv
            else {
                continue;
            };
            let shape = [out, channels, kernel, kernel];
            layer(&mut params, &self.name(at), &shape, at, self.conv_bias);
            if self.batch_norm {
                let name = self.name(at + 1);
                batch_norm_init(&mut params, &mut state, &name, out, dtype, device);
            }
            channels = out;
        }
        let pixels = match self.head {
            Head::GlobalAverage => 1,
            Head::Flatten { pixels } => pixels,
        };
        let shape = [self.classes, channels * pixels];
        layer(
            &mut params,
            &self.classifier,
            &shape,
            usize::MAX,
            self.linear_bias,
        );
        (params, state)
    }

    fn apply(
        &self,
        params: &Params,
        state: &Params,
        images: &Tensor,
        mode: Mode,
    ) -> (Tensor, Params) {
        let (mut x, mut next) = (images.clone(), state.clone());
        let part = |name: &str, part: &str| &params[&format!("{name}.{part}")];
        for (at, layer) in self.indexed() {
            let name = self.name(at);
            x = match (layer, self.pool) {
                (VggLayer::Pool, PoolKind::Max) => x.max_pool2d(PoolOptions::new(2)),
                (VggLayer::Pool, PoolKind::Average) => x.avg_pool2d(PoolOptions::new(2)),
                (VggLayer::Conv { kernel, .. }, _) => {
                    let same = ConvOptions::default().padding(kernel / 2);
                    let bias = self.conv_bias.then(|| part(&name, "bias"));
                    let mut y = nn::conv2d(&x, part(&name, "weight"), bias, same);
                    if self.batch_norm {
                        let name = self.name(at + 1);
                        y = batch_norm_layer(params, state, &name, &y, mode, &mut next);
                    }
                    y.relu()
                }
            };
        }
        if self.head == Head::GlobalAverage {
            x = x.adaptive_avg_pool2d(1, 1);
        }
        let name = &self.classifier;
        let bias = self.linear_bias.then(|| part(name, "bias"));
        let logits = nn::linear(&x.flatten_from(1), part(name, "weight"), bias);
        (logits, next)
    }
}

impl FromStr for VggLayer {
    type Err = String;

    fn from_str(text: &str) -> Result<VggLayer, String> {
        if text == "M" {
            return Ok(VggLayer::Pool);
        }
        let (channels, kernel) = text.split_once('k').unwrap_or((text, "3"));
        match (channels.parse(), kernel.parse()) {
            (Ok(channels), Ok(kernel)) if channels > 0 && kernel % 2 == 1 => {
                Ok(VggLayer::Conv { channels, kernel })
            }
            _ => Err(format!(
                "`{text}` is no layer; write 64 for a 3×3 convolution with 64 outputs, 64k5 for a 5×5 one, M for a pool"
            )),
        }
    }
}

impl fmt::Display for VggLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            VggLayer::Pool => write!(f, "M"),
            VggLayer::Conv {
                channels,
                kernel: 3,
            } => write!(f, "{channels}"),
            VggLayer::Conv { channels, kernel } => write!(f, "{channels}k{kernel}"),
        }
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
            Head::GlobalAverage => "global average",
            Head::Flatten { .. } => "flatten",
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

    fn layers(text: &str) -> Vec<VggLayer> {
        text.split(',').map(|l| l.parse().unwrap()).collect()
    }

    #[test]
    fn parameters_are_torchvisions() {
        // `vgg16_bn` of torchvision has 14,723,136 parameters in its features.
        let text = "64,64,M,128,128,M,256,256,256,M,512,512,512,M,512,512,512,M";
        let net = Vgg::new(layers(text), 10);
        let (params, state) = net.init(Key::new(0), DType::F32, &Device::cpu());
        assert_eq!(params.numel(), 14_723_136 + 5_130);
        assert_eq!(params["features.40.weight"].shape(), [512, 512, 3, 3]);
        assert_eq!(state["features.41.running_var"].shape(), [512]);
        assert_eq!(state.len(), 2 * 13);
    }

    #[test]
    fn every_option_applies() {
        let device = Device::cpu();
        let images = Key::new(1).normal(&[2, 3, 8, 8], DType::F64, &device);
        for (yes, pool, head) in [
            (true, PoolKind::Average, Head::GlobalAverage),
            (false, PoolKind::Max, Head::Flatten { pixels: 16 }),
        ] {
            let mut net = Vgg::new(layers("4k5,M,6"), 5);
            (net.batch_norm, net.conv_bias, net.linear_bias) = (yes, !yes, yes);
            (net.pool, net.head) = (pool, head);
            let (params, state) = net.init(Key::new(0), DType::F64, &device);
            for mode in [Mode::Train(Key::new(2)), Mode::Eval] {
                let (logits, next) = net.apply(&params, &state, &images, mode);
                assert_eq!(logits.shape(), [2, 5], "{net}");
                assert_eq!(next.len(), if yes { 4 } else { 0 });
            }
        }
    }

    #[test]
    fn layers_are_text() {
        let text = Vgg::new(layers("8,M,16k5"), 10).to_string();
        assert!(text.starts_with("vgg:8,M,16k5 (batch norm,"), "{text}");
        for bad in ["", "m", "0", "8k4", "k3"] {
            assert!(bad.parse::<VggLayer>().unwrap_err().contains("is no layer"));
        }
    }
}
