//! Strided arrays: other programs store arrays with gaps, transposed or with repeated elements.

/// Copies a strided array to row-major order. Its element `i` is at `offset + Σ i·strides`, counted in elements of
/// `width` bytes. Returns `None` if an element is outside `bytes`, the result has more than `limit` bytes, or there are
/// more than 64 axes.
///
/// # Panics
/// If the numbers of strides and axes differ.
pub fn row_major(
    bytes: &[u8],
    width: usize,
    offset: usize,
    shape: &[usize],
    strides: &[usize],
    limit: usize,
) -> Option<Vec<u8>> {
    assert_eq!(shape.len(), strides.len(), "each axis needs one stride");
    if shape.len() > 64 {
        return None;
    }
    if shape.contains(&0) {
        return Some(Vec::new());
    }
    let length = shape
        .iter()
        .try_fold(width, |n, &size| n.checked_mul(size))
        .filter(|&length| length <= limit)?;
    let last = shape
        .iter()
        .zip(strides)
        .try_fold(offset, |at, (&size, &stride)| at.checked_add((size - 1).checked_mul(stride)?))?;
    if last.checked_add(1)?.checked_mul(width)? > bytes.len() {
        return None;
    }
    // The trailing axes without gaps are copied in one piece of `run` elements.
    let mut dense = shape.len();
    let mut run = 1;
    while dense > 0 && (strides[dense - 1] == run || shape[dense - 1] == 1) {
        dense -= 1;
        run *= shape[dense];
    }
    let mut out = Vec::with_capacity(length);
    let mut index = vec![0; dense];
    let mut at = offset;
    loop {
        out.extend_from_slice(&bytes[at * width..(at + run) * width]);
        // Advance to the next index: the last axis that can grow grows, the axes after it restart at 0.
        let Some(axis) = (0..dense).rev().find(|&axis| index[axis] + 1 < shape[axis]) else {
            return Some(out);
        };
        for axis in axis + 1..dense {
            at -= index[axis] * strides[axis];
            index[axis] = 0;
        }
        index[axis] += 1;
        at += strides[axis];
    }
}

#[cfg(test)]
mod tests {
    use super::row_major;

    #[test]
    fn transposed_repeated_and_scalar_arrays_are_copied() {
        let bytes = [0, 1, 2, 3, 4, 5];
        let of = |offset, shape: &[usize], strides: &[usize]| {
            row_major(&bytes, 1, offset, shape, strides, 100)
        };
        assert_eq!(of(0, &[2, 3], &[3, 1]), Some(bytes.to_vec()));
        assert_eq!(of(0, &[3, 2], &[1, 3]), Some(vec![0, 3, 1, 4, 2, 5]));
        assert_eq!(of(1, &[2, 2], &[3, 1]), Some(vec![1, 2, 4, 5]));
        assert_eq!(of(5, &[3], &[0]), Some(vec![5; 3]));
        assert_eq!(of(2, &[], &[]), Some(vec![2]));
        assert_eq!(of(9, &[0, 7], &[7, 1]), Some(vec![]));
        assert_eq!(of(0, &[2, 1, 2, 2], &[3, 9, 1, 1]), Some(vec![0, 1, 1, 2, 3, 4, 4, 5]));
        for (offset, shape, strides) in [
            (6, &[][..], &[][..]),
            (1, &[2, 3], &[3, 1]),
            (0, &[usize::MAX, 2], &[0, 0]),
            (0, &[2], &[usize::MAX]),
            (0, &[101], &[0]),
        ] {
            assert_eq!(of(offset, shape, strides), None);
        }
        let wide = row_major(&bytes, 2, 0, &[2], &[2], 100);
        assert_eq!(wide, Some(vec![0, 1, 4, 5]));
    }
}
