//! Arithmetic on shapes: sizes, axes, NumPy's broadcasting.

/// Returns the number of elements of a shape; 1 for the empty shape of a scalar.
pub fn numel(shape: &[usize]) -> usize {
    shape.iter().product()
}

/// Returns the shape that `a` and `b` broadcast to by NumPy's rule, or `None` if they do not match.
///
/// Shapes are aligned at the right; a size of 1 stretches to the other's size.
pub fn broadcast(a: &[usize], b: &[usize]) -> Option<Vec<usize>> {
    let rank = a.len().max(b.len());
    let size = |s: &[usize], i: usize| (i + s.len()).checked_sub(rank).map_or(1, |k| s[k]);
    (0..rank)
        .map(|i| match (size(a, i), size(b, i)) {
            (x, y) if x == y => Some(x),
            (1, y) => Some(y),
            (x, 1) => Some(x),
            _ => None,
        })
        .collect()
}

/// Returns `shape` with axes of size 1 in front until it has `rank` axes.
pub(crate) fn lift(shape: &[usize], rank: usize) -> Vec<usize> {
    let mut lifted = vec![1; rank - shape.len()];
    lifted.extend_from_slice(shape);
    lifted
}

/// Returns the axis counted from the front; negative axes count from the back.
///
/// # Panics
/// If there is no such axis; the message names `op`.
#[track_caller]
pub(crate) fn axis(op: &str, axis: isize, shape: &[usize]) -> usize {
    let rank = shape.len() as isize;
    let index = if axis < 0 { axis + rank } else { axis };
    assert!((0..rank).contains(&index), "{op}: axis {axis} does not exist in shape {shape:?}");
    index as usize
}

/// Returns the axes sorted and counted from the front; an empty list means all axes.
///
/// # Panics
/// If an axis does not exist or is named twice; the message names `op`.
#[track_caller]
pub(crate) fn axes(op: &str, axes: &[isize], shape: &[usize]) -> Vec<usize> {
    if axes.is_empty() {
        return (0..shape.len()).collect();
    }
    let mut list: Vec<usize> = axes.iter().map(|&a| axis(op, a, shape)).collect();
    list.sort_unstable();
    let before = list.len();
    list.dedup();
    assert!(before == list.len(), "{op}: an axis is named twice in {axes:?}");
    list
}

/// Returns the row-major strides, in elements.
pub(crate) fn strides(shape: &[usize]) -> Vec<usize> {
    let mut strides = vec![1; shape.len()];
    for i in (1..shape.len()).rev() {
        strides[i - 1] = strides[i] * shape[i];
    }
    strides
}

/// Returns the shape used for storage: `[1]` for a scalar, otherwise `shape`.
pub(crate) fn physical(shape: &[usize]) -> Vec<usize> {
    if shape.is_empty() { vec![1] } else { shape.to_vec() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn broadcasting_is_numpys() {
        assert_eq!(broadcast(&[2, 1, 4], &[3, 1]), Some(vec![2, 3, 4]));
        assert_eq!(broadcast(&[], &[3]), Some(vec![3]));
        assert_eq!(broadcast(&[2], &[3]), None);
        assert_eq!(broadcast(&[0], &[1]), Some(vec![0]));
    }
}
