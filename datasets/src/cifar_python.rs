//! CIFAR's archives for Python: each file is a pickled dictionary with an array `data` of bytes, a row of 3072 for each
//! image, and the list `labels` (CIFAR-10) or `fine_labels` (CIFAR-100).

use std::path::Path;

use prospr_store::pickle::{Node, Pickle};

use crate::cifar::Part;
use crate::{Error, Result};

/// Reads a file; `labels` is the key of the classes. The pickle is data: nothing in it is executed.
pub(crate) fn read(path: &Path, labels: &str) -> Result<Part> {
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
            wrong(
                &format!("a list of classes under `{labels}`"),
                "other values".into(),
            )
        })?;
    let pixels = pixels.into_owned();
    Ok(Part {
        name,
        pixels,
        labels,
    })
}
