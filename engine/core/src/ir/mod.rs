//! Pure data: types, shapes, operations with their attributes, programs. No tensors, devices or buffers.

mod conv;
mod dtype;
pub(crate) mod elementwise;
mod error;
pub(crate) mod images;
mod layout;
mod op;
mod pool;
mod precision;
pub(crate) mod program;
pub(crate) mod random;
pub(crate) mod shape;

pub use conv::{Conv, ConvKind, ConvOptions};
pub use dtype::{DType, Element};
pub use elementwise::{Binary, Compare, Logic, Unary};
pub use error::{Error, Result};
pub use layout::{PadAxis, SliceAxis};
pub use op::{Kind, Op};
pub use pool::{Interpolation, PoolOptions, Window};
pub use precision::Precision;
pub use random::{Draw, Law};
