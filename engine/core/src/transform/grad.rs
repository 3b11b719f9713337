//! Gradients of scalar functions.

use super::open;
use super::tape::Tape;
use crate::{Error, Result, Tensor, Tree};

/// The gradient of a scalar function: `x ↦ ∂f/∂x`, in the structure of `x`.
///
/// ```
/// use prospr_engine::{DType, Device, Tensor, grad};
/// let x = Tensor::scalar(2.0, DType::F64, &Device::cpu());
/// // d³/dx³ x⁴ = 24 x
/// let cube = |x: &Tensor| x.powf(4.0);
/// let third = grad(|x: &Tensor| grad(|x: &Tensor| grad(cube)(x))(x))(&x);
/// assert_eq!(third.item()?, 48.0);
/// # Ok::<(), prospr_engine::Error>(())
/// ```
///
/// # Panics
/// The returned closure panics if `f` does not return one float, or if the device fails inside an eager
/// transform; [`try_value_and_grad`] returns such errors.
pub fn grad<T: Tree>(f: impl Fn(&T) -> Tensor) -> impl Fn(&T) -> T {
    let both = value_and_grad(f);
    move |x| both(x).1
}

/// The value of a scalar function together with its gradient: `x ↦ (f(x), ∂f/∂x)`.
///
/// ```
/// use prospr_engine::{DType, Device, Tensor, value_and_grad};
/// let x = Tensor::new(&[1.0, 2.0, 3.0], &[3], &Device::cpu())?;
/// let (y, dy) = value_and_grad(|x: &Tensor| (x * x).sum())(&x);
/// assert_eq!((y.item()?, dy.to_vec::<f64>()?), (14.0, vec![2.0, 4.0, 6.0]));
/// # Ok::<(), prospr_engine::Error>(())
/// ```
///
/// # Panics
/// As [`grad`].
pub fn value_and_grad<T: Tree>(f: impl Fn(&T) -> Tensor) -> impl Fn(&T) -> (Tensor, T) {
    let both = value_and_grad_aux(move |x: &T| (f(x), ()));
    move |x| {
        let ((y, ()), dx) = both(x);
        (y, dx)
    }
}

/// Computes [`value_and_grad`] of a function that returns something besides the scalar (JAX's `has_aux`), such as new
/// batch-norm statistics or logits.
///
/// ```
/// use prospr_engine::{DType, Device, Tensor, value_and_grad_aux};
/// let x = Tensor::new(&[1.0, 2.0], &[2], &Device::cpu())?;
/// let ((y, squares), dx) = value_and_grad_aux(|x: &Tensor| { let s = x * x; (s.sum(), s) })(&x);
/// assert_eq!(squares.to_vec::<f64>()?, [1.0, 4.0]);
/// # assert_eq!((y.item()?, dx.to_vec::<f64>()?), (5.0, vec![2.0, 4.0]));
/// # Ok::<(), prospr_engine::Error>(())
/// ```
///
/// # Panics
/// As [`grad`].
pub fn value_and_grad_aux<T: Tree, A>(
    f: impl Fn(&T) -> (Tensor, A),
) -> impl Fn(&T) -> ((Tensor, A), T) {
    let both = try_value_and_grad(move |x: &T| Ok::<_, Error>(f(x)));
    move |x| both(x).unwrap_or_else(|error| panic!("{error}"))
}

/// Computes [`value_and_grad_aux`] of a function that can fail, for instance because it [`unroll`](crate::unroll)s.
///
/// ```
/// use prospr_engine::{Device, Error, Tensor, try_value_and_grad};
/// let x = Tensor::new(&[3.0], &[1], &Device::cpu())?;
/// let checked = |x: &Tensor| {
///     let y = x.square().sum();
///     Ok::<_, Error>((y, ()))
/// };
/// let ((_, ()), dx) = try_value_and_grad(checked)(&x)?;
/// assert_eq!(dx.item()?, 6.0);
/// # Ok::<(), Error>(())
/// ```
///
/// # Errors
/// Those of `f`, and the engine's own errors.
///
/// # Panics
/// If `f` does not return one float.
pub fn try_value_and_grad<T, A, E>(
    f: impl Fn(&T) -> Result<(Tensor, A), E>,
) -> impl Fn(&T) -> Result<((Tensor, A), T), E>
where
    T: Tree,
    E: From<Error>,
{
    move |x| {
        let (aliased, aliases, guard) = open(x);
        let (y, aux) = f(&aliased)?;
        assert!(
            y.numel() == 1 && y.dtype().is_float(),
            "grad: the function must return one float, found {} of shape {:?}; use `vjp` for other outputs",
            y.dtype(),
            y.shape()
        );
        let tape = Tape::new(std::slice::from_ref(&y), &aliases);
        drop(guard);
        let seed = (y.clone(), y.ones_like());
        let cts = tape.backward(&[seed])?;
        let mut cts = cts.into_iter().zip(&aliases);
        let dx = x.rebuild(&mut || {
            let (ct, alias) = cts.next().expect("one for each leaf");
            ct.unwrap_or_else(|| alias.zeros_like())
        });
        Ok(((y, aux), dx))
    }
}
