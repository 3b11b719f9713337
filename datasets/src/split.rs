//! Data sets: a training split, a test split, and how their images are prepared.

use std::path::Path;
use std::sync::Arc;

use crate::resize::{self, Window};
use crate::{Augment, Error, Image, ImageSource, Result, Sample};

/// Images of one split, served in one size.
#[derive(Clone)]
pub struct Split {
    /// Source of the images.
    pub source: Arc<dyn ImageSource>,
    /// Channels, height and width as served.
    pub shape: [usize; 3],
    /// Resizing of images that have another size.
    pub fit: Fit,
}

/// Resizing of images to the served size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fit {
    /// No resizing; another size is an error.
    Exact,
    /// The shorter side is resized to this length, then the center is cropped.
    Center(usize),
    /// The image is stretched, without keeping its aspect ratio.
    Stretch,
}

impl Split {
    /// A split whose images all have the given size (channels, height, width).
    pub fn new(source: impl ImageSource + 'static, shape: [usize; 3]) -> Split {
        Split { source: Arc::new(source), shape, fit: Fit::Exact }
    }

    /// Number of images.
    pub fn len(&self) -> usize {
        self.source.len()
    }

    /// Returns true if there are no images.
    pub fn is_empty(&self) -> bool {
        self.source.is_empty()
    }

    /// Reads an image as the source stores it.
    ///
    /// # Errors
    /// Those of the source.
    pub fn sample(&self, index: usize) -> Result<Sample<'_>> {
        self.source.sample(index)
    }

    /// Resizes an image to the served size, without random augmentation.
    ///
    /// # Errors
    /// [`Error::Format`] if it has another size and the split's fit is [`Fit::Exact`].
    pub(crate) fn fitted<'a>(&self, index: usize, image: Image<'a>) -> Result<Image<'a>> {
        let [_, height, width] = self.shape;
        let same = (image.height, image.width) == (height, width);
        match self.fit {
            Fit::Exact | Fit::Stretch if same => Ok(image),
            Fit::Exact => Err(Error::Format {
                name: self.source.name(index),
                expected: format!("{height} × {width} pixels"),
                found: format!("{} × {}", image.height, image.width),
            }),
            Fit::Stretch => Ok(resize::bilinear(&image, Window::whole(&image), [height, width])),
            Fit::Center(shorter) => {
                let least = image.height.min(image.width);
                let long = |side: usize| side * shorter / least;
                let size = [long(image.height), long(image.width)];
                let middle = Window {
                    top: (size[0] - height).div_ceil(2),
                    left: (size[1] - width).div_ceil(2),
                    height,
                    width,
                };
                let whole = Window::whole(&image);
                Ok(resize::bilinear_part(&image, whole, size, middle))
            }
        }
    }
}

/// Mean and standard deviation of each channel, for pixels scaled to `[0, 1]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Normalization {
    /// Mean of each channel.
    pub mean: Vec<f32>,
    /// Standard deviation of each channel.
    pub std: Vec<f32>,
}

/// An image data set with a training and a test split.
#[derive(Clone)]
pub struct ImageSet {
    /// Name of the data set.
    pub name: String,
    /// Number of classes.
    pub classes: usize,
    /// True if labels are per pixel (segmentation), false if they are per image.
    pub per_pixel: bool,
    /// Training split.
    pub train: Split,
    /// Test split.
    pub test: Split,
    /// Normalization of the pixels.
    pub normalization: Normalization,
    /// Default augmentation of the training images.
    pub augment: Augment,
}

impl ImageSet {
    /// Shape of the logits of one image that the labels require: `[classes]`, or `[classes, h, w]` with labels per
    /// pixel.
    pub fn logits(&self) -> Vec<usize> {
        let [_, h, w] = self.train.shape;
        match self.per_pixel {
            true => vec![self.classes, h, w],
            false => vec![self.classes],
        }
    }

    /// Returns the same data set, read from `NAME-train.pack` and `NAME-test.pack` in a folder, which contain copies of
    /// the image files one after the other. A pack is written unless it is up to date. Data in memory is not packed.
    ///
    /// # Errors
    /// [`Error::Io`] if the folder cannot be written.
    pub fn packed(mut self, folder: &Path) -> Result<ImageSet> {
        for (part, split) in [("train", &mut self.train), ("test", &mut self.test)] {
            let file = folder.join(format!("{}-{part}.pack", self.name));
            if let Some(source) = split.source.packed(&file)? {
                split.source = source;
            }
        }
        Ok(self)
    }
}
