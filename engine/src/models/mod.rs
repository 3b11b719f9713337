//! Networks as pure functions, with PyTorch's parameter names.

mod lenet;
mod resnet;
mod vgg;

pub use lenet::LeNet5;
pub use resnet::{ResNet, Shortcut, Stage};
pub use vgg::{Head, PoolKind, Vgg, VggLayer};
