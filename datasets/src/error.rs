//! Errors about data sets.

use std::path::{Path, PathBuf};

/// An error about a data set; the message names the file and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file cannot be read.
    #[error("{path}: {source}; check the folder and its permissions", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// The file does not follow its format.
    #[error("{name}: expected {expected}, found {found}; download the file again")]
    Format {
        /// The file.
        name: String,
        /// Requirement of the format.
        expected: String,
        /// Actual contents.
        found: String,
    },
    /// None of the accepted file names exists.
    #[error("{folder} contains none of {names}; put the data set's files there", folder = folder.display(), names = names.join(", "))]
    Missing {
        /// The folder that was searched.
        folder: PathBuf,
        /// The accepted names.
        names: Vec<String>,
    },
    /// No data set has this name.
    #[error("there is no data set `{name}`; there are {}", known.join(", "))]
    Unknown {
        /// The requested name.
        name: String,
        /// The known names.
        known: Vec<&'static str>,
    },
    /// The data set is read from files, but no folder was given.
    #[error("{name} is read from its files: name their folder with `--data-dir`")]
    NoFolder {
        /// The data set.
        name: &'static str,
    },
    /// The data set cannot be downloaded by this program.
    #[error("`{name}` is not fetched: {advice}")]
    NotFetched {
        /// The data set.
        name: &'static str,
        /// Instructions for getting it.
        advice: &'static str,
    },
    /// A download failed.
    #[error("{file} from {url}: {reason}")]
    Download {
        /// The file.
        file: String,
        /// The address.
        url: String,
        /// The cause, and what to do.
        reason: String,
    },
    /// A complete download is not the published file.
    #[error("{path} from {url}: expected the MD5 {expected}, found {found}; the download was removed: try again, or name a mirror with `--url`", path = path.display())]
    Checksum {
        /// The file.
        path: PathBuf,
        /// The address.
        url: String,
        /// The published checksum.
        expected: String,
        /// The checksum of the download.
        found: String,
    },
    /// An archive is damaged or has a forbidden entry.
    #[error("{path}: {entry}: {reason}; none of its files were kept; get the archive from another source", path = path.display())]
    Archive {
        /// The archive.
        path: PathBuf,
        /// The entry, or the archive as a whole.
        entry: String,
        /// The cause.
        reason: String,
    },
    /// The target of unpacking exists and is not the complete data set.
    #[error("{path} exists, but {reason}; use it as it is, or move it away and fetch again", path = path.display())]
    InTheWay {
        /// The existing file or folder.
        path: PathBuf,
        /// Reason why it is not the data set.
        reason: String,
    },
    /// Several problems.
    #[error("{first}; {others} more problems: `prospr data check` lists them")]
    Several {
        /// The first problem.
        first: Box<Error>,
        /// Number of other problems.
        others: usize,
    },
    /// A class has too few images for balanced batches.
    #[error(
        "class {class} has {found} images, but {needed} of each class were requested; request fewer, or add images"
    )]
    Class {
        /// The class.
        class: usize,
        /// Number of its images.
        found: usize,
        /// Number of images that were requested.
        needed: usize,
    },
    /// Class-balanced batches were requested of images with labels per pixel.
    #[error(
        "{name} has a class for each pixel, so that batches cannot be balanced; leave out `--prune-per-class`"
    )]
    NoClasses {
        /// The first image.
        name: String,
    },
    /// All images of a batch are damaged.
    #[error(
        "all {images} images of a batch are damaged, {first} the first; `prospr data check` lists what is wrong"
    )]
    AllSkipped {
        /// Name of the first image.
        first: String,
        /// Number of images.
        images: usize,
    },
    /// An error of the engine.
    #[error(transparent)]
    Engine(#[from] prospr_engine::Error),
}

impl Error {
    pub(crate) fn io(path: &Path, source: std::io::Error) -> Error {
        Error::Io { path: path.into(), source }
    }

    /// Returns true if the error is about a single image, so that the image can be skipped.
    pub(crate) fn is_about_one_image(&self) -> bool {
        matches!(self, Error::Io { .. } | Error::Format { .. })
    }
}

/// [`std::result::Result`] with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;
