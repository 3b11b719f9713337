//! Top-k masks on all cores of the CPU: two passes of sixteen bits for the threshold of f32 scores, and one that writes.

use burn_backend::{DType, Element, Shape, TensorData, TensorMetadata};
use burn_flex::FlexTensor;
use rayon::prelude::*;

/// Elements per task.
const BLOCK: usize = 1 << 16;
/// Bits of a digit, and number of its values.
const DIGIT: u32 = 16;
const DIGITS: usize = 1 << DIGIT;

/// A float with a key that orders it.
trait Score: Element + bytemuck::Pod {
    /// Number of bits of a key.
    const BITS: u32;
    /// Unsigned key: larger for larger scores, 0 for NaN.
    fn key(self) -> u64;
}

impl Score for f32 {
    const BITS: u32 = 32;
    fn key(self) -> u64 {
        let bits = self.to_bits();
        let flip = if bits >> 31 == 1 { u32::MAX } else { 1 << 31 };
        if self.is_nan() {
            0
        } else {
            (bits ^ flip).into()
        }
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

/// Masks of the `k` largest scores, for 0 < `k` < their number.
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

fn masks_of<T: Score>(scores: &[FlexTensor], k: usize) -> Vec<Vec<bool>> {
    let scores: Vec<&[T]> = scores
        .iter()
        .map(|t| t.as_slice().expect("contiguous, of one type"))
        .collect();
    let blocks: Vec<&[T]> = scores.iter().flat_map(|s| s.chunks(BLOCK)).collect();
    let threshold = Threshold::new(&blocks, k);
    let befores = threshold.befores(&blocks);
    let mut masks: Vec<Vec<bool>> = scores.iter().map(|s| vec![false; s.len()]).collect();
    let outs: Vec<&mut [bool]> = masks
        .iter_mut()
        .flat_map(|mask| mask.chunks_mut(BLOCK))
        .collect();
    outs.into_par_iter()
        .zip(&blocks)
        .zip(befores)
        .for_each(|((out, scores), before)| threshold.write(scores, before, out));
    masks
}

/// The k-th largest key.
struct Threshold {
    key: u64,
    /// Number of scores with this key that belong to the k largest.
    left: usize,
    ties: usize,
}

impl Threshold {
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

    /// Number of ties before each block.
    fn befores<T: Score>(&self, blocks: &[&[T]]) -> Vec<usize> {
        if self.left == self.ties {
            return vec![0; blocks.len()]; // All of them stay.
        }
        let count = |block: &&[T]| block.iter().filter(|s| s.key() == self.key).count();
        let mut counts: Vec<usize> = blocks.par_iter().map(count).collect();
        let mut before = 0;
        for count in &mut counts {
            before += std::mem::replace(count, before);
        }
        counts
    }

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

/// Histogram of the digit at `shift` of the keys whose higher digits are those of `prefix`.
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
    blocks
        .par_chunks(blocks.len().div_ceil(tasks))
        .map(count)
        .reduce(
            || vec![0; DIGITS],
            |mut a, b| {
                a.iter_mut()
                    .zip(b)
                    .for_each(|(a, b): (&mut usize, usize)| *a += b);
                a
            },
        )
}
