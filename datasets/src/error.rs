//! What can be wrong with data.

use std::path::{Path, PathBuf};

/// A file that is not what it should be, with its name.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file cannot be read.
    #[error("{path}: {source}; check the folder and its permissions", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's words.
        source: std::io::Error,
    },
    /// The file's contents are not what its format asks for.
    #[error("{name}: expected {expected}, found {found}; download the file again")]
    Format {
        /// The file.
        name: String,
        /// What the format asks for.
        expected: String,
        /// What stands there.
        found: String,
    },
    /// None of the names under which a file may lie exists.
    #[error("{folder} holds none of {names}; put the data set's files there", folder = folder.display(), names = names.join(", "))]
    Missing {
        /// Where it was looked for.
        folder: PathBuf,
        /// The names that would do.
        names: Vec<String>,
    },
    /// No data set has this name.
    #[error("there is no data set `{name}`; there are {}", known.join(", "))]
    Unknown {
        /// What was asked for.
        name: String,
        /// The names that there are.
        known: Vec<&'static str>,
    },
    /// The data set is read from files, and no folder was given.
    #[error("{name} is read from its files: name their folder with `--data-dir`")]
    NoFolder {
        /// The data set.
        name: &'static str,
    },
    /// A data set that is not fetched.
    #[error("`{name}` is not fetched: {advice}")]
    NotFetched {
        /// The data set.
        name: &'static str,
        /// How to get it.
        advice: &'static str,
    },
    /// A file does not come.
    #[error("{file} from {url}: {reason}")]
    Download {
        /// The file.
        file: String,
        /// Its address.
        url: String,
        /// What happened, and what to do.
        reason: String,
    },
    /// A file came whole and is not the published one.
    #[error("{path} from {url}: expected the MD5 {expected}, found {found}; the download was removed: try again, or name a mirror with `--url`", path = path.display())]
    Checksum {
        /// The file.
        path: PathBuf,
        /// Its address.
        url: String,
        /// The published checksum.
        expected: String,
        /// That of what came.
        found: String,
    },
    /// An archive is damaged, or has something that it should not have.
    #[error("{path}: {entry}: {reason}; nothing of it was kept, get the archive from another place", path = path.display())]
    Archive {
        /// The archive.
        path: PathBuf,
        /// Where in it.
        entry: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Something lies where a data set would go.
    #[error("{path} is there, but {reason}; use it as it is, or move it away and fetch again", path = path.display())]
    InTheWay {
        /// What lies there.
        path: PathBuf,
        /// Why it is not what would be fetched.
        reason: String,
    },
    /// Several things are wrong.
    #[error("{first}; {others} more problems: `prospr data check` lists them")]
    Several {
        /// One of them.
        first: Box<Error>,
        /// How many others there are.
        others: usize,
    },
    /// A class has too few images for balanced batches.
    #[error(
        "class {class} has {found} images, but {needed} of each class were asked for; ask for fewer, or add images"
    )]
    Class {
        /// The class.
        class: usize,
        /// How many images it has.
        found: usize,
        /// How many were asked for.
        needed: usize,
    },
    /// Balanced batches of images whose pixels have classes.
    #[error(
        "{name} has a class for each pixel, so that batches cannot be balanced; leave out `--prune-per-class`"
    )]
    NoClasses {
        /// The image.
        name: String,
    },
    /// Every image of a batch is damaged.
    #[error(
        "all {images} images of a batch are damaged, {first} the first; `prospr data check` lists what is wrong"
    )]
    AllSkipped {
        /// The first one's name.
        first: String,
        /// How many there are.
        images: usize,
    },
    /// The engine failed.
    #[error(transparent)]
    Engine(#[from] prospr_engine::Error),
}

impl Error {
    pub(crate) fn io(path: &Path, source: std::io::Error) -> Error {
        Error::Io {
            path: path.into(),
            source,
        }
    }

    /// Whether it tells of one image alone.
    pub(crate) fn is_of_an_image(&self) -> bool {
        matches!(self, Error::Io { .. } | Error::Format { .. })
    }
}

/// [`std::result::Result`] with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;
