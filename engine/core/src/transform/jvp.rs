//! Jacobian–vector and Hessian–vector products, by forward mode.

use super::tape::Tape;
use super::{grad, open, unflatten};
use crate::{Tensor, Tree};

/// The value of a function and its derivative along `v`: `(f(x), ∂f/∂x · v)`.
///
/// ```
/// use prospr_engine::{Device, Tensor, jvp};
/// let x = Tensor::new(&[1.0, 2.0], &[2], &Device::cpu())?;
/// let (_, dy) = jvp(|x: &Tensor| x * x, &x, &x.ones_like());
/// assert_eq!(dy.to_vec::<f64>()?, [2.0, 4.0]);
/// # Ok::<(), prospr_engine::Error>(())
/// ```
///
/// # Panics
/// If `v` has another structure or other shapes than `x`, or the device fails inside an eager transform.
#[track_caller]
pub fn jvp<X: Tree, Y: Tree>(f: impl Fn(&X) -> Y, x: &X, v: &X) -> (Y, Y) {
    let (aliased, aliases, guard) = open(x);
    let tangents: Vec<Option<Tensor>> = v.leaves().into_iter().map(Some).collect();
    assert!(
        tangents.len() == aliases.len(),
        "jvp: {} tangents for {} inputs",
        tangents.len(),
        aliases.len()
    );
    for (alias, tangent) in aliases.iter().zip(tangents.iter().flatten()) {
        assert!(
            alias.shape() == tangent.shape(),
            "jvp: a tangent of shape {:?} for an input of shape {:?}",
            tangent.shape(),
            alias.shape()
        );
    }
    let y = f(&aliased);
    let outputs = y.leaves();
    let tape = Tape::new(&outputs, &aliases);
    drop(guard);
    let tangents = tape.forward(&tangents, &outputs).unwrap_or_else(|e| panic!("{e}"));
    let dense =
        outputs.iter().zip(tangents).map(|(y, t)| t.unwrap_or_else(|| y.zeros_like())).collect();
    let dy = unflatten(&y, dense);
    (y, dy)
}

/// The product of a scalar function's Hessian with a vector: `∂²f/∂x² · v`, forward over reverse.
///
/// ```
/// use prospr_engine::{Device, Tensor, hvp};
/// let x = Tensor::new(&[1.0, 2.0], &[2], &Device::cpu())?;
/// let hv = hvp(|x: &Tensor| x.powf(3.0).sum(), &x, &x.ones_like());
/// assert_eq!(hv.to_vec::<f64>()?, [6.0, 12.0]);
/// # Ok::<(), prospr_engine::Error>(())
/// ```
///
/// # Panics
/// As [`grad`](crate::grad) and [`jvp`].
#[track_caller]
pub fn hvp<X: Tree>(f: impl Fn(&X) -> Tensor, x: &X, v: &X) -> X {
    jvp(grad(f), x, v).1
}
