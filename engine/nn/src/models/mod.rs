//! Networks as pure functions, with the parameter names of PyTorch and torchvision.

mod catalog;
mod lenet;
mod mlp;
mod resnet;
mod unet;
mod vgg;

pub use catalog::{MODELS, Model, by_name};
pub use lenet::LeNet5;
pub use mlp::Mlp;
pub use resnet::{Block, ResNet, Shortcut, Stage};
pub use unet::UNet;
pub use vgg::{Head, PoolKind, Vgg, VggLayer};
