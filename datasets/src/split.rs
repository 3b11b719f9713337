//! What a data set is.

use std::path::Path;
use std::sync::Arc;

use crate::resize::{self, Window};
use crate::{Augment, Error, Image, Result, Sample, Source};

/// Images to train with or to test on, served in one size.
#[derive(Clone)]
pub struct Split {
    /// Where they come from.
    pub source: Arc<dyn Source>,
    /// Channels, height and width as they are served.
    pub shape: [usize; 3],
    /// What is done about other sizes.
    pub fit: Fit,
}

/// How images come to the size in which they are served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fit {
    /// They have it; another size is an error.
    Exact,
    /// The shorter side is brought to this length, then the middle is cut out.
    Center(usize),
    /// They are stretched.
    Stretch,
}

impl Split {
    /// Images from a source that all have this size (channels, height, width).
    pub fn new(source: impl Source + 'static, shape: [usize; 3]) -> Split {
        Split {
            source: Arc::new(source),
            shape,
            fit: Fit::Exact,
        }
    }

    /// How many images there are.
    pub fn len(&self) -> usize {
        self.source.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.source.is_empty()
    }

    /// An image as the source has it.
    ///
    /// # Errors
    /// The source's.
    pub fn sample(&self, index: usize) -> Result<Sample<'_>> {
        self.source.sample(index)
    }

    /// An image in the size in which it is served, without anything random.
    ///
    /// # Errors
    /// [`Error::Format`] if it has another size and [`Fit::Exact`] is asked for.
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
            Fit::Stretch => Ok(resize::bilinear(
                &image,
                Window::whole(&image),
                [height, width],
            )),
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

/// Mean and standard deviation of each channel, of pixels scaled to `[0, 1]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Normalization {
    /// One for each channel.
    pub mean: Vec<f32>,
    /// One for each channel.
    pub std: Vec<f32>,
}

/// A data set: what to learn from, what to test on.
#[derive(Clone)]
pub struct ImageSet {
    /// Its name.
    pub name: String,
    /// Number of classes.
    pub classes: usize,
    /// Whether each pixel has a class, rather than each image.
    pub per_pixel: bool,
    /// To learn from.
    pub train: Split,
    /// To test on.
    pub test: Split,
    /// What is subtracted from pixels, and what they are divided by.
    pub normalization: Normalization,
    /// What is usually done at random to the images of `train`.
    pub augment: Augment,
}

impl ImageSet {
    /// The shape of the logits that its labels ask for, for one image: `[classes]`, or `[classes, h, w]`.
    pub fn logits(&self) -> Vec<usize> {
        let [_, h, w] = self.train.shape;
        match self.per_pixel {
            true => vec![self.classes, h, w],
            false => vec![self.classes],
        }
    }

    /// The same data, read from `NAME-train.pack` and `NAME-test.pack` in a folder: copies of the image files, one after
    /// the other, which are made unless they are there and up to date. Data that is in memory stays there.
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
