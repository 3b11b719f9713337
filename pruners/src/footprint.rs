//! Plan and peak memory of ProsPr's meta-gradient, without computing it.

use prospr_engine::{Explanation, Key, Params, Policy, Tensor, Tree, explain, grad, vjp};
use prospr_nn::nn::{Batch, Net};
use prospr_nn::optim::Optimizer;

use crate::Result;
use crate::prospr::{Inner, MetaGradient, ProsPr, StepInput};
use crate::scores::{Task, loss_of, prunable};

fn bytes(tree: &impl Tree) -> u64 {
    tree.leaves().iter().map(Tensor::bytes).sum()
}

impl ProsPr {
    /// Plan of the largest repeated computation. For the exact meta-gradient this is the vector–Jacobian product of one
    /// inner step, which runs the step again, as the reverse sweep does for each; for the first-order approximation the
    /// step itself; without steps the gradient of the loss. Nothing is computed, and only shapes, types and devices of
    /// the tensors count.
    ///
    /// # Errors
    /// The engine's.
    pub fn explain_step(
        &self,
        net: &Net,
        params: &Params,
        state: &Params,
        batch: &Batch,
    ) -> Result<Explanation> {
        let mut none = std::iter::empty();
        let task = Task::new(net, params, state, &mut none, Key::new(0));
        let loss = loss_of(&task, self.mode);
        if self.steps == 0 {
            let gradient = |(w, batch): &(Params, Batch)| grad(|w: &Params| loss(w, batch))(w);
            return Ok(explain(gradient, &(params.clone(), batch.clone()))?);
        }
        let step = self.step(loss);
        let inner = self.later_state(params);
        let input = StepInput { batch: batch.clone(), lr: None };
        Ok(match self.meta_gradient {
            MetaGradient::FirstOrder => {
                explain(|(inner, input): &(Inner, StepInput)| step(inner, input), &(inner, input))?
            }
            MetaGradient::Exact => explain(
                |(inner, input, ct): &(Inner, StepInput, Inner)| {
                    vjp(|inner: &Inner| step(inner, input).0, inner).1.call(ct)
                },
                &(inner.clone(), input, inner),
            )?,
        })
    }

    /// Parameters and momentum after some steps.
    fn later_state(&self, params: &Params) -> Inner {
        let first = self.optimizer.init(params);
        self.optimizer.update(params, params, &first)
    }

    /// Bytes of tensors that the scores take at once on the device, as the plan of one step and the number of states
    /// that the policy keeps make it; kernels' scratch memory is not in it. There is no prediction for
    /// [`Policy::Keep`] and [`Policy::Auto`].
    pub(crate) fn peak(
        &self,
        net: &Net,
        params: &Params,
        state: &Params,
        batch: &Batch,
    ) -> Result<Option<u64>> {
        let plan = self.explain_step(net, params, state, batch)?;
        let working = plan.peak_bytes - plan.input_bytes;
        let later = bytes(&self.later_state(params));
        // First-order steps take their batches one by one.
        let exact = self.meta_gradient == MetaGradient::Exact;
        let batches = if self.new_data && exact { self.steps as u64 + 1 } else { 1 } * bytes(batch);
        let before = bytes(params) + batches;
        if self.steps == 0 {
            return Ok(Some(before + working));
        }
        if !exact {
            return Ok(Some(before + later + working));
        }
        let steps = self.steps as u64;
        let states = |count: u64| count * later;
        // States after the first step, and a cotangent where the reverse sweep has one.
        let kept = match self.unroll.policy {
            Policy::Keep | Policy::Auto(_) => return Ok(None),
            _ if self.unroll.host_offload && !batch.images.device().is_cpu() => later,
            Policy::PerStep => states(steps),
            Policy::Every(k) => {
                let k = (k as u64).min(steps);
                let segments = steps.div_ceil(k);
                // States of the last segment, which is run again, and of the one before it.
                let last = steps - (segments - 1) * k;
                let in_last = segments + last + u64::from(last > 1);
                let before = if segments > 1 { segments + k } else { 0 };
                states(in_last.max(before))
            }
        };
        // The first state has masked weights besides the parameters.
        let masked = bytes(&prunable(params));
        Ok(Some(before + masked + kept + working))
    }
}
