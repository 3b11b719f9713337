//! NumPy's arrays in pickles.

use std::borrow::Cow;

use super::{Node, Pickle, Value};
use crate::strided::row_major;

impl<'a> Pickle<'a> {
    /// Shape and row-major values of a pickled NumPy array of bytes (`uint8`); `None` for any other value.
    ///
    /// NumPy pickles an array as `_reconstruct(ndarray, (0,), b'b')` with the state `(1, shape, dtype,
    /// fortran, data)`, in
    /// protocol 2 of Python 2 and in protocols 3 and 4.
    pub fn byte_array(&self, node: Node) -> Option<(Vec<usize>, Cow<'a, [u8]>)> {
        let ("numpy.core.multiarray" | "numpy._core.multiarray", "_reconstruct", _) =
            self.call(node)?
        else {
            return None;
        };
        let Value::Object { state: Some(state), .. } = self[node] else {
            return None;
        };
        let &[_, shape, dtype, fortran, data] = self.elements(state)? else {
            return None;
        };
        let ("numpy", "dtype", &[kind, ..]) = self.call(dtype)? else {
            return None;
        };
        let (Value::Bool(fortran), Value::Bytes(data)) = (&self[fortran], &self[data]) else {
            return None;
        };
        let shape = self.elements(shape)?.iter();
        let shape: Vec<usize> = shape.map(|&n| self.size(n)).collect::<Option<_>>()?;
        let count = shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d))?;
        if self.text(kind)? != "u1" || count != data.len() {
            return None;
        }
        if !fortran {
            return Some((shape, Cow::Borrowed(data)));
        }
        // Fortran order: the first axis is contiguous.
        let mut strides = Vec::new();
        let mut stride = 1;
        for size in &shape {
            strides.push(stride);
            stride *= size;
        }
        let values = row_major(data, 1, 0, &shape, &strides, count)?;
        Some((shape, Cow::Owned(values)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A pickle like CIFAR's data files: Python 2, protocol 2, strings as bytes.
    fn cifar(fortran: u8, kind: &str) -> Vec<u8> {
        let mut bytes = b"\x80\x02}q\x01(U\x06labelsq\x02]q\x03(K\x06K\x09eU\x04dataq\x04".to_vec();
        bytes.extend(b"cnumpy.core.multiarray\n_reconstruct\nq\x05cnumpy\nndarray\nq\x06K\0\x85U\x01b\x87Rq\x07");
        bytes.extend(b"(K\x01K\x02K\x03\x86cnumpy\ndtype\nq\x08U\x02");
        bytes.extend(kind.as_bytes());
        bytes.extend(b"K\0K\x01\x87Rq\x09(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\0tb");
        bytes.push(fortran);
        bytes.extend(b"U\x06\0\x01\x02\x03\x04\xfftbu.");
        bytes
    }

    #[test]
    fn the_arrays_of_cifar_are_read() {
        let array = |fortran, kind| {
            let bytes = cifar(fortran, kind);
            let pickle = Pickle::read(&bytes).unwrap();
            let data = pickle.get(pickle.root(), "data").unwrap();
            pickle.byte_array(data).map(|(shape, values)| (shape, values.to_vec()))
        };
        let plain = (vec![2, 3], vec![0, 1, 2, 3, 4, 255]);
        assert_eq!(array(0x89, "u1"), Some(plain));
        let turned = (vec![2, 3], vec![0, 2, 4, 1, 3, 255]);
        assert_eq!(array(0x88, "u1"), Some(turned));
        assert_eq!(array(0x89, "f4"), None);
        // pickle.dumps({b"data": np.arange(6, dtype=np.uint8).reshape(2, 3)}, 4)
        let pickle = Pickle::read(b"\x80\x04\x95\x9a\0\0\0\0\0\0\0}\x94C\x04data\x94\x8c\x15numpy.core.multiarray\x94\x8c\x0c_reconstruct\x94\x93\x94\x8c\x05numpy\x94\x8c\x07ndarray\x94\x93\x94K\0\x85\x94C\x01b\x94\x87\x94R\x94(K\x01K\x02K\x03\x86\x94h\x05\x8c\x05dtype\x94\x93\x94\x8c\x02u1\x94\x89\x88\x87\x94R\x94(K\x03\x8c\x01|\x94NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\0t\x94b\x89C\x06\0\x01\x02\x03\x04\x05\x94t\x94bs.").unwrap();
        let data = pickle.get(pickle.root(), "data").unwrap();
        let (shape, values) = pickle.byte_array(data).unwrap();
        assert_eq!((shape, &values[..]), (vec![2, 3], &[0, 1, 2, 3, 4, 5][..]));
        let bytes = cifar(0x89, "u1");
        let pickle = Pickle::read(&bytes).unwrap();
        let labels = pickle.get(pickle.root(), "labels").unwrap();
        let labels = pickle.elements(labels).unwrap().iter();
        assert!(labels.map(|&n| pickle.size(n)).eq([Some(6), Some(9)]));
        for at in 0..bytes.len() {
            for value in [0, 0x28, 0x7f, 0x85, 0xff] {
                let mut bytes = bytes.clone();
                bytes[at] = value;
                if let Ok(pickle) = Pickle::read(&bytes)
                    && let Some(data) = pickle.get(pickle.root(), "data")
                {
                    let _ = pickle.byte_array(data);
                }
            }
        }
    }
}
