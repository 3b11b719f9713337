//! Where images come from, one at a time.

use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;

use crate::Result;

/// Images with labels that are read one at a time, from any thread. Nothing of an image stays in memory, unless all do.
pub trait Source: Send + Sync {
    /// How many images there are.
    fn len(&self) -> usize;

    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// An image with its label.
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io) or [`Error::Format`](crate::Error::Format), with the file's name.
    ///
    /// # Panics
    /// If there is no such image.
    fn sample(&self, index: usize) -> Result<Sample<'_>>;

    /// The class of an image; none if its pixels have classes.
    ///
    /// # Errors
    /// Those of [`Source::sample`], unless the class is known without the image.
    fn class(&self, index: usize) -> Result<Option<usize>> {
        Ok(match self.sample(index)?.label {
            Label::Class(class) => Some(class),
            Label::Pixels(_) => None,
        })
    }

    /// What an image is called in messages.
    fn name(&self, index: usize) -> String;

    /// What [`Source::sample`] gives, and what is unusual about the file, if anything is.
    ///
    /// # Errors
    /// Those of [`Source::sample`].
    fn inspect(&self, index: usize) -> Result<(Sample<'_>, Option<String>)> {
        Ok((self.sample(index)?, None))
    }

    /// How many neighbours are read at once. Shuffled passes keep so many together.
    fn run(&self) -> usize {
        1
    }

    /// The same images from one large file, which is made unless it is there and up to date. Nothing where that
    /// would not be faster.
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io).
    fn packed(&self, _file: &Path) -> Result<Option<Arc<dyn Source>>> {
        Ok(None)
    }
}

/// An image and what is to be learned about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample<'a> {
    /// The image.
    pub image: Image<'a>,
    /// Its label.
    pub label: Label<'a>,
}

/// What is to be learned about an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Label<'a> {
    /// One class for all of it.
    Class(usize),
    /// One class for each pixel: an image of one channel and the same size.
    Pixels(Image<'a>),
}

/// Bytes in `[height, width, channels]` order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image<'a> {
    /// The bytes.
    pub pixels: Cow<'a, [u8]>,
    /// Rows.
    pub height: usize,
    /// Pixels of a row.
    pub width: usize,
    /// 1 for grey, 3 for red, green and blue.
    pub channels: usize,
}

/// Images of one size in memory.
pub struct Memory {
    /// What they are called in messages.
    pub name: String,
    /// Their bytes, `[n, height, width, channels]`.
    pub images: Vec<u8>,
    /// The class of each.
    pub labels: Vec<u16>,
    /// Channels, height and width.
    pub shape: [usize; 3],
}

impl Source for Memory {
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
