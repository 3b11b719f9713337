//! Images and labels in memory.

use std::sync::Arc;

/// Images of one size with one label each, as files hold them: bytes in `[n, c, h, w]` order.
#[derive(Clone, Debug)]
pub struct Split {
    /// Pixels.
    pub images: Arc<[u8]>,
    /// Class of each image.
    pub labels: Arc<[u8]>,
    /// Channels, height and width of an image.
    pub shape: [usize; 3],
}

impl Split {
    /// How many images there are.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// The pixels of one image, `[c, h, w]`.
    pub fn image(&self, index: usize) -> &[u8] {
        let size = self.shape.iter().product::<usize>();
        &self.images[index * size..(index + 1) * size]
    }
}

/// Mean and standard deviation of each channel, of pixels scaled to `[0, 1]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Normalization {
    /// One for each channel.
    pub mean: Vec<f32>,
    /// One for each channel.
    pub std: Vec<f32>,
}

/// A data set: what to learn from, what to test on.
#[derive(Clone, Debug)]
pub struct ImageSet {
    /// Its name.
    pub name: String,
    /// Number of classes.
    pub classes: usize,
    /// To learn from.
    pub train: Split,
    /// To test on.
    pub test: Split,
    /// What is subtracted from pixels, and what they are divided by.
    pub normalization: Normalization,
}
