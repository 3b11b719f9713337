//! Pure data that all else is written in: types, shapes, operations, programs. No tensors, devices or buffers.

mod conv;
mod dtype;
mod elementwise;
mod error;
pub(crate) mod images;
mod layout;
mod op;
mod pool;
mod precision;
pub(crate) mod program;
pub(crate) mod random;
pub(crate) mod shape;

pub use conv::ConvOptions;
pub(crate) use conv::{Conv, ConvKind};
pub use dtype::{DType, Element};
pub(crate) use elementwise::{Binary, Compare, Logic, Unary};
pub use error::{Error, Result};
pub(crate) use layout::{PadAxis, SliceAxis};
pub(crate) use op::Op;
pub(crate) use pool::Window;
pub use pool::{Interpolation, PoolOptions};
pub use precision::Precision;
pub(crate) use random::Draw;
