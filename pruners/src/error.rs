//! Errors of pruning.

/// Why there is no mask.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A sparsity outside `[0, 1)`.
    #[error("sparsity {0} is not in [0, 1); write the fraction to remove, such as 0.98 for 98 %")]
    Sparsity(f64),
    /// A layer would keep no weight.
    #[error(
        "layer `{layer}` would keep none of its {weights} weights at sparsity {sparsity}; use a lower sparsity or keep some with `--min-per-layer 1`"
    )]
    EmptyLayer {
        /// Its name.
        layer: String,
        /// Number of its weights.
        weights: usize,
        /// The sparsity asked for.
        sparsity: f64,
    },
    /// The minimum per layer and the layers that stay whole ask for more than the sparsity leaves.
    #[error(
        "at least {needed} weights are to be kept in layers that stay whole or have a minimum, but sparsity {sparsity} leaves {kept}; lower one of them, or leave whole layers out of the count with `--sparsity-excludes-kept`"
    )]
    Minimum {
        /// The sum of the layers' minima and whole layers.
        needed: usize,
        /// Number of weights that the sparsity leaves.
        kept: usize,
        /// The sparsity asked for.
        sparsity: f64,
    },
    /// A layer that is to stay whole does not exist.
    #[error(
        "there is no layer `{layer}` to keep; write first, last or one of {}",
        known.join(", ")
    )]
    UnknownLayer {
        /// Requested name.
        layer: String,
        /// The layers' names.
        known: Vec<String>,
    },
    /// A score is not a number.
    #[error(
        "layer `{layer}` has scores that are not finite; lower the inner learning rate or use fewer steps"
    )]
    NotFinite {
        /// Its name.
        layer: String,
    },
    /// Scores are too large for their type.
    #[error(
        "the scores of layer `{layer}` leave the range of {dtype}; score in F64 on the CPU, or prune a smaller network"
    )]
    Range {
        /// Its name.
        layer: String,
        /// The type of the parameters.
        dtype: prospr_engine::DType,
    },
    /// The data ended too early.
    #[error(
        "{needed} batches are needed, but the data gave {found}; use a smaller batch or fewer steps"
    )]
    TooFewBatches {
        /// Number of batches that the method needs.
        needed: usize,
        /// Number of batches that were available.
        found: usize,
    },
    /// Invalid value or unknown name of a setting.
    #[error("`{name}` {reason}")]
    Setting {
        /// Its name in settings files.
        name: &'static str,
        /// Problem and remedy, in words.
        reason: String,
    },
    /// Registration under a name that another method has.
    #[error("there is a pruning method `{name}` already; register yours under another name")]
    NameTaken {
        /// The name.
        name: &'static str,
    },
    /// A mask of another network.
    #[error("{path} is the mask of another network: {reason}")]
    Foreign {
        /// The file.
        path: String,
        /// Difference between the mask and the network, in words.
        reason: String,
    },
    /// The engine failed.
    #[error(transparent)]
    Engine(#[from] prospr_engine::Error),
}

/// [`std::result::Result`] with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;
