//! Problems and remarks that are collected while a data set is read.

use crate::{Error, Result};

/// All problems and remarks about a data set's files, so that they can be reported at once.
#[derive(Default)]
pub(crate) struct Findings {
    /// Errors that make the data set unusable.
    pub problems: Vec<Error>,
    /// Notes on files that are unusual but can be used.
    pub remarks: Vec<String>,
}

impl Findings {
    /// Unwraps a result; an error is added to the problems and gives `None`.
    pub fn ok<T>(&mut self, result: Result<T>) -> Option<T> {
        result.map_err(|error| self.problems.push(error)).ok()
    }
}
