//! Functions that are traced once and then replayed.

use std::sync::{Arc, Mutex};

use super::{skeleton, unflatten};
use crate::tensor::{Traced, evaluations};
use crate::{Precision, Result, Tensor, Tree};

/// A function that is traced once for each list of its inputs' shapes, types and devices, compiled to a plan —
/// common subexpressions computed once, elementwise chains and sums fused — and replayed after that.
///
/// `f` must do the same each time: while it is traced its inputs have no values, what it captures becomes part of
/// the plan, and what it does beside returning tensors happens only then. Functions that draw random numbers are
/// traced anew at every call, so that a captured key may change, and so are those whose inputs hold more than tensors
/// ([`Tree::is_tensors_only`]). Inside a running transform, `f` is just called,
/// and so differentiated like any other function.
///
/// ```
/// use prospr_engine::{Device, Tensor, grad, jit};
/// let f = jit(|x: &Tensor| grad(|x: &Tensor| x.sin().square().sum())(x));
/// let x = Tensor::new(&[0.5, 1.0], &[2], &Device::cpu())?;
/// assert_eq!(f(&x)?.shape(), [2]);
/// assert!((f(&x)?.to_vec::<f64>()?[1] - 2f64.sin()).abs() < 1e-12);
/// # Ok::<(), prospr_engine::Error>(())
/// ```
///
/// # Errors
/// The returned closure fails with [`Error::Device`](crate::Error::Device) if the device fails, or if `f` asks for
/// the value of an input.
pub fn jit<X: Tree, Y: Tree>(
    f: impl Fn(&X) -> Y + Send + Sync,
) -> impl Fn(&X) -> Result<Y> + Send + Sync {
    jit_with(Precision::F32, f)
}

/// [`jit`], in this precision. Inside a running transform, `f` is just called, whose precision then counts.
///
/// # Errors
/// As [`jit`].
pub fn jit_with<X: Tree, Y: Tree>(
    precision: Precision,
    f: impl Fn(&X) -> Y + Send + Sync,
) -> impl Fn(&X) -> Result<Y> + Send + Sync {
    let plans: Mutex<Vec<Arc<Compiled<Y>>>> = Mutex::default();
    move |x| {
        let leaves = x.leaves();
        if leaves.iter().any(Tensor::is_traced) {
            return Ok(f(x));
        }
        let known = {
            let plans = plans
                .lock()
                .unwrap_or_else(|poisoned| poisoned.into_inner());
            plans.iter().find(|plan| plan.fits(&leaves)).cloned()
        };
        if let Some(plan) = known {
            return plan.call(&leaves);
        }
        let Some(plan) = Compiled::new(&f, x, precision)?.map(Arc::new) else {
            return Ok(f(x));
        };
        if !plan.is_random() && x.is_tensors_only() && plan.like.is_tensors_only() {
            let mut plans = plans
                .lock()
                .unwrap_or_else(|poisoned| poisoned.into_inner());
            plans.push(plan.clone());
        }
        plan.call(&leaves)
    }
}

/// The plan of a function for inputs of certain shapes.
pub struct Compiled<Y> {
    traced: Traced,
    like: Y,
}

impl<Y: Tree> Compiled<Y> {
    /// Traces `f` on stand-ins for the leaves of `x`. There is no plan if `f` captures what a running transform
    /// differentiates through.
    pub fn new<X: Tree>(
        f: impl FnOnce(&X) -> Y,
        x: &X,
        precision: Precision,
    ) -> Result<Option<Self>> {
        let arguments: Vec<Tensor> = x.leaves().iter().map(Tensor::stand_in).collect();
        let y = f(&unflatten(x, arguments.clone()));
        let outputs = y.leaves();
        if outputs.iter().any(Tensor::is_traced) {
            return Ok(None);
        }
        Ok(Some(Compiled {
            traced: Traced::new(&arguments, &outputs, precision)?,
            like: skeleton(&y),
        }))
    }

    /// Runs `f` on what stands for the leaves of `x`, and makes a plan of what it recorded, which then need not be
    /// computed: there is no result beside a plan. There is no plan if `f` asked for values, draws random numbers,
    /// holds more than tensors, or captured what a running transform differentiates through.
    pub fn record<X: Tree>(f: impl FnOnce(&X) -> Result<Y>, x: &X) -> Result<Option<Self>> {
        if !x.is_tensors_only() {
            return Ok(None);
        }
        let before = evaluations();
        let aliased = x.map_leaves(|leaf| leaf.alias(None));
        let y = f(&aliased)?;
        let outputs = y.leaves();
        let asked = evaluations() != before;
        if asked || !y.is_tensors_only() || outputs.iter().any(Tensor::is_traced) {
            return Ok(None);
        }
        let traced = Traced::new(&aliased.leaves(), &outputs, Precision::F32)?;
        let like = skeleton(&y);
        Ok(Some(Compiled { traced, like }).filter(|plan| !plan.is_random()))
    }

    /// Whether the plan is for these inputs.
    pub fn fits(&self, leaves: &[Tensor]) -> bool {
        self.traced.fits(leaves)
    }

    /// Whether it draws random numbers, whose keys are part of it.
    pub fn is_random(&self) -> bool {
        self.traced.plan.is_random()
    }

    /// Replays the plan.
    pub fn call(&self, leaves: &[Tensor]) -> Result<Y> {
        Ok(unflatten(&self.like, self.traced.call(leaves)?))
    }
}
