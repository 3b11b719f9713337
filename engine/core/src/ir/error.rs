//! The engine's error type: what was expected, what was found, what to do.

/// Failures caused by input, files, memory or hardware.
///
/// Mistakes in a program (wrong shapes, mixed dtypes) panic instead, with the name of the operation and
/// the shapes it was given.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No device matches the request.
    #[error("no device matches `{requested}`. {reason}\nDevices of this machine:\n{available}")]
    NoSuchDevice {
        /// The requested device, for example `gpu:3`.
        requested: String,
        /// The reason why no device matched.
        reason: String,
        /// One line for each device of this machine.
        available: String,
    },
    /// The device or its driver failed: lost, or a kernel was rejected.
    #[error(
        "{device} failed while {during}: {reason}. If it was lost, resume from the last checkpoint or use `--device cpu`"
    )]
    Device {
        /// The device's name.
        device: String,
        /// The operation that failed.
        during: String,
        /// The driver's message.
        reason: String,
    },
    /// A computation needs more memory than the device has or a budget allows.
    #[error("{}", out_of_memory(device, during, *needed, *available, limit, biggest))]
    OutOfMemory {
        /// The device's name.
        device: String,
        /// The operation that was refused.
        during: String,
        /// Bytes of all tensors in memory at the peak, or of the one tensor that is too large by itself.
        needed: u64,
        /// Limit in bytes, if it is known.
        available: Option<u64>,
        /// The kind of limit, such as "the memory budget".
        limit: String,
        /// The largest values in memory at the peak: description and bytes.
        biggest: Vec<(String, u64)>,
    },
    /// Data was read as a type other than its own.
    #[error(
        "a {found} tensor was read as {expected}; convert it first with `to_dtype(DType::{expected})`"
    )]
    DType {
        /// The requested type.
        expected: super::DType,
        /// The tensor's type.
        found: super::DType,
    },
    /// The number of values does not fit the shape.
    #[error("{found} values do not fill the shape {shape:?}, which holds {expected}")]
    Length {
        /// The requested shape.
        shape: Vec<usize>,
        /// Number of elements of the shape.
        expected: usize,
        /// The number of values given.
        found: usize,
    },
    /// A value that must be finite was not.
    #[error(
        "step {step} (counted from 0) produced a non-finite {what}; lower the learning rate or clip the gradient"
    )]
    NonFinite {
        /// The step, counted from 0.
        step: usize,
        /// Name of the output.
        what: String,
    },
    /// A file cannot be read or written, or its content is invalid.
    #[error("{path}: {reason}")]
    File {
        /// The file.
        path: String,
        /// The reason.
        reason: String,
    },
    /// No network has this name, or it does not take such images.
    #[error("no network for `{requested}`: {reason}")]
    Model {
        /// The requested name.
        requested: String,
        /// Accepted values.
        reason: String,
    },
    /// A memory budget cannot be met by any policy.
    #[error(
        "{what} needs at least {needed} bytes, but the budget is {budget}; raise it, shorten the unroll, or keep the states in host memory with `host_offload`"
    )]
    Budget {
        /// The part that does not fit.
        what: String,
        /// Smallest sufficient budget in bytes.
        needed: u64,
        /// The limit in bytes.
        budget: u64,
    },
}

/// [`std::result::Result`] with the engine's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Returns the message of [`Error::OutOfMemory`].
fn out_of_memory(
    device: &str,
    during: &str,
    needed: u64,
    available: Option<u64>,
    limit: &str,
    biggest: &[(String, u64)],
) -> String {
    let mega = |bytes: u64| format!("{:.1} MB", bytes as f64 / 1e6);
    let allowed = match available {
        Some(bytes) => format!("{limit} is {}", mega(bytes)),
        None => format!("{limit} gave no more"),
    };
    let biggest: Vec<String> =
        biggest.iter().map(|(what, bytes)| format!("{} {what}", mega(*bytes))).collect();
    format!(
        "{device} is out of memory: {during} needs {} of tensors, but {allowed}. The largest then: {}. Use a smaller \
         batch or network; an unroll takes less with another policy (`per-step`, `every:K`, `host_offload`), and a run \
         goes on from its last checkpoint with `--resume`",
        mega(needed),
        biggest.join("; ")
    )
}
