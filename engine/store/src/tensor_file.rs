//! Files of named tensors with PyTorch's names and layouts: safetensors, and PyTorch's own files (read only).

use std::collections::BTreeMap;
use std::path::Path;

use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};

use prospr_engine::{DType, Device, Error, Params, Result, Tensor};

use crate::values::{self, StoredTensor};
use crate::{torch, write_atomically};

/// The metadata key of [`TensorFile::text`].
const KEY: &str = "prospr";

/// Named tensors in host memory, to be written to a file or read from one.
///
/// ```
/// use prospr_engine::{DType, Device, Tensor};
/// use prospr_store::TensorFile;
/// let mut file = TensorFile::new("made by a test");
/// file.insert("fc.weight", &Tensor::ones(&[2, 3], DType::F32, &Device::cpu()))?;
/// let path = std::env::temp_dir().join(format!("prospr-doc-{}.safetensors", std::process::id()));
/// file.write(&path)?;
/// let read = TensorFile::read(&path)?;
/// assert_eq!(read.text(), "made by a test");
/// assert_eq!(read.tensor("fc.weight", &Device::cpu())?.shape(), [2, 3]);
/// # std::fs::remove_file(path).unwrap();
/// # Ok::<(), prospr_engine::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct TensorFile {
    /// Metadata texts by key. If there are several, their order in a written file is not fixed.
    pub metadata: BTreeMap<String, String>,
    entries: BTreeMap<String, StoredTensor>,
    path: String,
}

impl TensorFile {
    /// A file without tensors, with a metadata text.
    pub fn new(text: impl Into<String>) -> TensorFile {
        TensorFile {
            metadata: BTreeMap::from([(KEY.into(), text.into())]),
            ..TensorFile::default()
        }
    }

    /// The text given to [`TensorFile::new`]; empty for files of other programs.
    pub fn text(&self) -> &str {
        self.metadata.get(KEY).map_or("", String::as_str)
    }

    /// Adds a tensor. Bool values are stored as bytes 0 and 1.
    ///
    /// # Errors
    /// [`Error::Device`] if its values cannot be computed.
    pub fn insert(&mut self, name: impl Into<String>, tensor: &Tensor) -> Result<()> {
        let dtype = match tensor.dtype() {
            DType::F64 => Dtype::F64,
            DType::F32 => Dtype::F32,
            DType::I32 => Dtype::I32,
            DType::U8 | DType::Bool => Dtype::U8,
        };
        let entry =
            StoredTensor { dtype, shape: tensor.shape().to_vec(), bytes: tensor.to_bytes()? };
        self.entries.insert(name.into(), entry);
        Ok(())
    }

    /// Adds every parameter, under its name after `prefix`.
    ///
    /// # Errors
    /// [`Error::Device`] if a value cannot be computed.
    pub fn insert_all(&mut self, prefix: &str, params: &Params) -> Result<()> {
        params
            .iter()
            .try_for_each(|(name, _, tensor)| self.insert(format!("{prefix}{name}"), tensor))
    }

    /// Adds a 64-bit integer scalar, such as PyTorch's `num_batches_tracked`.
    pub fn insert_i64(&mut self, name: impl Into<String>, value: i64) {
        let entry = StoredTensor {
            dtype: Dtype::I64,
            shape: Vec::new(),
            bytes: value.to_le_bytes().to_vec(),
        };
        self.entries.insert(name.into(), entry);
    }

    /// Names of the tensors, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.keys().map(String::as_str)
    }

    /// The shape of the tensor with a name, if it exists.
    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        self.entries.get(name).map(|entry| &entry.shape[..])
    }

    fn wrong(&self, reason: String) -> Error {
        let path = self.path.clone();
        Error::File { path, reason }
    }

    fn entry(&self, name: &str) -> Result<&StoredTensor> {
        self.entries.get(name).ok_or_else(|| {
            let names: Vec<&str> = self.names().collect();
            self.wrong(format!("expected a tensor `{name}`, found {}", names.join(", ")))
        })
    }

    /// Shape and values of one tensor of any type.
    ///
    /// # Errors
    /// [`Error::File`] if it is missing or its type is none of F64, F32, F16, BF16, I64, I32, I16, I8, U8 or BOOL.
    pub fn array(&self, name: &str) -> Result<(Vec<usize>, Vec<f64>)> {
        let entry = self.entry(name)?;
        let values = values::to_f64s(entry.dtype, &entry.bytes).ok_or_else(|| {
            self.wrong(format!(
                "tensor `{name}` has type {:?}; store it as F64, F32, F16, BF16, an integer of up to 64 bits, or BOOL",
                entry.dtype
            ))
        })?;
        Ok((entry.shape.clone(), values))
    }

    /// One tensor on a device. Half-precision floats become F32, other integers I32.
    ///
    /// # Errors
    /// Those of [`TensorFile::array`]; [`Error::File`] if an integer does not fit 32 bits; [`Error::Device`].
    pub fn tensor(&self, name: &str, device: &Device) -> Result<Tensor> {
        let entry = self.entry(name)?;
        let dtype = match entry.dtype {
            Dtype::F64 => DType::F64,
            Dtype::F32 => DType::F32,
            Dtype::I32 => DType::I32,
            Dtype::U8 => DType::U8,
            Dtype::BOOL => DType::Bool,
            other => {
                let (shape, values) = self.array(name)?;
                if matches!(other, Dtype::F16 | Dtype::BF16) {
                    let values: Vec<f32> = values.iter().map(|&v| v as f32).collect();
                    return Tensor::new(&values, &shape, device);
                }
                if values.iter().any(|&v| v != f64::from(v as i32)) {
                    return Err(self.wrong(format!("`{name}` has integers beyond 32 bits")));
                }
                let values: Vec<i32> = values.iter().map(|&v| v as i32).collect();
                return Tensor::new(&values, &shape, device);
            }
        };
        Tensor::from_bytes(&entry.bytes, &entry.shape, dtype, device)
    }

    /// Values for all of `like`'s parameters, each from the tensor called `prefix` and its name, in `like`'s types
    /// and roles.
    ///
    /// # Errors
    /// [`Error::File`] with the name of the first tensor that is missing or has another shape; [`Error::Device`].
    pub fn params_like(&self, prefix: &str, like: &Params, device: &Device) -> Result<Params> {
        let mut params = Params::new();
        for (name, role, model) in like.iter() {
            let stored = format!("{prefix}{name}");
            let value = self.tensor(&stored, device)?;
            if value.shape() != model.shape() {
                return Err(Error::File {
                    path: self.path.clone(),
                    reason: format!(
                        "`{stored}` should have the shape {:?}, found {:?}: it belongs to another network",
                        model.shape(),
                        value.shape()
                    ),
                });
            }
            params.insert(name, role, value.to_dtype(model.dtype()));
        }
        Ok(params)
    }

    /// Writes the file; see [`write_atomically`]. The same tensors give the same bytes.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn write(&self, path: &Path) -> Result<()> {
        let wrong = |e: safetensors::SafeTensorError| Error::File {
            path: path.display().to_string(),
            reason: e.to_string(),
        };
        let views = self
            .entries
            .iter()
            .map(|(name, e)| {
                TensorView::new(e.dtype, e.shape.clone(), &e.bytes).map(|view| (name, view))
            })
            .collect::<Result<Vec<_>, _>>()
            .map_err(wrong)?;
        let metadata = self.metadata.clone().into_iter().collect();
        let bytes = safetensors::serialize(views, Some(metadata)).map_err(wrong)?;
        write_atomically(path, &bytes)
    }

    /// Reads a file: safetensors, or a state dictionary written by `torch.save` of PyTorch 1.6 or later (`.pt`, `.pth`).
    /// The format is recognised by the contents.
    ///
    /// A checkpoint's state dictionary is read from its key `state_dict`, `model_state_dict` or `model`, and the prefix
    /// `module.` is removed if every name has it. Nothing in the file is executed.
    ///
    /// # Errors
    /// [`Error::File`] if it cannot be read, is damaged or truncated, or contains anything but tensors.
    pub fn read(path: &Path) -> Result<TensorFile> {
        let wrong = |reason: String| Error::File { path: path.display().to_string(), reason };
        let bytes = std::fs::read(path).map_err(|e| wrong(format!("cannot be read: {e}")))?;
        if bytes.starts_with(torch::OLD_MAGIC) {
            return Err(wrong(
                "expected a safetensors file or one of PyTorch 1.6 and on, found one of an older PyTorch; load it there and `torch.save` it again".into(),
            ));
        }
        let mut file = TensorFile { path: path.display().to_string(), ..TensorFile::default() };
        if bytes.starts_with(torch::MAGIC) {
            file.entries = torch::read(&bytes).map_err(wrong)?;
            return Ok(file);
        }
        let damaged = |e: safetensors::SafeTensorError| {
            wrong(format!(
                "expected a whole safetensors file or one of `torch.save`, found {} bytes that are neither, damaged or cut short ({e})",
                bytes.len()
            ))
        };
        let (_, header) = SafeTensors::read_metadata(&bytes).map_err(damaged)?;
        let tensors = SafeTensors::deserialize(&bytes).map_err(damaged)?;
        file.metadata =
            header.metadata().iter().flatten().map(|(k, v)| (k.clone(), v.clone())).collect();
        for (name, view) in tensors.iter() {
            let entry = StoredTensor {
                dtype: view.dtype(),
                shape: view.shape().to_vec(),
                bytes: view.data().to_vec(),
            };
            file.entries.insert(name.to_string(), entry);
        }
        Ok(file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file() -> TensorFile {
        let device = Device::cpu();
        let mut file = TensorFile::new("x = 1");
        let tensors = [
            Tensor::new(&[1.5f32, -2.0], &[2, 1], &device).unwrap(),
            Tensor::new(&[0.1f64], &[1], &device).unwrap(),
            Tensor::new(&[7i32], &[], &device).unwrap(),
        ];
        for (i, tensor) in tensors.iter().enumerate() {
            file.insert(format!("t{i}"), tensor).unwrap();
        }
        file.insert_i64("count", 1 << 40);
        file
    }

    #[test]
    fn written_tensors_are_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.safetensors");
        file().write(&path).unwrap();
        let first = std::fs::read(&path).unwrap();
        file().write(&path).unwrap();
        assert_eq!(first, std::fs::read(&path).unwrap(), "the same bytes");
        let read = TensorFile::read(&path).unwrap();
        let device = Device::cpu();
        assert_eq!(read.text(), "x = 1");
        assert_eq!(read.names().collect::<Vec<_>>(), ["count", "t0", "t1", "t2"]);
        let t0 = read.tensor("t0", &device).unwrap();
        assert_eq!((t0.shape(), t0.to_vec::<f32>().unwrap()), (&[2, 1][..], vec![1.5, -2.0]));
        assert_eq!(read.tensor("t1", &device).unwrap().item().unwrap(), 0.1);
        assert_eq!(read.tensor("t2", &device).unwrap().item().unwrap(), 7.0);
        let error = read.tensor("count", &device).unwrap_err().to_string();
        assert!(error.contains("32 bits") && error.contains("a.safetensors"), "{error}");
        let count = (vec![], vec![(1u64 << 40) as f64]);
        assert_eq!(read.array("count").unwrap(), count);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing temporary stays");
    }

    #[test]
    fn damaged_and_missing_files_are_errors() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.safetensors");
        file().write(&path).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        for cut in [0, 4, 50, bytes.len() - 1] {
            std::fs::write(&path, &bytes[..cut]).unwrap();
            let error = TensorFile::read(&path).unwrap_err().to_string();
            assert!(error.contains("a.safetensors") && error.contains("cut short"), "{error}");
        }
        let missing = TensorFile::read(&folder.path().join("b")).unwrap_err();
        assert!(missing.to_string().contains("cannot be read"), "{missing}");
        let nowhere = file().write(&folder.path().join("no/such/folder")).unwrap_err();
        assert!(nowhere.to_string().contains("cannot be written"), "{nowhere}");
    }
}
