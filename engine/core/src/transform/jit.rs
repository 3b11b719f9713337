//! Compiled functions, which are traced once and then replayed.

use std::hash::{Hash, Hasher};
use std::sync::{Arc, Mutex};

use super::{skeleton, unflatten};
use crate::tensor::{Traced, evaluations};
use crate::{Precision, Result, Tensor, Tree};

/// Compiles a function. For inputs of the same shapes, types, devices and static fields ([`Tree::hash_structure`]) it
/// is traced once, compiled to a plan (common subexpressions computed once, elementwise chains and sums fused) and
/// replayed after that. The last few plans are kept.
///
/// `f` must do the same each time: while it is traced its inputs have no values, captured tensors become part of the
/// plan, and side effects happen only then. Functions that draw random numbers are traced again at every call, so that
/// a captured key may change. Inside a running transform, `f` is called directly and differentiated like any other
/// function.
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

/// Compiles a function as [`jit`] does, with the given precision. Inside a running transform, `f` is called directly,
/// and the precision of the enclosing function applies.
///
/// # Errors
/// As [`jit`].
pub fn jit_with<X: Tree, Y: Tree>(
    precision: Precision,
    f: impl Fn(&X) -> Y + Send + Sync,
) -> impl Fn(&X) -> Result<Y> + Send + Sync {
    let cache = JitCache::default();
    move |x| cache.call(precision, &f, x)
}

/// Cache of the last few plans of one function, for callers that create their closure at each call. [`jit`] contains
/// one.
pub struct JitCache<Y> {
    /// Plans in the order of their last use, the latest at the end.
    entries: Mutex<Vec<(PlanKey, Arc<Compiled<Y>>)>>,
}

impl<Y> Default for JitCache<Y> {
    fn default() -> Self {
        JitCache { entries: Mutex::default() }
    }
}

impl<Y: Tree> JitCache<Y> {
    /// Number of plans that are kept, so that a function with a new static field in each step, such as a step count,
    /// does not fill the memory.
    const CAPACITY: usize = 8;

    /// Computes `f(x)` as [`jit_with`] does. All functions that are passed to one cache must do the same.
    ///
    /// # Errors
    /// As [`jit`].
    pub fn call<X: Tree>(&self, precision: Precision, f: impl Fn(&X) -> Y, x: &X) -> Result<Y> {
        let leaves = x.leaves();
        if leaves.iter().any(Tensor::is_traced) {
            return Ok(f(x));
        }
        match self.get_or(PlanKey::new(precision, x), || Compiled::new(&f, x, precision))? {
            Some(compiled) => compiled.call(&leaves),
            None => Ok(f(x)),
        }
    }

    /// Returns the plan of `f` for inputs like `x`, made by [`Compiled::record`] if it is missing.
    pub(super) fn record<X: Tree>(
        &self,
        f: impl FnOnce(&X) -> Result<Y>,
        x: &X,
    ) -> Result<Option<Arc<Compiled<Y>>>> {
        self.get_or(PlanKey::new(Precision::F32, x), || Compiled::record(f, x))
    }

    /// Returns the plan of a key. A new plan is kept unless it draws random numbers, whose keys are part of it.
    fn get_or(
        &self,
        key: PlanKey,
        compile: impl FnOnce() -> Result<Option<Compiled<Y>>>,
    ) -> Result<Option<Arc<Compiled<Y>>>> {
        let entries = || self.entries.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        {
            let mut entries = entries();
            if let Some(index) = entries.iter().position(|(known, _)| *known == key) {
                entries[index..].rotate_left(1);
                return Ok(entries.last().map(|(_, compiled)| compiled.clone()));
            }
        }
        let compiled = compile()?.map(Arc::new);
        if let Some(compiled) = compiled.iter().find(|compiled| !compiled.is_random()) {
            let mut entries = entries();
            if entries.len() == Self::CAPACITY {
                entries.remove(0);
            }
            entries.push((key, compiled.clone()));
        }
        Ok(compiled)
    }
}

/// Key of a plan: the bytes that the precision and the structure of the inputs write to a hasher. The bytes themselves
/// are kept, so that two keys are equal only if their inputs are.
#[derive(PartialEq)]
struct PlanKey(Vec<u8>);

impl PlanKey {
    fn new(precision: Precision, x: &impl Tree) -> PlanKey {
        let mut key = PlanKey(Vec::new());
        precision.hash(&mut key);
        x.hash_structure(&mut key);
        key
    }
}

impl Hasher for PlanKey {
    fn write(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }
    fn finish(&self) -> u64 {
        unreachable!("the bytes themselves are the key")
    }
}

/// The plan of a function for inputs of certain shapes, and the structure of its result.
pub(super) struct Compiled<Y> {
    traced: Traced,
    like: Y,
}

impl<Y: Tree> Compiled<Y> {
    /// Traces `f` on stand-ins for the leaves of `x`. Returns `None` if `f` captures a tensor that a running transform
    /// differentiates through.
    fn new<X: Tree>(f: impl FnOnce(&X) -> Y, x: &X, precision: Precision) -> Result<Option<Self>> {
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

    /// Runs `f` on aliases of the leaves of `x` and makes a plan of the recorded graph, without computing it. Returns
    /// `None` if `f` asked for values, draws random numbers, or captured a tensor that a running transform
    /// differentiates through.
    fn record<X: Tree>(f: impl FnOnce(&X) -> Result<Y>, x: &X) -> Result<Option<Self>> {
        let before = evaluations();
        let aliased = x.map_leaves(|leaf| leaf.alias(None));
        let y = f(&aliased)?;
        let outputs = y.leaves();
        if evaluations() != before || outputs.iter().any(Tensor::is_traced) {
            return Ok(None);
        }
        let traced = Traced::new(&aliased.leaves(), &outputs, Precision::F32)?;
        let like = skeleton(&y);
        Ok(Some(Compiled { traced, like }).filter(|compiled| !compiled.is_random()))
    }

    /// Returns true if the function draws random numbers.
    fn is_random(&self) -> bool {
        self.traced.plan.is_random()
    }

    /// Replays the plan.
    pub(super) fn call(&self, leaves: &[Tensor]) -> Result<Y> {
        Ok(unflatten(&self.like, self.traced.call(leaves)?))
    }
}
