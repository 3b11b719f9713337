//! Random numbers from explicit keys: counter-based, the same on every device.
//!
//! The generator is Threefry-2x32 with 20 rounds (Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as
//! easy as 1, 2, 3", SC 2011), the one that JAX uses by default. Element `i` of a draw is word `i mod 2` of
//! block `i / 2`, so any part can be computed alone. It is not a cryptographic generator.

use crate::ir::Op;
use crate::ir::random::{Draw, FOLD, Law, SPLIT, VALUES, threefry, values};
use crate::{DType, Device, Tensor};

/// State of the random generator. Each key is used once; [`Key::split`] makes more.
///
/// ```
/// use prospr_engine::{Device, DType, Key};
/// let [weights, dropout] = Key::new(7).split();
/// let w = weights.normal(&[2, 3], DType::F32, &Device::cpu());
/// assert_ne!(weights, dropout);
/// # assert_eq!(w.shape(), [2, 3]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key(pub(crate) [u32; 2]);

impl Key {
    /// Creates the key of a seed.
    pub fn new(seed: u64) -> Key {
        Key([(seed >> 32) as u32, seed as u32])
    }

    /// Returns `N` independent keys that replace this one.
    pub fn split<const N: usize>(self) -> [Key; N] {
        std::array::from_fn(|i| Key(threefry(self.0, [i as u32, SPLIT])))
    }

    /// Returns the key of one item of many, such as a step, a layer or a sample.
    pub fn fold_in(self, index: u64) -> Key {
        let low = threefry(self.0, [index as u32, FOLD]);
        Key(threefry(low, [(index >> 32) as u32, FOLD]))
    }

    /// Records a draw of float random numbers.
    fn draw(self, law: Law, shape: &[usize], dtype: DType, device: &Device) -> Tensor {
        assert!(dtype.is_float(), "random: numbers are floats, {dtype} was asked for");
        device.check_dtype(dtype);
        let op = Op::Random(Draw { key: self.0, law });
        Tensor::record(op, Vec::new(), shape, dtype, device.clone(), None)
    }

    /// Draws uniform numbers in `[0, 1)`: multiples of 2⁻²⁴ in both float types.
    pub fn uniform(self, shape: &[usize], dtype: DType, device: &Device) -> Tensor {
        self.draw(Law::Uniform, shape, dtype, device)
    }

    /// Returns the first `n` values of [`Key::uniform`], without a tensor.
    pub fn uniforms(self, n: usize) -> Vec<f32> {
        values(Draw { key: self.0, law: Law::Uniform }, n)
    }

    /// Draws standard normal numbers by the Box–Muller transform, rounded to f32 in both float types.
    pub fn normal(self, shape: &[usize], dtype: DType, device: &Device) -> Tensor {
        self.draw(Law::Normal, shape, dtype, device)
    }

    /// Draws Bool values that are true with probability `p`.
    pub fn bernoulli(self, p: f64, shape: &[usize], device: &Device) -> Tensor {
        let uniform = self.uniform(shape, DType::F32, device);
        uniform.lt(&uniform.full_like(p))
    }

    /// Returns the numbers `0..n` in random order (Fisher–Yates shuffle, on the host).
    pub fn permutation(self, n: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..n).collect();
        for i in (1..n).rev() {
            // 64 random bits against at most 2³² places: the bias is below 2⁻³².
            let [high, low] = threefry(self.0, [i as u32, VALUES]);
            let wide = (u64::from(high) << 32) | u64::from(low);
            let at = ((u128::from(wide) * (i as u128 + 1)) >> 64) as usize;
            order.swap(i, at);
        }
        order
    }
}

#[cfg(test)]
mod tests {
    use super::Key;

    #[test]
    fn permutation_is_one() {
        let mut order = Key::new(3).permutation(1000);
        assert_ne!(order, (0..1000).collect::<Vec<_>>());
        order.sort_unstable();
        assert_eq!(order, (0..1000).collect::<Vec<_>>());
    }
}
