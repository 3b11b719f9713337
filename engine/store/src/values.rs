//! Tensors as stored in files, including types that the engine does not have.

use safetensors::Dtype;

/// A tensor's type, shape and little-endian bytes in row-major order.
#[derive(Clone, Debug)]
pub(crate) struct StoredTensor {
    pub dtype: Dtype,
    pub shape: Vec<usize>,
    pub bytes: Vec<u8>,
}

/// Converts little-endian values of a type to f64; returns `None` for unsupported types.
pub fn to_f64s(dtype: Dtype, data: &[u8]) -> Option<Vec<f64>> {
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

/// Converts IEEE 754's binary16 to f64: 1 sign bit, 5 exponent bits, 10 fraction bits.
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

    #[test]
    fn every_type_is_read() {
        let cases: [(Dtype, &[u8], f64); 10] = [
            (Dtype::F64, &(-1.5f64).to_le_bytes(), -1.5),
            (Dtype::F32, &(-1.5f32).to_le_bytes(), -1.5),
            (Dtype::F16, &0xBE00u16.to_le_bytes(), -1.5),
            (Dtype::BF16, &0xBFC0u16.to_le_bytes(), -1.5),
            (Dtype::I64, &(-2i64).to_le_bytes(), -2.0),
            (Dtype::I32, &(-2i32).to_le_bytes(), -2.0),
            (Dtype::I16, &(-2i16).to_le_bytes(), -2.0),
            (Dtype::I8, &(-2i8).to_le_bytes(), -2.0),
            (Dtype::U8, &[3], 3.0),
            (Dtype::BOOL, &[1], 1.0),
        ];
        for (dtype, bytes, expected) in cases {
            assert_eq!(to_f64s(dtype, bytes), Some(vec![expected]), "{dtype:?}");
        }
        assert_eq!(to_f64s(Dtype::C64, &[0; 8]), None);
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
}
