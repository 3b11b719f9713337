//! Files of tensors: safetensors, PyTorch's `.pt`, Python's pickles as plain data; and atomic writes.

mod atomic;
pub mod pickle;
mod strided;
mod tensor_file;
mod torch;
mod values;

pub use atomic::write_atomically;
pub use tensor_file::TensorFile;
