//! Data sets, augmentation and batching: one data set, one file; and fetching what is published.

mod augment;
mod batches;
mod catalog;
mod error;
pub mod fetch;
pub mod idx;
mod mnist5k;
mod split;

pub use augment::Augment;
pub use batches::{Batches, Loader};
pub use catalog::{DATASETS, Entry, load};
pub use error::{Error, Result};
pub use mnist5k::mnist5k;
pub use split::{ImageSet, Normalization, Split};
