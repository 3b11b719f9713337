//! Data sets, augmentation and batching: one data set, one file; and fetching what is published.

mod augment;
mod balanced;
mod batches;
mod catalog;
mod cells;
mod check;
pub mod cifar;
mod cifar_python;
mod decode;
mod error;
pub mod fetch;
mod files;
pub mod idx;
mod image_folder;
mod mnist5k;
mod pack;
mod resize;
mod skipped;
mod source;
mod split;
#[cfg(test)]
mod tests;
mod tiny_imagenet;

pub use augment::Augment;
pub use balanced::Balanced;
pub use batches::{Batches, Loader};
pub use catalog::{DATASETS, Entry, load};
pub use check::{Report, check};
pub use error::{Error, Result};
pub use mnist5k::mnist5k;
pub use skipped::Skipped;
pub use source::{Image, Label, Memory, Sample, Source};
pub use split::{Fit, ImageSet, Normalization, Split};
