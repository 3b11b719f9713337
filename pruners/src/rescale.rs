//! Flows that leave the range of a narrow type, rescaled by powers of two.

use prospr_engine::ir::Op;
use prospr_engine::{Error, Node, Result, Tensor, interpret};

/// Mean magnitudes from `2^-RANGE` to `2^RANGE` stay as they are.
const RANGE: f64 = 20.0;

/// `output · 2⁻ᵉ` and `e`, computed so that neither the values on the paths from `input` to `output` nor the derivatives
/// that flow back leave the range of their type, as far as this is possible.
///
/// The operations from `input` to `output` are recorded again. A *cut* is a value through which all paths from `input`
/// pass, such as the sum at the end of a residual block. At each cut the mean magnitude is computed, and where it is
/// far from 1, the value is multiplied by a power of two that brings it near 1. All later values then have that factor,
/// and so have all derivatives of the new output: their order is the same as before. Multiplying by powers of two is
/// exact.
///
/// `output` must be positively homogeneous of degree 1 in `input` and `additive` together, and these must not depend on
/// each other: networks of convolutions, linear layers, ReLU, pooling and batch norm in evaluation mode are so, with
/// their biases, shifts and running means in `additive`. Between cuts nothing is scaled. If a path leads through
/// [`checkpoint`](prospr_engine::checkpoint) or another call, `output` is returned as it is, with `e = 0`.
///
/// ```
/// use prospr_engine::{DType, Device, Tensor};
/// use prospr_pruners::rescaled;
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
    let outputs = std::slice::from_ref(output);
    let Some(last_use) = last_uses(outputs, input) else {
        return Ok((output.clone(), 0.0));
    };
    let argument = |t: &Tensor, on| (t.clone(), (t.clone(), on));
    let mut arguments = vec![argument(input, Dependence::Flow)];
    arguments.extend(additive.iter().map(|t| argument(t, Dependence::Added)));
    let constant = |t: &Tensor| (t.clone(), Dependence::Constant);
    let mut exponent = 0.0;
    // The index of the flow's value, the last use of all earlier ones, and true if values may have grown since the cut
    // before.
    let (mut at, mut busy, mut grown) = (0, last_use[0], true);
    let mut values = interpret(outputs, &arguments, constant, |node, inputs| {
        if inputs.iter().all(|(_, on)| *on != Dependence::Flow) {
            return Ok((node.output().clone(), Dependence::Added));
        }
        let scaled = |(value, on): &(Tensor, Dependence)| match on {
            Dependence::Added => times_power(value, -exponent),
            Dependence::Flow | Dependence::Constant => value.clone(),
        };
        let inputs: Vec<Tensor> = inputs.iter().map(scaled).collect();
        let mut value = node.apply(&inputs);
        at += 1;
        grown |= !matches!(
            node.op(),
            Op::Alias | Op::Fence | Op::Reshape | Op::Broadcast | Op::Permute(_) | Op::Slice(_)
        );
        if busy <= at && grown && value.dtype().is_float() {
            let magnitude = value.stop_gradient().abs().mean().item()?.log2();
            if magnitude.is_finite() && magnitude.abs() > RANGE {
                value = times_power(&value, -magnitude.floor());
                exponent += magnitude.floor();
            }
            grown = false;
        }
        busy = busy.max(last_use[at]);
        Ok::<_, Error>((value, Dependence::Flow))
    })?;
    let (output, _) = values.swap_remove(0);
    Ok((output, exponent))
}

/// Dependence of a recorded value on the arguments.
#[derive(Clone, Copy, PartialEq)]
enum Dependence {
    /// It depends on the input.
    Flow,
    /// It depends on tensors that are added to the flow, and not on the input.
    Added,
    /// It depends on neither.
    Constant,
}

/// The index of the last value that uses each value of the flow, in the order of recording: the input first, then
/// everything that depends on it. A value without uses has index 0. None if a call depends on the input.
fn last_uses(outputs: &[Tensor], input: &Tensor) -> Option<Vec<usize>> {
    let mut last_use = vec![0];
    let arguments = [(input.clone(), Some(0))];
    let rule = |node: &Node, inputs: &[Option<usize>]| {
        if let Op::Call { .. } = node.op() {
            return Err(());
        }
        let at = last_use.len();
        last_use.push(0);
        for input in inputs.iter().flatten() {
            last_use[*input] = at;
        }
        Ok(Some(at))
    };
    interpret(outputs, &arguments, |_| None, rule).ok()?;
    Some(last_use)
}

/// `t · 2ᵉ`, multiplied in steps whose factors every float type holds.
fn times_power(t: &Tensor, exponent: f64) -> Tensor {
    let (mut t, mut left) = (t.clone(), exponent);
    while left != 0.0 {
        let step = left.clamp(-100.0, 100.0);
        t = t * step.exp2();
        left -= step;
    }
    t
}

#[cfg(test)]
mod tests {
    use prospr_engine::{DType, Device, Error, Key, Tensor, checkpoint, grad, try_value_and_grad};

    use super::rescaled;

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
            let size = if i < 3 { 10f64.powi(10 * (i as i32 + 1)) } else { 0.0 };
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
    fn flows_in_range_and_with_calls_stay_as_they_are() {
        let (weights, shifts, x) = parts(DType::F64);
        let small = flow(&weights[..0], &shifts, &x);
        let (same, exponent) = rescaled(&small, &x, &shifts).unwrap();
        assert_eq!((same.item(), exponent), (small.item(), 0.0));
        let with_a_call = |w: &Tensor| {
            let y = checkpoint(|x: &Tensor| x * 1e30)(&(&x * w)).sum();
            let (same, exponent) = rescaled(&y, &x, &[])?;
            assert_eq!((same.item(), exponent), (y.item(), 0.0));
            Ok::<_, Error>((y, ()))
        };
        try_value_and_grad(with_a_call)(&x.ones_like()).unwrap();
    }
}
