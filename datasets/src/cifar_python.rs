//! CIFAR's archives for Python: each file is a pickled dictionary with a byte array `data`, one row of 3072 per image,
//! and a list `labels` (CIFAR-10) or `fine_labels` (CIFAR-100).

use std::path::Path;

use prospr_store::pickle::{Node, Pickle};

use crate::{Error, Result};

/// Reads the pixels and labels of a file; `labels` is the key of the labels. The pickle is read as data, nothing in it
/// is executed.
pub(crate) fn read(path: &Path, labels: &str) -> Result<(Vec<u8>, Vec<u16>)> {
    let bytes = std::fs::read(path).map_err(|source| Error::io(path, source))?;
    let name = path.display().to_string();
    let wrong = |expected: &str, found: String| Error::Format {
        name: name.clone(),
        expected: expected.into(),
        found,
    };
    let pickle =
        Pickle::read(&bytes).map_err(|e| wrong("a pickled dictionary", format!("damage: {e}")))?;
    let entry = |key: &str| {
        pickle
            .get(pickle.root(), key)
            .ok_or_else(|| wrong(&format!("an entry `{key}`"), "none".into()))
    };
    let (shape, pixels) = pickle
        .byte_array(entry("data")?)
        .ok_or_else(|| wrong("an array of bytes under `data`", "another value".into()))?;
    if shape.len() != 2 || shape[1] != 3072 {
        return Err(wrong("rows of 3072 bytes", format!("shape {shape:?}")));
    }
    let class = |&node: &Node| u16::try_from(pickle.size(node)?).ok();
    let labels = pickle
        .elements(entry(labels)?)
        .and_then(|nodes| nodes.iter().map(class).collect::<Option<Vec<u16>>>())
        .ok_or_else(|| {
            wrong(&format!("a list of classes under `{labels}`"), "other values".into())
        })?;
    Ok((pixels.into_owned(), labels))
}
