//! What networks are made of: pure functions of parameters and inputs.

mod activation;
pub mod init;
mod layers;
mod loss;
mod network;
mod norm;
mod summary;

pub use activation::{dropout, gelu, log_softmax, softmax};
pub use layers::{conv2d, linear};
pub use loss::{
    CrossEntropy, accuracy, binary_cross_entropy_with_logits, cross_entropy, dice_loss,
    label_ranks, negative_logit,
};
pub use network::{Batch, Function, Mode, Net, Network};
pub use norm::{
    BATCH_NORM_MOMENTUM, BatchStats, batch_norm, batch_norm_init, batch_norm_layer,
    batch_norm_train,
};
pub use summary::{Layer, Summary};
