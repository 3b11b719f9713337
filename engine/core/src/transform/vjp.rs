//! Vector–Jacobian products.

use super::open;
use super::tape::Tape;
use crate::{Tensor, Tree};

/// The linear map of [`vjp`]: from cotangents of the output to cotangents of the input. It can be used any
/// number of times.
pub struct Pullback<X, Y> {
    x: X,
    y: Y,
    aliases: Vec<Tensor>,
    tape: Tape,
}

impl<X: Tree, Y: Tree> Pullback<X, Y> {
    /// Computes the cotangent `ȳᵀ ∂f/∂x` of the input from the cotangent `ȳ` of the output.
    ///
    /// # Panics
    /// If a cotangent's shape is not its output's, or the device fails inside an eager transform.
    #[track_caller]
    pub fn call(&self, ct: &Y) -> X {
        let (outputs, cts) = (self.y.leaves(), ct.leaves());
        assert!(
            outputs.len() == cts.len(),
            "vjp: {} cotangents for {} outputs",
            cts.len(),
            outputs.len()
        );
        let mut seeds = Vec::new();
        for (output, ct) in outputs.into_iter().zip(cts) {
            assert!(
                output.shape() == ct.shape(),
                "vjp: a cotangent of shape {:?} for an output of shape {:?}",
                ct.shape(),
                output.shape()
            );
            seeds.push((output, ct));
        }
        let cts = self.tape.clone().backward(&seeds).unwrap_or_else(|e| panic!("{e}"));
        let mut cts = cts.into_iter().zip(&self.aliases);
        self.x.rebuild(&mut || {
            let (ct, alias) = cts.next().expect("one for each leaf");
            ct.unwrap_or_else(|| alias.zeros_like())
        })
    }
}

/// The value of a function and its vector–Jacobian product: `(f(x), ȳ ↦ ȳᵀ ∂f/∂x)`.
///
/// ```
/// use prospr_engine::{Device, Tensor, vjp};
/// let x = Tensor::new(&[1.0, 2.0], &[2], &Device::cpu())?;
/// let (y, pullback) = vjp(|x: &Tensor| x * x, &x);
/// let dx = pullback.call(&y.full_like(3.0));
/// assert_eq!(dx.to_vec::<f64>()?, [6.0, 12.0]);
/// # Ok::<(), prospr_engine::Error>(())
/// ```
pub fn vjp<X: Tree, Y: Tree>(f: impl Fn(&X) -> Y, x: &X) -> (Y, Pullback<X, Y>) {
    let (aliased, aliases, guard) = open(x);
    let y = f(&aliased);
    let tape = Tape::new(&y.leaves(), &aliases);
    drop(guard);
    (y.clone(), Pullback { x: x.clone(), y, aliases, tape })
}
