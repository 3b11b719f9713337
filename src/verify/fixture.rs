//! Fixture files: a network's initial values, batches, and the scores that another program computed from them.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

use super::candidate::Candidate;
use crate::nn::Batch;
use crate::pruners::Result;
use crate::{DType, Device, Error, Params, Tensor, TensorFile};

/// Shape, and values in row-major order.
type Array = (Vec<usize>, Vec<f64>);

/// Settings of the scores: the JSON text under the metadata key `case`. `method.rs` checks which entries a method
/// needs.
#[derive(Clone, Debug, Deserialize)]
pub struct Case {
    pub method: Option<String>,
    pub num_steps: Option<usize>,
    pub inner_lr: Option<f64>,
    pub inner_momentum: Option<f64>,
    pub momentum_note: Option<String>,
    pub new_data_in_inner: Option<bool>,
    pub structured: Option<bool>,
    pub bn: Option<String>,
    pub sum_over_batches: Option<usize>,
    pub temperature: Option<f64>,
    pub iterations: Option<usize>,
    pub density: Option<f64>,
    pub schedule: Option<String>,
}

/// The contents of a fixture file, with its case parsed.
pub struct Fixture {
    pub path: String,
    pub case: Case,
    arrays: BTreeMap<String, Array>,
}

impl Fixture {
    pub fn read(path: &Path) -> Result<Fixture> {
        let file = TensorFile::read(path)?;
        let path = path.display().to_string();
        let case = match file.metadata.get("case") {
            Some(text) => serde_json::from_str(text)
                .map_err(|e| format!("its metadata entry `case` is not the JSON object expected: {e}")),
            None => Err("expected a metadata entry `case` with the method and its options, found none; write one when the file is made".into()),
        };
        let error = |reason| Error::File { path: path.clone(), reason };
        let case = case.map_err(error)?;
        let array = |name: &str| Ok((name.to_string(), file.array(name)?));
        let arrays = file.names().map(array).collect::<Result<_>>()?;
        Ok(Fixture { path, case, arrays })
    }

    /// Makes an error that names the file.
    pub fn error(&self, reason: impl Into<String>) -> crate::pruners::Error {
        let (path, reason) = (self.path.clone(), reason.into());
        Error::File { path, reason }.into()
    }

    /// Finds all tensors whose names start with `prefix`, and names them by the rest of the name.
    pub fn under(&self, prefix: &str) -> BTreeMap<&str, &Array> {
        self.arrays
            .iter()
            .filter_map(|(name, array)| Some((name.strip_prefix(prefix)?, array)))
            .collect()
    }

    /// Shapes of the network's parameters and running statistics. (PyTorch's `num_batches_tracked` is ignored.)
    pub fn shapes(&self) -> BTreeMap<&str, &[usize]> {
        self.under("init.")
            .into_iter()
            .filter(|(name, _)| !name.ends_with("num_batches_tracked"))
            .map(|(name, (shape, _))| (name, shape.as_slice()))
            .collect()
    }

    /// Channels, height and width of the images in `batch.0.x`, if the file has that tensor.
    ///
    /// # Errors
    /// If the tensor does not have the shape of images.
    pub fn image_shape(&self) -> Result<Option<[usize; 3]>> {
        match self.arrays.get("batch.0.x").map(|(shape, _)| shape.as_slice()) {
            None => Ok(None),
            Some(&[_, c, h, w]) if c * h * w > 0 => Ok(Some([c, h, w])),
            Some(other) => Err(self.error(format!(
                "`batch.0.x` has shape {other:?}; expected images [n, channels, height, width]"
            ))),
        }
    }

    /// Reads the initial parameters and running statistics of a network from the tensors `init.…`.
    pub fn values(
        &self,
        candidate: &Candidate,
        dtype: DType,
        device: &Device,
    ) -> Result<(Params, Params)> {
        let (params, state) = candidate.initial(dtype, device);
        let read = |like: &Params| {
            let mut values = Params::new();
            for (name, role, _) in like.iter() {
                values.insert(name, role, self.tensor(&format!("init.{name}"), dtype, device)?);
            }
            Ok::<_, crate::pruners::Error>(values)
        };
        Ok((read(&params)?, read(&state)?))
    }

    /// Reads the first `count` batches.
    pub fn batches(
        &self,
        count: usize,
        classes: usize,
        dtype: DType,
        device: &Device,
    ) -> Result<Vec<Batch>> {
        (0..count).map(|i| self.batch(i, count, classes, dtype, device)).collect()
    }

    /// Reads batch `i` of `count` and checks its shapes and labels.
    fn batch(
        &self,
        i: usize,
        count: usize,
        classes: usize,
        dtype: DType,
        device: &Device,
    ) -> Result<Batch> {
        let [x, y] = ["x", "y"].map(|part| format!("batch.{i}.{part}"));
        let find = |name: &str| {
            self.arrays.get(name).ok_or_else(|| {
                self.error(format!("`{name}` is missing; the case needs {count} batches"))
            })
        };
        let ((images, _), (labels, classes_of)) = (find(&x)?, find(&y)?);
        let first = &find("batch.0.x")?.0;
        if images.len() != 4 || images[1..] != first[1..] || *labels != images[..1] || images[0] < 2
        {
            return Err(self.error(format!(
                "`{x}` and `{y}` have shapes {images:?} and {labels:?}; expected two or more images [n, channels, height, width] of one size in all batches, and their labels [n]"
            )));
        }
        if let Some(bad) =
            classes_of.iter().find(|&&l| !(0.0..classes as f64).contains(&l) || l.fract() != 0.0)
        {
            return Err(self.error(format!(
                "`{y}` has the label {bad}; expected whole numbers below {classes}, the number of classes"
            )));
        }
        Ok(Batch {
            images: self.tensor(&x, dtype, device)?,
            labels: self.tensor(&y, DType::I32, device)?,
        })
    }

    /// Reads a tensor, converts it to `dtype` and copies it to the device.
    fn tensor(&self, name: &str, dtype: DType, device: &Device) -> Result<Tensor> {
        let Some((shape, values)) = self.arrays.get(name) else {
            return Err(self.error(format!("`{name}` is missing")));
        };
        let exact = Tensor::new(values, shape, &Device::cpu())?;
        Ok(exact.to_dtype(dtype).to_device(device)?)
    }

    /// Concatenates the values of the tensors under a prefix, in the order of `like`. Their names and shapes must be
    /// those of `like`.
    pub fn flat(&self, prefix: &str, like: &Params) -> Result<Vec<f64>> {
        let mut stored = self.under(prefix);
        let mut values = Vec::new();
        for (name, _, tensor) in like.iter() {
            match stored.remove(name) {
                Some((shape, array)) if *shape == tensor.shape() => values.extend(array),
                Some((shape, _)) => {
                    return Err(self.error(format!(
                        "`{prefix}{name}` has shape {shape:?}; the case gives scores of shape {:?}",
                        tensor.shape()
                    )));
                }
                None => {
                    return Err(self.error(format!(
                        "`{prefix}{name}` is missing; the case gives each prunable layer scores"
                    )));
                }
            }
        }
        match stored.keys().next() {
            None => Ok(values),
            Some(name) => {
                Err(self
                    .error(format!("`{prefix}{name}` belongs to no layer that the case scores")))
            }
        }
    }
}
