//! User-defined derivative rules.

use std::sync::Arc;

use super::tape::{Tape, captured};
use super::{open, skeleton, unflatten};
use crate::tensor::call::{self, Rule};
use crate::tensor::id_mark;
use crate::{Result, Tensor, Tree};

/// Gives a function a user-defined reverse rule: `rule(x, y, ȳ)` returns the cotangent of `x`.
///
/// The rule must be linear in `ȳ`. Higher orders differentiate the rule itself, and forward mode transposes it.
///
/// ```
/// use prospr_engine::{Device, Tensor, custom_vjp, grad};
/// // The identity, whose gradient is clipped to [-1, 1].
/// let clip = custom_vjp(|x: &Tensor| x * 1.0, |_: &Tensor, _: &Tensor, ct: &Tensor| ct.clamp(-1.0, 1.0));
/// let x = Tensor::new(&[3.0], &[1], &Device::cpu())?;
/// assert_eq!(grad(|x: &Tensor| clip(x).square().sum())(&x).item()?, 1.0);
/// # Ok::<(), prospr_engine::Error>(())
/// ```
///
/// # Panics
/// The returned closure panics if `f` captured a tensor that is being differentiated, because the rule could not pass
/// a cotangent to it. Pass it as an argument.
pub fn custom_vjp<X: Tree, Y: Tree>(
    f: impl Fn(&X) -> Y,
    rule: impl Fn(&X, &Y, &Y) -> X + Send + Sync + 'static,
) -> impl Fn(&X) -> Y {
    let rule: Reverse<X, Y> = Arc::new(rule);
    move |x| {
        let mark = id_mark();
        let aliased = x.map_leaves(|leaf| leaf.alias(None));
        let y = f(&aliased);
        let outputs = y.leaves();
        assert!(
            captured(&outputs, &aliased.leaves(), mark).is_empty(),
            "custom_vjp: the function captured a tensor that is being differentiated; pass it as an argument"
        );
        let inputs = x.leaves();
        if !inputs.iter().any(Tensor::is_traced) {
            return y;
        }
        let custom = Custom { rule: rule.clone(), x: skeleton(x), y: skeleton(&y) };
        unflatten(&y, call::record(Arc::new(custom), &inputs, &outputs))
    }
}

type Reverse<X, Y> = Arc<dyn Fn(&X, &Y, &Y) -> X + Send + Sync>;

/// User-defined derivative rule of a call, and the structures of its input and output.
struct Custom<X, Y> {
    rule: Reverse<X, Y>,
    x: X,
    y: Y,
}

impl<X: Tree, Y: Tree> Custom<X, Y> {
    /// Calls the rule and checks the shapes of its results.
    fn apply(&self, inputs: &[Tensor], outputs: &[Tensor], ct: &Y) -> Vec<Tensor> {
        let x = unflatten(&self.x, inputs.to_vec());
        let y = unflatten(&self.y, outputs.to_vec());
        let dx = (self.rule)(&x, &y, ct).leaves();
        assert!(
            dx.len() == inputs.len() && dx.iter().zip(inputs).all(|(d, x)| d.shape() == x.shape()),
            "custom_vjp: the rule must return a cotangent of its input's shape for each input"
        );
        dx
    }
}

impl<X: Tree, Y: Tree> Rule for Custom<X, Y> {
    fn vjp(
        &self,
        inputs: &[Tensor],
        outputs: &[Tensor],
        cts: &[Option<Tensor>],
    ) -> Result<Vec<Option<Tensor>>> {
        let dense =
            cts.iter().zip(outputs).map(|(ct, y)| ct.clone().unwrap_or_else(|| y.zeros_like()));
        let ct = unflatten(&self.y, dense.collect());
        Ok(self.apply(inputs, outputs, &ct).into_iter().map(Some).collect())
    }

    /// Transposes the rule: with `x̄ = R ȳ`, the tangent is `Rᵀ ẋ`, the gradient of `⟨R u, ẋ⟩` with respect to `u`.
    fn jvp(
        &self,
        inputs: &[Tensor],
        outputs: &[Tensor],
        tangents: &[Option<Tensor>],
    ) -> Result<Vec<Option<Tensor>>> {
        let (u, aliases, guard) = open(&self.y);
        let dx = self.apply(inputs, outputs, &u);
        let seeds: Vec<(Tensor, Tensor)> =
            dx.into_iter().zip(tangents).filter_map(|(d, t)| Some((d, t.clone()?))).collect();
        let results: Vec<Tensor> = seeds.iter().map(|(d, _)| d.clone()).collect();
        let tape = Tape::new(&results, &aliases);
        drop(guard);
        tape.backward(&seeds)
    }
}
