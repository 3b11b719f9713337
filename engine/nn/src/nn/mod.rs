//! Layers, losses and networks: pure functions of parameters and inputs.

mod activation;
pub mod init;
mod layers;
mod loss;
mod network;
mod norm;
mod scope;
mod summary;

pub use activation::{dropout, gelu, log_softmax, softmax};
pub use layers::{conv2d, linear};
pub use loss::{
    CrossEntropy, accuracy, binary_cross_entropy_with_logits, cross_entropy, dice_loss,
    label_ranks, negative_logit,
};
pub use network::{Batch, Net, Network};
pub use norm::{BATCH_NORM_MOMENTUM, BatchStats, batch_norm, batch_norm_train};
pub use scope::{Mode, Scope};
pub use summary::{Layer, Summary};
