//! Functions whose max pools let every pixel through.

use super::tape::Tape;
use super::{open, unflatten};
use crate::Tree;

/// The function with every max pool of what depends on its argument replaced by the mean of the window, zeros of the
/// border included. A max pool's derivative sees one pixel of each window; this one's sees all that could ever be the
/// largest, which tells what is connected with what. Max pools in `checkpoint` and other calls stay as they are.
///
/// ```
/// use prospr_engine::{DType, Device, PoolOptions, Tensor, grad, with_mean_pools};
/// let pooled = |x: &Tensor| x.max_pool2d(PoolOptions::new(2)).sum();
/// let x = Tensor::ones(&[1, 1, 2, 2], DType::F32, &Device::cpu());
/// assert_eq!(grad(pooled)(&x).to_vec::<f32>()?, [1.0, 0.0, 0.0, 0.0]);
/// assert_eq!(grad(with_mean_pools(pooled))(&x).to_vec::<f32>()?, [0.25; 4]);
/// # Ok::<(), prospr_engine::Error>(())
/// ```
pub fn with_mean_pools<X: Tree, Y: Tree>(f: impl Fn(&X) -> Y) -> impl Fn(&X) -> Y {
    move |x| {
        let (aliased, aliases, guard) = open(x);
        let y = f(&aliased);
        let outputs = y.leaves();
        let tape = Tape::new(&outputs, &aliases);
        drop(guard);
        unflatten(&y, tape.with_mean_pools(&outputs))
    }
}
