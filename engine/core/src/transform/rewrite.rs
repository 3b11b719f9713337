//! Interpreter of recorded graphs, for passes that replace operations and passes that only inspect them.

use std::collections::{HashMap, HashSet};
use std::convert::Infallible;
use std::sync::Arc;

use super::unflatten;
use crate::ir::Op;
use crate::tensor::call::Call;
use crate::{DType, Result, Tensor, Tree};

/// One recorded operation: `output = op(inputs)`.
#[derive(Clone)]
pub struct Node {
    pub(super) output: Tensor,
    pub(super) inputs: Vec<Tensor>,
    pub(super) call: Option<Arc<Call>>,
}

impl Node {
    /// Returns the operation with its attributes, such as the geometry of a convolution.
    pub fn op(&self) -> &Op {
        &self.output.0.op
    }

    /// Returns the recorded result, which has the operation's output shape, type and device.
    pub fn output(&self) -> &Tensor {
        &self.output
    }

    /// Returns the recorded inputs, in the order that [`Op`] gives.
    pub fn inputs(&self) -> &[Tensor] {
        &self.inputs
    }

    /// Applies the operation to other inputs of the same shapes and types. For the recorded inputs themselves it
    /// returns the recorded output.
    ///
    /// # Panics
    /// If a shape or type differs, or if the operation is an [`Op::Call`] and an input is new.
    #[track_caller]
    pub fn apply(&self, inputs: &[Tensor]) -> Tensor {
        let (op, output) = (self.op(), &self.output);
        let ids = |tensors: &[Tensor]| tensors.iter().map(Tensor::id).collect::<Vec<_>>();
        if ids(inputs) == ids(&self.inputs) {
            return output.clone();
        }
        assert!(
            !matches!(op, Op::Call { .. }),
            "rewrite: a checkpoint, an unroll or a function with its own derivative cannot be applied to new inputs"
        );
        let types = |tensors: &[Tensor]| -> Vec<(Vec<usize>, DType)> {
            let both = tensors.iter().map(|t| (t.shape().to_vec(), t.dtype()));
            both.collect()
        };
        let (expected, found) = (types(&self.inputs), types(inputs));
        assert!(
            expected == found,
            "rewrite: {} was recorded for inputs {expected:?}, found {found:?}",
            op.name()
        );
        let inputs: Vec<&Tensor> = inputs.iter().collect();
        Tensor::apply(op.clone(), &inputs, output.shape(), output.dtype())
    }
}

/// Returns the nodes on the paths from `wrt` to `outputs` in the order of recording, which is a topological order.
///
/// `node` returns the node of a tensor with the inputs through which paths lead, or `None` if no path leads through
/// it. Nodes hold their own inputs, because the graph may drop its history while they are in use.
pub(super) fn between(
    wrt: &[Tensor],
    outputs: &[Tensor],
    node: impl Fn(&Tensor) -> Option<Node>,
) -> Vec<Node> {
    let mut dependent: HashSet<u64> = wrt.iter().map(Tensor::id).collect();
    // Tensors that are older than all of `wrt` cannot depend on any.
    let oldest = dependent.iter().copied().min().unwrap_or(u64::MAX);
    let mut seen = dependent.clone();
    let mut stack = outputs.to_vec();
    let mut nodes = Vec::new();
    while let Some(tensor) = stack.pop() {
        if tensor.id() < oldest || !seen.insert(tensor.id()) {
            continue;
        }
        if let Some(node) = node(&tensor) {
            stack.extend(node.inputs.iter().cloned());
            nodes.push(node);
        }
    }
    nodes.sort_unstable_by_key(|node| node.output.id());
    nodes.retain(|node| {
        let depends = node.inputs.iter().any(|t| dependent.contains(&t.id()));
        if depends {
            dependent.insert(node.output.id());
        }
        depends
    });
    nodes
}

/// Interprets the recorded operations between `arguments` and `outputs` with values of any kind — tensors, names in an
/// exported file, groups of channels — and returns the values of `outputs`.
///
/// The arguments have the given values, and `rule` computes the value of each operation from those of its inputs.
/// Inputs that depend on no argument, such as weights and constants, get their values from `constant`, which is called
/// once for each. Operations are visited as in [`rewrite`], which is this function with tensors as values.
///
/// ```
/// use prospr_engine::{DType, Device, Error, Tensor, interpret};
/// let x = Tensor::ones(&[4], DType::F32, &Device::cpu());
/// let y = (&x * 2.0).exp();
/// let mut lines = Vec::new();
/// let constant = |t: &Tensor| format!("constant{:?}", t.shape());
/// interpret(&[y], &[(x, "x".to_string())], constant, |node, inputs| {
///     let name = format!("v{}", lines.len());
///     lines.push(format!("{name} = {}({})", node.op().name(), inputs.join(", ")));
///     Ok::<_, Error>(name)
/// })?;
/// assert_eq!(lines, ["v0 = mul(x, constant[4])", "v1 = exp(v0)"]);
/// # Ok::<(), Error>(())
/// ```
///
/// # Errors
/// The first error of `rule`.
pub fn interpret<V: Clone, E>(
    outputs: &[Tensor],
    arguments: &[(Tensor, V)],
    mut constant: impl FnMut(&Tensor) -> V,
    mut rule: impl FnMut(&Node, &[V]) -> Result<V, E>,
) -> Result<Vec<V>, E> {
    let wrt: Vec<Tensor> = arguments.iter().map(|(t, _)| t.clone()).collect();
    let known = arguments.iter().map(|(t, value)| (t.id(), value.clone()));
    let mut values: HashMap<u64, V> = known.collect();
    let mut value_of = |values: &mut HashMap<u64, V>, t: &Tensor| {
        values.entry(t.id()).or_insert_with(|| constant(t)).clone()
    };
    let node = |output: &Tensor| {
        Some(Node { output: output.clone(), inputs: output.inputs(), call: None })
    };
    for node in between(&wrt, outputs, node) {
        let inputs = node.inputs.iter().map(|t| value_of(&mut values, t));
        let value = rule(&node, &inputs.collect::<Vec<V>>())?;
        values.insert(node.output.id(), value);
    }
    let outputs = outputs.iter().map(|t| value_of(&mut values, t));
    Ok(outputs.collect())
}

/// Records the operations between `wrt` and `outputs` again, with replacements, and returns the new outputs: a
/// source-to-source transform of the recorded graph, like an interpreter of JAX's jaxprs.
///
/// `rule(node, inputs)` is called once for each operation that depends on a tensor of `wrt` and that an output depends
/// on. `inputs` are the node's inputs after rewriting, and the tensor that the rule returns replaces the node's
/// output. [`Node::apply`] keeps the operation. The replacement may have another shape if the rules of the operations
/// that use it can take it.
///
/// This replaces every max pool by a mean pool:
///
/// ```
/// use prospr_engine::ir::Op;
/// use prospr_engine::{DType, Device, Node, PoolOptions, Tensor, grad, rewrite};
///
/// fn mean_pools(node: &Node, inputs: &[Tensor]) -> Tensor {
///     match node.op() {
///         Op::PoolGather(window) => inputs[0].avg_pool2d(window.options),
///         _ => node.apply(inputs),
///     }
/// }
///
/// let pooled = |x: &Tensor| x.max_pool2d(PoolOptions::new(2)).sum();
/// let averaged = |x: &Tensor| rewrite(&pooled(x), x, mean_pools);
/// let x = Tensor::ones(&[1, 1, 2, 2], DType::F32, &Device::cpu());
/// assert_eq!(grad(pooled)(&x).to_vec::<f32>()?, [1.0, 0.0, 0.0, 0.0]);
/// assert_eq!(grad(averaged)(&x).to_vec::<f32>()?, [0.25; 4]);
/// # Ok::<(), prospr_engine::Error>(())
/// ```
///
/// **Order.** Operations are visited in the order in which they were recorded. So the inputs of each come before it,
/// and an operation whose output is used several times is visited once. The walk is a loop: graphs may be of any
/// depth.
///
/// **Visited operations.** Operations of every kind, including comparisons, casts and `stop_gradient`. Composite
/// functions are seen as they were recorded: [`Tensor::mean`] as a sum, a reshape and a product, a max pool as
/// [`Op::MaxPoolIndex`] and [`Op::PoolGather`]. The tensors of `wrt`, and everything that does not depend on them,
/// stay as they are.
///
/// **History.** A tensor that was evaluated has no history, unless a running transform differentiates through it:
/// rewrite before you evaluate. The new operations are recorded like all others, so the new outputs can be
/// differentiated with respect to `wrt`, evaluated, and rewritten again.
///
/// **Calls.** Inside a running transform, [`checkpoint`](crate::checkpoint), [`unroll`](crate::unroll()) and
/// [`custom_vjp`](crate::custom_vjp) record an [`Op::Call`], whose derivative runs a closure that is not part of the
/// graph. A rule may keep its recorded output or replace it; [`Node::apply`] panics if an earlier operation was
/// replaced.
pub fn rewrite<X: Tree, Y: Tree>(
    outputs: &Y,
    wrt: &X,
    mut rule: impl FnMut(&Node, &[Tensor]) -> Tensor,
) -> Y {
    let unchanged = |t: Tensor| (t.clone(), t);
    let arguments: Vec<_> = wrt.leaves().into_iter().map(unchanged).collect();
    let rule = |node: &Node, inputs: &[Tensor]| Ok::<_, Infallible>(rule(node, inputs));
    let Ok(rewritten) = interpret(&outputs.leaves(), &arguments, Tensor::clone, rule);
    unflatten(outputs, rewritten)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::ir::Unary;
    use crate::transform::{checkpoint, grad};
    use crate::{ConvOptions, Device, Key};

    fn vector(values: &[f64]) -> Tensor {
        Tensor::new(values, &[values.len()], &Device::cpu()).unwrap()
    }

    fn without_relu(node: &Node, inputs: &[Tensor]) -> Tensor {
        match node.op() {
            Op::Unary(Unary::Relu) => inputs[0].clone(),
            _ => node.apply(inputs),
        }
    }

    #[test]
    fn values_and_derivatives_are_those_of_the_new_operations() {
        let x = vector(&[-1.0, 2.0]);
        let f = |x: &Tensor| (x * 3.0).relu().square().sum();
        let linear = |x: &Tensor| rewrite(&f(x), x, without_relu);
        assert_eq!(f(&x).item().unwrap(), 36.0);
        assert_eq!(linear(&x).item().unwrap(), 45.0);
        // d/dx (3x)² = 18 x, and the second derivative is 18.
        let first = grad(linear)(&x);
        assert_eq!(first.to_f64s().unwrap(), [-18.0, 36.0]);
        let second = grad(|x: &Tensor| grad(linear)(x).sum())(&x);
        assert_eq!(second.to_f64s().unwrap(), [18.0, 18.0]);
        // An outer rewrite sees the operations of an inner derivative: the derivative's comparison with 0 stays.
        let gated = rewrite(&grad(f)(&x), &x, without_relu);
        assert_eq!(gated.to_f64s().unwrap(), [-0.0, 36.0]);
    }

    #[test]
    fn an_operation_is_visited_once_and_after_its_inputs() {
        let x = vector(&[1.0]);
        let shared = x.exp();
        let outputs = vec![&shared * &shared, shared.sin(), vector(&[5.0])];
        let mut visits = Vec::new();
        let mut new = HashMap::new();
        let rewritten = rewrite(&outputs, &x, |node, inputs| {
            visits.push(node.op().name());
            for (old, input) in node.inputs().iter().zip(inputs) {
                assert_eq!(new.get(&old.id()).unwrap_or(&old.id()), &input.id());
            }
            let value = match node.op() {
                Op::Unary(Unary::Exp) => inputs[0].clone() * 2.0,
                _ => node.apply(inputs),
            };
            new.insert(node.output().id(), value.id());
            value
        });
        assert_eq!(visits, ["exp", "mul", "sin"]);
        let values: Vec<f64> = rewritten.iter().map(|t| t.item().unwrap()).collect();
        assert_eq!(values, [4.0, 2f64.sin(), 5.0]);
        // Nodes that do not depend on `wrt`, or that no rule changes, are not recorded again.
        assert_eq!(rewritten[2].id(), outputs[2].id());
        let kept = rewrite(&outputs[0].exp(), &shared, |node, inputs| node.apply(inputs));
        assert_eq!(kept.item().unwrap(), 1f64.exp().powi(2).exp());
        let same = rewrite(&outputs, &x, |node, inputs| node.apply(inputs));
        assert!(same.iter().zip(&outputs).all(|(a, b)| a.id() == b.id()));
    }

    #[test]
    fn an_argument_can_be_replaced() {
        let x = vector(&[1.0, 2.0]);
        let y = (x.square() + x.ones_like()).sum();
        let other = vector(&[3.0, 4.0]);
        let rule = |node: &Node, inputs: &[Tensor]| Ok::<_, Infallible>(node.apply(inputs));
        let Ok(outputs) = interpret(&[y], &[(x, other)], Tensor::clone, rule);
        assert_eq!(outputs[0].item().unwrap(), 27.0);
    }

    #[test]
    fn rules_see_attributes_and_may_change_shapes() {
        let draw = |i: u64, shape: &[usize]| Key::new(i).normal(shape, DType::F64, &Device::cpu());
        let (x, w) = (draw(1, &[2, 3, 5, 5]), draw(2, &[4, 3, 3, 3]));
        let options = ConvOptions::default().stride(2).padding(1);
        let v = draw(3, &[4, 6]);
        let network = |x: &Tensor, w: &Tensor, v: &Tensor| {
            x.conv2d(w, options).relu().mean_axes(&[2, 3], false).matmul(v)
        };
        // Removes the last channel between the two layers.
        let narrow = |w: &Tensor, axis| w.narrow(axis, 0, 3);
        let removed = rewrite(&network(&x, &w, &v), &x, |node, inputs| match node.op() {
            Op::Conv(conv) => inputs[0].conv2d(&narrow(&inputs[1], 0), conv.options),
            Op::Unary(Unary::Relu) => inputs[0].relu(),
            Op::Sum(axes) => {
                let axes: Vec<isize> = axes.iter().map(|&a| a as isize).collect();
                inputs[0].sum_axes(&axes, true)
            }
            Op::Reshape => inputs[0].reshape(&[2, 3]),
            Op::Binary(_) => &inputs[0] * inputs[1].narrow(1, 0, 3),
            Op::MatMul => inputs[0].matmul(&narrow(&inputs[1], 0)),
            op => panic!("{}", op.name()),
        });
        let expected = network(&x, &narrow(&w, 0), &narrow(&v, 0));
        assert_eq!(removed.to_f64s().unwrap(), expected.to_f64s().unwrap());
    }

    #[test]
    fn deep_graphs_are_rewritten_in_a_loop() {
        let x = vector(&[1.0]);
        let y = (0..100_000).fold(x.clone(), |y, _| y.relu());
        let rewritten = rewrite(&y, &x, without_relu);
        assert_eq!(rewritten.id(), x.id());
    }

    #[test]
    fn calls_stay_as_long_as_nothing_before_them_changes() {
        let x = vector(&[1.0, -2.0]);
        let inner = |x: &Tensor| checkpoint(|x: &Tensor| x.square())(x);
        let after = |x: &Tensor| rewrite(&inner(x).relu().sum(), x, without_relu);
        assert_eq!(grad(after)(&x).to_f64s().unwrap(), [2.0, -4.0]);
        let before = || grad(|x: &Tensor| rewrite(&inner(&x.relu()).sum(), x, without_relu))(&x);
        assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(before)).is_err());
    }

    #[test]
    #[should_panic(expected = "exp was recorded for inputs")]
    fn apply_checks_shapes() {
        let x = vector(&[1.0]);
        rewrite(&x.square().exp(), &x, |node, inputs| match node.op() {
            Op::Unary(Unary::Exp) => node.apply(inputs),
            _ => vector(&[1.0, 2.0]),
        });
    }
}
