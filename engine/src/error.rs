//! The engine's error type: what was expected, what was found, what to do.

/// Everything that input, files, memory or hardware can make fail.
///
/// Mistakes in a program (wrong shapes, mixed dtypes) panic instead, with the name of the operation and
/// the shapes it was given.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No device matches what was asked for.
    #[error("no device matches `{requested}`. {reason}\nDevices of this machine:\n{available}")]
    NoSuchDevice {
        /// What was asked for, for example `gpu:3`.
        requested: String,
        /// Why nothing matched.
        reason: String,
        /// One line for each device that does exist.
        available: String,
    },
    /// The device or its driver failed: out of memory, lost, or a kernel was rejected.
    #[error(
        "{device} failed while {during}: {reason}. If it ran out of memory, use a smaller batch or a tighter `unroll` policy; if it was lost, resume from the last checkpoint or use `--device cpu`"
    )]
    Device {
        /// The device's name.
        device: String,
        /// What was being done.
        during: String,
        /// The driver's words.
        reason: String,
    },
    /// Data was read as another type than it has.
    #[error(
        "a {found} tensor was read as {expected}; convert it first with `to_dtype(DType::{expected})`"
    )]
    DType {
        /// The type asked for.
        expected: crate::DType,
        /// The tensor's type.
        found: crate::DType,
    },
    /// The number of values does not fit the shape.
    #[error("{found} values do not fill the shape {shape:?}, which holds {expected}")]
    Length {
        /// The shape asked for.
        shape: Vec<usize>,
        /// Its number of elements.
        expected: usize,
        /// The number of values given.
        found: usize,
    },
    /// A value that must be finite was not.
    #[error(
        "step {step} of the unroll (counted from 0) produced a non-finite {what}; lower the inner learning rate, clip the inner gradient, or use fewer steps"
    )]
    NonFinite {
        /// The step, counted from 0.
        step: usize,
        /// Which output.
        what: String,
    },
    /// A file could not be read.
    #[error("{path}: {reason}")]
    File {
        /// Where it is.
        path: String,
        /// What is wrong with it, and what to do.
        reason: String,
    },
    /// A memory budget cannot be met by any policy.
    #[error(
        "{what} needs at least {needed} bytes, but the budget is {budget}; raise it, shorten the unroll, or keep the states in host memory with `host_offload`"
    )]
    Budget {
        /// What does not fit.
        what: String,
        /// The least that would do, in bytes.
        needed: u64,
        /// What was allowed, in bytes.
        budget: u64,
    },
}

/// [`std::result::Result`] with the engine's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;
