//! Image sources: data sets that give one image at a time.

use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;

use crate::Result;

/// Labelled images that are read one at a time, from any thread. An implementation keeps no image in memory, unless it
/// keeps all of them.
pub trait ImageSource: Send + Sync {
    /// Number of images.
    fn len(&self) -> usize;

    /// Returns true if there are no images.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Reads an image with its label.
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io) or [`Error::Format`](crate::Error::Format), with the file's name.
    ///
    /// # Panics
    /// If `index` is out of range.
    fn sample(&self, index: usize) -> Result<Sample<'_>>;

    /// Class of an image; `None` if labels are per pixel.
    ///
    /// # Errors
    /// Those of [`ImageSource::sample`], unless the class is known without reading the image.
    fn class(&self, index: usize) -> Result<Option<usize>> {
        Ok(match self.sample(index)?.label {
            Label::Class(class) => Some(class),
            Label::Pixels(_) => None,
        })
    }

    /// Name of an image in messages.
    fn name(&self, index: usize) -> String;

    /// Like [`ImageSource::sample`], with a remark if the file is unusual.
    ///
    /// # Errors
    /// Those of [`ImageSource::sample`].
    fn inspect(&self, index: usize) -> Result<(Sample<'_>, Option<String>)> {
        Ok((self.sample(index)?, None))
    }

    /// Number of neighbouring images that are read in one access. Shuffled passes keep them together.
    fn run_length(&self) -> usize {
        1
    }

    /// The same images from one large file, which is written unless it is up to date. `None` if that would not be
    /// faster.
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io).
    fn packed(&self, _file: &Path) -> Result<Option<Arc<dyn ImageSource>>> {
        Ok(None)
    }
}

/// An image and its label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample<'a> {
    /// The image.
    pub image: Image<'a>,
    /// Its label.
    pub label: Label<'a>,
}

/// Label of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Label<'a> {
    /// One class for the whole image.
    Class(usize),
    /// One class for each pixel: an image of one channel and the same size.
    Pixels(Image<'a>),
}

/// An image of bytes in `[height, width, channels]` order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image<'a> {
    /// The bytes.
    pub pixels: Cow<'a, [u8]>,
    /// Number of rows.
    pub height: usize,
    /// Number of columns.
    pub width: usize,
    /// Number of channels: 1 for grey, 3 for red, green and blue.
    pub channels: usize,
}

/// Image source in memory; all images have the same size.
pub struct InMemory {
    /// Name of the data in messages.
    pub name: String,
    /// Bytes of all images, `[n, height, width, channels]`.
    pub images: Vec<u8>,
    /// Class of each image.
    pub labels: Vec<u16>,
    /// Channels, height and width.
    pub shape: [usize; 3],
}

impl ImageSource for InMemory {
    fn len(&self) -> usize {
        self.labels.len()
    }

    fn sample(&self, index: usize) -> Result<Sample<'_>> {
        let [channels, height, width] = self.shape;
        let size = channels * height * width;
        Ok(Sample {
            image: Image {
                pixels: self.images[index * size..][..size].into(),
                height,
                width,
                channels,
            },
            label: Label::Class(self.labels[index].into()),
        })
    }

    fn name(&self, index: usize) -> String {
        format!("image {index} of {}", self.name)
    }
}
