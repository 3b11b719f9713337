//! Networks as pure functions, with PyTorch's parameter names.

mod lenet;

pub use lenet::LeNet5;
