//! The layers of a feature extractor, and their text form.

use std::fmt;
use std::str::FromStr;

/// A layer of the feature extractor. In text, `64` is a 3×3 convolution with 64 outputs, `64k5` a 5×5 one, and
/// `M` a pool.
///
/// ```
/// use prospr_nn::models::VggLayer;
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
                "`{text}` is not a layer; write 64 for a 3×3 convolution with 64 outputs, 64k5 for a 5×5 one, M for a pool"
            )),
        }
    }
}

impl fmt::Display for VggLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            VggLayer::Pool => write!(f, "M"),
            VggLayer::Conv { channels, kernel: 3 } => write!(f, "{channels}"),
            VggLayer::Conv { channels, kernel } => write!(f, "{channels}k{kernel}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_are_text() {
        let text = "8,M,16k5";
        let layers: Vec<VggLayer> = text.split(',').map(|l| l.parse().unwrap()).collect();
        let back: Vec<String> = layers.iter().map(VggLayer::to_string).collect();
        assert_eq!(back.join(","), text);
        for bad in ["", "m", "0", "8k4", "k3"] {
            assert!(bad.parse::<VggLayer>().unwrap_err().contains("is not a layer"));
        }
    }
}
