//! Calls that are differentiated by running their function again.

use std::sync::Arc;

use super::tape::{Tape, captured};
use super::{skeleton, unflatten};
use crate::tensor::call::{self, Rule};
use crate::tensor::id_mark;
use crate::tensor::trace::{Trace, TraceGuard};
use crate::tensor::{eval, eval_scratch};
use crate::{Result, Tensor, Tree};

/// Wraps a function so that its intermediate values are not kept for the derivative but computed again (JAX's
/// `checkpoint`, PyTorch's `utils.checkpoint`).
///
/// ```
/// use prospr_engine::{Device, Tensor, checkpoint, grad};
/// let x = Tensor::new(&[0.5], &[1], &Device::cpu())?;
/// let f = checkpoint(|x: &Tensor| x.sin().exp().sum());
/// let plain = grad(|x: &Tensor| x.sin().exp().sum())(&x);
/// assert_eq!(grad(f)(&x).item()?, plain.item()?);
/// # Ok::<(), prospr_engine::Error>(())
/// ```
///
/// Derivatives also flow to tensors that `f` captures. `f` must do the same each time it runs.
pub fn checkpoint<X: Tree, Y: Tree>(
    f: impl Fn(&X) -> Y + Send + Sync + 'static,
) -> impl Fn(&X) -> Y {
    let f: Function<X, Y> = Arc::new(move |x: &X| Ok(f(x)));
    move |x| replayed(&f, x, When::Lazily).unwrap_or_else(|e| panic!("{e}"))
}

/// A function that may fail, shared by the steps that run it.
pub(super) type Function<X, Y> = Arc<dyn Fn(&X) -> Result<Y> + Send + Sync>;

/// Time at which a call's values and cotangents are computed.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum When {
    /// They are computed by the next evaluation that needs them.
    Lazily,
    /// They are computed at once, so that only one call's graph exists at a time.
    AtOnce,
}

/// Runs `f` as a call that is differentiated by running it again.
pub(super) fn replayed<X: Tree, Y: Tree>(f: &Function<X, Y>, x: &X, when: When) -> Result<Y> {
    let mark = id_mark();
    let aliased = x.map_leaves(|leaf| leaf.alias(None));
    let y = f(&aliased)?;
    let outputs = y.leaves();
    let captured = captured(&outputs, &aliased.leaves(), mark);
    let args = x.leaves();
    if when == When::AtOnce {
        eval_scratch(&outputs, mark)?;
    }
    if captured.is_empty() && !args.iter().any(Tensor::is_traced) {
        return Ok(y);
    }
    let rule = Replay {
        f: f.clone(),
        x: skeleton(x),
        wanted: args.iter().map(Tensor::is_traced).collect(),
        when,
    };
    let inputs: Vec<Tensor> = args.into_iter().chain(captured).collect();
    Ok(unflatten(&y, call::record(Arc::new(rule), &inputs, &outputs)))
}

/// Derivative rule of a call that is differentiated by running its function again.
struct Replay<X, Y> {
    f: Function<X, Y>,
    x: X,
    /// For each argument, true if a transform differentiates through it. Images and labels usually are not wanted.
    wanted: Vec<bool>,
    when: When,
}

impl<X: Tree, Y: Tree> Replay<X, Y> {
    /// Runs the function again and returns its outputs with the tape that differentiates them by the wanted inputs.
    fn run(&self, inputs: &[Tensor]) -> Result<(Vec<Tensor>, Tape)> {
        let (args, captured) = inputs.split_at(self.wanted.len());
        // Tensors made from captured tensors alone must keep their history too while the function runs.
        let reopened =
            TraceGuard::open(captured.iter().flat_map(|t| t.0.traces.iter().cloned()).collect());
        let trace: Arc<Trace> = Arc::default();
        let guard = TraceGuard::open(vec![trace.clone()]);
        let alias = |(arg, &wanted): (&Tensor, &bool)| {
            let own = wanted.then(|| trace.clone());
            arg.fence().alias(own)
        };
        let aliases: Vec<Tensor> = args.iter().zip(&self.wanted).map(alias).collect();
        let outputs = (self.f)(&unflatten(&self.x, aliases.clone()))?.leaves();
        let aliases = self.only_wanted(&aliases);
        let wrt: Vec<Tensor> = aliases.into_iter().chain(captured.iter().cloned()).collect();
        let tape = Tape::new(&outputs, &wrt);
        drop((guard, reopened));
        Ok((outputs, tape))
    }

    /// Returns the items of the wanted arguments and of all captured tensors.
    fn only_wanted<T: Clone>(&self, inputs: &[T]) -> Vec<T> {
        let wanted = |&(i, _): &(usize, &T)| self.wanted.get(i).is_none_or(|&wanted| wanted);
        inputs.iter().enumerate().filter(wanted).map(|(_, t)| t.clone()).collect()
    }
}

impl<X: Tree, Y: Tree> Rule for Replay<X, Y> {
    fn vjp(
        &self,
        inputs: &[Tensor],
        _: &[Tensor],
        cts: &[Option<Tensor>],
    ) -> Result<Vec<Option<Tensor>>> {
        let (outputs, tape) = self.run(inputs)?;
        let seeds: Vec<(Tensor, Tensor)> =
            outputs.into_iter().zip(cts).filter_map(|(y, ct)| Some((y, ct.clone()?))).collect();
        let results = tape.backward(&seeds)?;
        drop(seeds);
        if self.when == When::AtOnce {
            eval(&results.iter().flatten().cloned().collect::<Vec<_>>())?;
        }
        let mut results = results.into_iter();
        let result = |i: usize| match self.wanted.get(i) {
            Some(false) => None,
            _ => results.next().flatten(),
        };
        Ok((0..inputs.len()).map(result).collect())
    }

    fn jvp(
        &self,
        inputs: &[Tensor],
        _: &[Tensor],
        tangents: &[Option<Tensor>],
    ) -> Result<Vec<Option<Tensor>>> {
        let (outputs, tape) = self.run(inputs)?;
        let results = tape.forward(&self.only_wanted(tangents), &outputs)?;
        drop(outputs);
        if self.when == When::AtOnce {
            eval(&results.iter().flatten().cloned().collect::<Vec<_>>())?;
        }
        Ok(results)
    }
}
