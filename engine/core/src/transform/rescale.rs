//! Values that grow or shrink by many orders of magnitude from operation to operation, in the range of a narrow type.

use std::collections::{HashMap, HashSet};

use crate::ir::Op;
use crate::{Result, Tensor};

/// Means of magnitudes from `2^-RANGE` to `2^RANGE` stay as they are.
const RANGE: f64 = 20.0;

/// What a value of the history depends on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum On {
    /// The input.
    Input,
    /// What is added on the way, and not the input.
    Additive,
    /// Neither.
    Nothing,
}

/// `output · 2⁻ᵉ` and `e`, computed so that neither the values on the way from `input` to `output` nor the derivatives
/// that flow back leave the range of their type, as far as can be.
///
/// The history of `output` is written anew. At each *cut* — a value through which everything on the way from `input`
/// passes, such as the sum at the end of a residual block — the magnitude is looked at, and brought near 1 by a
/// power of two where it is far from it. All later values then have that factor, and so have all derivatives of the new
/// output: their order is that of the old one's. Multiplying by powers of two is exact.
///
/// `output` must be positively homogeneous of degree 1 in `input` and `additive` together, and these must not depend on
/// each other: convolutions, linear layers, ReLU, pooling and batch norm in evaluation mode are so, with their biases, shifts
/// and running means in `additive`. Between cuts nothing is scaled. A history with checkpoints or unrolls stays as
/// it is, with `e = 0`.
///
/// ```
/// use prospr_engine::{DType, Device, Tensor, rescaled};
/// let one = Tensor::ones(&[], DType::F32, &Device::cpu());
/// let (small, large) = (&one * 2.0, &one * 1e30 * 1e30);
/// assert_eq!(rescaled(&small, &one, &[])?.1, 0.0);
/// let (y, exponent) = rescaled(&large, &one, &[])?;
/// assert!((y.item()?.log2() + exponent - 60.0 * 10f64.log2()).abs() < 1e-6);
/// # Ok::<(), prospr_engine::Error>(())
/// ```
///
/// # Errors
/// The engine's, if a device fails.
pub fn rescaled(output: &Tensor, input: &Tensor, additive: &[Tensor]) -> Result<(Tensor, f64)> {
    let history = history(output, input);
    let depends = dependence(&history, input, additive);
    let on_input = |t: &Tensor| depends[&t.id()] == On::Input;
    let path: Vec<&Tensor> = history.iter().filter(|t| on_input(t)).collect();
    if path.iter().any(|t| matches!(t.0.op, Op::Call { .. })) {
        return Ok((output.clone(), 0.0));
    }
    let mut last_use: HashMap<u64, u64> = HashMap::new();
    for node in &path {
        for input in node.inputs() {
            last_use.insert(input.id(), node.id());
        }
    }
    let mut exponent = 0.0;
    let mut written: HashMap<u64, Tensor> = HashMap::new();
    // The last use of all earlier values on the way, and whether something may have grown since the last look.
    let (mut busy, mut grown) = (0, false);
    for node in path {
        let mut value = rewritten(node, &written, exponent, &depends);
        let multiplies = !matches!(
            node.0.op,
            Op::Alias | Op::Fence | Op::Reshape | Op::Broadcast | Op::Permute(_) | Op::Slice(_)
        );
        grown |= multiplies;
        let alone = busy <= node.id() && node.dtype().is_float();
        if alone && grown && node.id() != input.id() {
            let magnitude = value.stop_gradient().abs().mean().item()?.log2();
            if magnitude.is_finite() && magnitude.abs() > RANGE {
                value = times_power(&value, -magnitude.floor());
                exponent += magnitude.floor();
            }
            grown = false;
        }
        busy = busy.max(last_use.get(&node.id()).copied().unwrap_or(0));
        if value.id() != node.id() {
            written.insert(node.id(), value);
        }
    }
    let output = written.get(&output.id()).unwrap_or(output).clone();
    Ok((output, exponent))
}

/// `t · 2ᵉ` in steps that the type holds.
fn times_power(t: &Tensor, exponent: f64) -> Tensor {
    let (mut t, mut left) = (t.clone(), exponent);
    while left != 0.0 {
        let step = left.clamp(-100.0, 100.0);
        t = t * step.exp2();
        left -= step;
    }
    t
}

/// What `output` is made of, in the order of its making, no further back than `input`.
fn history(output: &Tensor, input: &Tensor) -> Vec<Tensor> {
    let (mut seen, mut stack, mut nodes) = (HashSet::new(), vec![output.clone()], Vec::new());
    while let Some(node) = stack.pop() {
        if !seen.insert(node.id()) {
            continue;
        }
        if node.id() != input.id() {
            stack.extend(node.inputs());
        }
        nodes.push(node);
    }
    nodes.sort_unstable_by_key(Tensor::id);
    nodes
}

fn dependence(history: &[Tensor], input: &Tensor, additive: &[Tensor]) -> HashMap<u64, On> {
    let mut depends = HashMap::new();
    for node in history {
        let of = |on: On| node.inputs().iter().any(|i| depends[&i.id()] == on);
        let on = if node.id() == input.id() {
            On::Input
        } else if additive.iter().any(|a| a.id() == node.id()) {
            On::Additive
        } else if of(On::Input) {
            On::Input
        } else if of(On::Additive) {
            On::Additive
        } else {
            On::Nothing
        };
        depends.insert(node.id(), on);
    }
    depends
}

/// A node on the way with its inputs as they were written anew, and what is added scaled like them.
fn rewritten(
    node: &Tensor,
    written: &HashMap<u64, Tensor>,
    exponent: f64,
    depends: &HashMap<u64, On>,
) -> Tensor {
    if exponent == 0.0 && written.is_empty() {
        return node.clone();
    }
    let scaled = |input: Tensor| match depends[&input.id()] {
        On::Input => written.get(&input.id()).cloned().unwrap_or(input),
        On::Additive => times_power(&input, -exponent),
        On::Nothing => input,
    };
    let inputs = node.inputs().into_iter().map(scaled).collect();
    let (op, device) = (node.0.op.clone(), node.device().clone());
    Tensor::record(op, inputs, node.shape(), node.dtype(), device, None)
}

#[cfg(test)]
mod tests {
    use super::rescaled;
    use crate::transform::{checkpoint, grad, try_value_and_grad};
    use crate::{DType, Device, Error, Key, Tensor};

    const BLOCKS: u64 = 6;

    /// Residual blocks `x ← relu(w x + b) + x`, each with weights near 10¹⁰ and a shift of the size of the flow.
    fn flow(weights: &[Tensor], shifts: &[Tensor], x: &Tensor) -> Tensor {
        let block =
            |x: Tensor, (w, b): (&Tensor, &Tensor)| (&x * w + b).maximum(&x.zeros_like()) + &x;
        let blocks = weights.iter().zip(shifts);
        blocks.fold(x.clone(), block).sum()
    }

    fn parts(dtype: DType) -> (Vec<Tensor>, Vec<Tensor>, Tensor) {
        let device = Device::cpu();
        let draw = |i: u64| Key::new(1).fold_in(i).uniform(&[5], DType::F32, &device);
        let weights = (0..BLOCKS).map(|i| ((draw(i) + 0.5) * 1e10).to_dtype(dtype));
        let shifts = (0..BLOCKS).map(|i| {
            // Beyond the third block they would not fit, and f32 has the others to compare with.
            let size = if i < 3 {
                10f64.powi(10 * (i as i32 + 1))
            } else {
                0.0
            };
            (draw(100 + i) * size).to_dtype(dtype)
        });
        let ones = Tensor::ones(&[5], dtype, &device);
        (weights.collect(), shifts.collect(), ones)
    }

    #[test]
    fn derivatives_keep_their_order_beyond_the_range() {
        let (weights, shifts, x) = parts(DType::F64);
        let exact = grad(|w: &Vec<Tensor>| flow(w, &shifts, &x))(&weights);
        let (weights, shifts, x) = parts(DType::F32);
        assert!(!flow(&weights, &shifts, &x).item().unwrap().is_finite());
        let scaled = |w: &Vec<Tensor>| {
            let (y, exponent) = rescaled(&flow(w, &shifts, &x), &x, &shifts)?;
            Ok::<_, Error>((y, exponent))
        };
        let ((y, exponent), found) = try_value_and_grad(scaled)(&weights).unwrap();
        assert!(exponent > 150.0 && y.item().unwrap().is_finite());
        for (found, exact) in found.iter().zip(&exact) {
            let (found, exact) = (found.to_f64s().unwrap(), exact.to_f64s().unwrap());
            for (found, exact) in found.iter().zip(exact) {
                let ratio = found * exponent.exp2() / exact;
                assert!((ratio - 1.0).abs() < 1e-5, "{ratio}");
            }
        }
    }

    #[test]
    fn what_is_in_range_and_calls_stay_as_they_are() {
        let (weights, shifts, x) = parts(DType::F64);
        let small = flow(&weights[..0], &shifts, &x);
        let (same, exponent) = rescaled(&small, &x, &shifts).unwrap();
        assert_eq!((same.id(), exponent), (small.id(), 0.0));
        let with_a_call = |w: &Tensor| {
            let y = checkpoint(|x: &Tensor| x * 1e30)(&(&x * w)).sum();
            let (same, exponent) = rescaled(&y, &x, &[])?;
            assert_eq!((same.id(), exponent), (y.id(), 0.0));
            Ok::<_, Error>((y, ()))
        };
        try_value_and_grad(with_a_call)(&x.ones_like()).unwrap();
    }
}
