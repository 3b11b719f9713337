//! Networks as pure functions, with PyTorch's parameter names.

mod lenet;
mod resnet;
mod vgg;

pub use lenet::LeNet5;
pub use resnet::{ResNet, Shortcut, Stage};
pub use vgg::{Head, PoolKind, Vgg, VggLayer};

use std::sync::Arc;

use crate::nn::Net;
use crate::{Error, Result};

/// The network of a name for images `[c, h, w]`.
///
/// # Errors
/// [`Error::Model`] if there is no such network, or it does not take such images.
///
/// ```
/// use prospr_engine::models;
/// assert!(models::by_name("lenet-5", [1, 28, 28], 10).is_ok());
/// assert!(models::by_name("lenet-6", [1, 28, 28], 10).is_err());
/// ```
pub fn by_name(name: &str, image: [usize; 3], classes: usize) -> Result<Net> {
    let wrong = |reason: &str| {
        let requested = name.to_string();
        let reason = reason.to_string();
        Err(Error::Model { requested, reason })
    };
    match name {
        "lenet-5" if image == [1, 28, 28] => Ok(Arc::new(LeNet5 { classes })),
        "lenet-5" => wrong(&format!(
            "it takes images of 1 × 28 × 28, the data's are {} × {} × {}",
            image[0], image[1], image[2]
        )),
        _ => wrong("there is lenet-5"),
    }
}
