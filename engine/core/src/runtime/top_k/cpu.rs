//! Top-k masks on all cores of the CPU. Each pass over the scores finds sixteen bits of the threshold (two passes for
//! f32); one more pass writes the masks.

use burn_backend::{DType, Element, Shape, TensorData, TensorMetadata};
use burn_flex::FlexTensor;
use rayon::prelude::*;

/// Number of elements per task.
const BLOCK: usize = 1 << 16;
/// Number of bits of a digit, and number of values of a digit.
const DIGIT: u32 = 16;
const DIGITS: usize = 1 << DIGIT;

/// A float type with unsigned keys in the order of its values.
trait Score: Element + bytemuck::Pod {
    /// Number of bits of a key.
    const BITS: u32;
    /// Returns an unsigned key: larger for larger scores, 0 for NaN.
    fn key(self) -> u64;
}

impl Score for f32 {
    const BITS: u32 = 32;
    fn key(self) -> u64 {
        let bits = self.to_bits();
        let flip = if bits >> 31 == 1 { u32::MAX } else { 1 << 31 };
        if self.is_nan() { 0 } else { (bits ^ flip).into() }
    }
}

impl Score for f64 {
    const BITS: u32 = 64;
    fn key(self) -> u64 {
        let bits = self.to_bits();
        let flip = if bits >> 63 == 1 { u64::MAX } else { 1 << 63 };
        if self.is_nan() { 0 } else { bits ^ flip }
    }
}

/// Returns the masks of the `k` largest scores of all tensors together, for 0 < `k` < their number.
pub(super) fn masks(scores: &[FlexTensor], k: usize) -> Vec<FlexTensor> {
    let scores: Vec<FlexTensor> = scores.iter().map(FlexTensor::to_contiguous).collect();
    let masks = match scores[0].dtype() {
        DType::F64 => masks_of::<f64>(&scores, k),
        _ => masks_of::<f32>(&scores, k),
    };
    let tensor = |(mask, scores): (Vec<bool>, &FlexTensor)| {
        let shape: Vec<usize> = scores.shape().to_vec();
        FlexTensor::from_data(TensorData::new(mask, Shape::from(shape)))
    };
    masks.into_iter().zip(&scores).map(tensor).collect()
}

/// Returns the masks for contiguous scores of type `T`.
fn masks_of<T: Score>(scores: &[FlexTensor], k: usize) -> Vec<Vec<bool>> {
    let scores: Vec<&[T]> =
        scores.iter().map(|t| t.as_slice().expect("contiguous, of one type")).collect();
    let blocks: Vec<&[T]> = scores.iter().flat_map(|s| s.chunks(BLOCK)).collect();
    let threshold = Threshold::new(&blocks, k);
    let befores = threshold.befores(&blocks);
    let mut masks: Vec<Vec<bool>> = scores.iter().map(|s| vec![false; s.len()]).collect();
    let outs: Vec<&mut [bool]> = masks.iter_mut().flat_map(|mask| mask.chunks_mut(BLOCK)).collect();
    outs.into_par_iter()
        .zip(&blocks)
        .zip(befores)
        .for_each(|((out, scores), before)| threshold.write(scores, before, out));
    masks
}

/// The k-th largest key, and the scores that have it (ties).
struct Threshold {
    key: u64,
    /// Number of ties that belong to the k largest.
    left: usize,
    ties: usize,
}

impl Threshold {
    /// Finds the k-th largest key, digit by digit from the highest.
    fn new<T: Score>(blocks: &[&[T]], k: usize) -> Threshold {
        let (mut key, mut left, mut ties) = (0, k, 0);
        for shift in (0..T::BITS).step_by(DIGIT as usize).rev() {
            let counts = digits(blocks, key, shift);
            let mut digit = DIGITS - 1;
            while counts[digit] < left {
                left -= counts[digit];
                digit -= 1;
            }
            key |= (digit as u64) << shift;
            ties = counts[digit];
        }
        Threshold { key, left, ties }
    }

    /// Returns the number of ties before each block.
    fn befores<T: Score>(&self, blocks: &[&[T]]) -> Vec<usize> {
        if self.left == self.ties {
            return vec![0; blocks.len()]; // All ties are kept.
        }
        let count = |block: &&[T]| block.iter().filter(|s| s.key() == self.key).count();
        let mut counts: Vec<usize> = blocks.par_iter().map(count).collect();
        let mut before = 0;
        for count in &mut counts {
            before += std::mem::replace(count, before);
        }
        counts
    }

    /// Writes the mask of a block that has `before` ties before it.
    fn write<T: Score>(&self, scores: &[T], mut before: usize, out: &mut [bool]) {
        if self.left == self.ties {
            for (out, score) in out.iter_mut().zip(scores) {
                *out = score.key() >= self.key;
            }
            return;
        }
        for (out, score) in out.iter_mut().zip(scores) {
            let key = score.key();
            *out = key > self.key || (key == self.key && before < self.left);
            before += usize::from(key == self.key);
        }
    }
}

/// Returns the histogram of the digit at bit `shift`, over the keys whose higher digits are those of `prefix`.
fn digits<T: Score>(blocks: &[&[T]], prefix: u64, shift: u32) -> Vec<usize> {
    // All bits above the digit.
    let above = u64::MAX.checked_shl(shift + DIGIT).unwrap_or(0);
    let tasks = rayon::current_num_threads() * 4;
    let count = |blocks: &[&[T]]| {
        let mut counts = vec![0; DIGITS];
        for key in blocks.iter().copied().flatten().map(|s| s.key()) {
            if key & above == prefix {
                counts[(key >> shift) as usize % DIGITS] += 1;
            }
        }
        counts
    };
    blocks.par_chunks(blocks.len().div_ceil(tasks)).map(count).reduce(
        || vec![0; DIGITS],
        |mut a, b| {
            a.iter_mut().zip(b).for_each(|(a, b): (&mut usize, usize)| *a += b);
            a
        },
    )
}
