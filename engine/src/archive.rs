//! [`Archive`]: what a safetensors file holds, whatever program wrote it.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use safetensors::{Dtype, SafeTensors};

use crate::{DType, Device, Error, Result, Tensor};

/// The tensors of a [safetensors](https://huggingface.co/docs/safetensors) file by name, as f64 in row-major
/// order, and its metadata. For test data and small networks: it takes 8 bytes a value.
#[derive(Clone, Debug, Default)]
pub struct Archive {
    /// Shape and values of each tensor.
    pub tensors: BTreeMap<String, (Vec<usize>, Vec<f64>)>,
    /// The header's `__metadata__`.
    pub metadata: HashMap<String, String>,
}

impl Archive {
    /// Reads a file.
    ///
    /// # Errors
    /// [`Error::File`] if it cannot be read, is damaged, or has a type beside F64, F32, F16, BF16, I64, I32, I16,
    /// I8, U8 and BOOL.
    pub fn read(path: impl AsRef<Path>) -> Result<Archive> {
        let path = path.as_ref();
        let error = |reason: String| Error::File {
            path: path.display().to_string(),
            reason,
        };
        let bytes = std::fs::read(path).map_err(|e| error(format!("cannot be read: {e}")))?;
        Archive::parse(&bytes).map_err(error)
    }

    fn parse(bytes: &[u8]) -> Result<Archive, String> {
        let damaged = |e| {
            format!(
                "expected a safetensors file, but {e}; the file is damaged or of another format"
            )
        };
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(damaged)?;
        let file = SafeTensors::deserialize(bytes).map_err(damaged)?;
        let mut tensors = BTreeMap::new();
        for (name, view) in file.iter() {
            let values = to_f64s(view.dtype(), view.data()).ok_or_else(|| {
                format!(
                    "tensor `{name}` has type {:?}; store it as F64, F32, F16, BF16, an integer of up to 64 bits, or BOOL",
                    view.dtype()
                )
            })?;
            tensors.insert(name.into(), (view.shape().to_vec(), values));
        }
        Ok(Archive {
            tensors,
            metadata: header.metadata().clone().unwrap_or_default(),
        })
    }

    /// A tensor of this type on this device, if the file has one of the name. Values are rounded to the type.
    ///
    /// # Errors
    /// [`Error::Device`] if the device cannot hold it.
    pub fn tensor(&self, name: &str, dtype: DType, device: &Device) -> Option<Result<Tensor>> {
        let (shape, values) = self.tensors.get(name)?;
        Some(match dtype {
            DType::F64 => Tensor::new(values, shape, device),
            DType::F32 => cast(values, shape, device, |v| v as f32),
            DType::I32 => cast(values, shape, device, |v| v as i32),
            DType::U8 => cast(values, shape, device, |v| v as u8),
            DType::Bool => cast(values, shape, device, |v| v != 0.0),
        })
    }
}

fn cast<T: crate::Element>(
    values: &[f64],
    shape: &[usize],
    device: &Device,
    to: impl Fn(f64) -> T,
) -> Result<Tensor> {
    let values: Vec<T> = values.iter().map(|&v| to(v)).collect();
    Tensor::new(&values, shape, device)
}

/// Little-endian values of a type as f64; none for types that are not read.
fn to_f64s(dtype: Dtype, data: &[u8]) -> Option<Vec<f64>> {
    fn each<const N: usize>(data: &[u8], read: impl Fn([u8; N]) -> f64) -> Option<Vec<f64>> {
        let (items, _) = data.as_chunks::<N>();
        Some(items.iter().map(|&item| read(item)).collect())
    }
    match dtype {
        Dtype::F64 => each(data, f64::from_le_bytes),
        Dtype::F32 => each(data, |b| f32::from_le_bytes(b).into()),
        Dtype::F16 => each(data, |b| half(u16::from_le_bytes(b))),
        Dtype::BF16 => each(data, |[a, b]| f32::from_le_bytes([0, 0, a, b]).into()),
        Dtype::I64 => each(data, |b| i64::from_le_bytes(b) as f64),
        Dtype::I32 => each(data, |b| i32::from_le_bytes(b).into()),
        Dtype::I16 => each(data, |b| i16::from_le_bytes(b).into()),
        Dtype::I8 => each(data, |b| i8::from_le_bytes(b).into()),
        Dtype::U8 | Dtype::BOOL => each(data, |[b]| b.into()),
        _ => None,
    }
}

/// IEEE 754's binary16: a sign, 5 bits of exponent, 10 of fraction.
fn half(bits: u16) -> f64 {
    let sign = if bits >> 15 == 0 { 1.0 } else { -1.0 };
    let (exponent, fraction) = (i32::from(bits >> 10 & 31), f64::from(bits & 1023));
    sign * match exponent {
        0 => fraction * 2f64.powi(-24),
        31 if fraction == 0.0 => f64::INFINITY,
        31 => f64::NAN,
        _ => (1.0 + fraction / 1024.0) * 2f64.powi(exponent - 15),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use safetensors::tensor::TensorView;

    #[test]
    fn every_type_is_read() {
        let cases: [(Dtype, &[u8]); 10] = [
            (Dtype::F64, &(-1.5f64).to_le_bytes()),
            (Dtype::F32, &(-1.5f32).to_le_bytes()),
            (Dtype::F16, &0xBE00u16.to_le_bytes()),
            (Dtype::BF16, &0xBFC0u16.to_le_bytes()),
            (Dtype::I64, &(-2i64).to_le_bytes()),
            (Dtype::I32, &(-2i32).to_le_bytes()),
            (Dtype::I16, &(-2i16).to_le_bytes()),
            (Dtype::I8, &(-2i8).to_le_bytes()),
            (Dtype::U8, &[3]),
            (Dtype::BOOL, &[1]),
        ];
        for (dtype, bytes) in cases {
            let view = TensorView::new(dtype, vec![1], bytes).unwrap();
            let file = safetensors::serialize([("x", view)], None).unwrap();
            let expected = match dtype {
                Dtype::I64 | Dtype::I32 | Dtype::I16 | Dtype::I8 => -2.0,
                Dtype::U8 => 3.0,
                Dtype::BOOL => 1.0,
                _ => -1.5,
            };
            let found = &Archive::parse(&file).unwrap().tensors["x"];
            assert_eq!(*found, (vec![1], vec![expected]), "{dtype:?}");
        }
    }

    #[test]
    fn halves_are_exact() {
        for (bits, value) in [
            (0x0001, 2f64.powi(-24)),
            (0x8400, -(2f64.powi(-14))),
            (0x3555, 1365.0 / 4096.0),
            (0x7BFF, 65504.0),
            (0xFC00, f64::NEG_INFINITY),
        ] {
            assert_eq!(half(bits), value, "{bits:#06x}");
        }
        assert!(half(0x7E00).is_nan());
    }

    #[test]
    fn damaged_files_are_refused() {
        for bytes in [&b""[..], b"not a file of tensors", &[255; 64]] {
            let error = Archive::parse(bytes).unwrap_err();
            assert!(error.contains("damaged or of another format"), "{error}");
        }
        let view = TensorView::new(Dtype::C64, vec![1], &[0; 8]).unwrap();
        let file = safetensors::serialize([("x", view)], None).unwrap();
        assert!(
            Archive::parse(&file)
                .unwrap_err()
                .contains("`x` has type C64")
        );
        let error = Archive::read("/no/such/file").unwrap_err().to_string();
        assert!(error.contains("/no/such/file: cannot be read"), "{error}");
    }
}
