//! Checks of derivatives against finite differences and against each other.

use std::fmt::Write;

use crate::{DType, Key, Tensor, Tree, jvp, tree_dot, vjp};

/// Tolerances and step size of [`check_grads`].
#[derive(Clone, Copy, Debug)]
pub struct Tolerance {
    /// Half the distance between the two points of a central difference.
    pub step: f64,
    /// Allowed error relative to the size of the derivative.
    pub relative: f64,
    /// Allowed absolute error in addition.
    pub absolute: f64,
}

impl Tolerance {
    /// Returns the tolerance that central differences reach in a type.
    pub fn of(dtype: DType) -> Tolerance {
        match dtype {
            DType::F64 => Tolerance { step: 1e-5, relative: 1e-6, absolute: 1e-7 },
            _ => Tolerance { step: 5e-3, relative: 2e-2, absolute: 5e-3 },
        }
    }
}

/// Checks the derivatives of `f` at `x` up to an order, along random directions: the forward derivative
/// against a central difference, the reverse derivative against the forward one
/// (`⟨ȳ, ∂f·v⟩ = ⟨∂fᵀ·ȳ, v⟩`), and then the same for the reverse derivative itself as a function of `(x, ȳ)`.
///
/// ```
/// use prospr_engine::{DType, Device, Tensor, check::{Tolerance, check_grads}};
/// let x = Tensor::new(&[0.3, -0.7], &[2], &Device::cpu())?;
/// check_grads(&|x: &Tensor| x.sin() * x, &x, 3, Tolerance::of(DType::F64)).unwrap();
/// # Ok::<(), prospr_engine::Error>(())
/// ```
///
/// # Errors
/// A report with the order, the comparison that failed, and both numbers.
pub fn check_grads<X: Tree, Y: Tree>(
    f: &dyn Fn(&X) -> Y,
    x: &X,
    order: usize,
    tolerance: Tolerance,
) -> Result<(), String> {
    let flat = |leaves: &Leaves| f(&crate::transform::unflatten(x, leaves.clone())).leaves();
    check(&flat, &x.leaves(), order, 1, tolerance, Key::new(0x5eed))
}

type Leaves = Vec<Tensor>;

/// Checks `order` derivatives of `f`, which is itself a derivative of order `level − 1`.
fn check(
    f: &dyn Fn(&Leaves) -> Leaves,
    x: &Leaves,
    order: usize,
    level: usize,
    tolerance: Tolerance,
    key: Key,
) -> Result<(), String> {
    let [key_v, key_ct, key_next] = key.split();
    let v = random_like(x, key_v);
    let (y, dy) = jvp(f, x, &v);

    let h = tolerance.step;
    let moved = |by: f64| {
        floats(&f(&x.zip_leaves(&v, |x, v| if is_float(x) { x + v * by } else { x.clone() })))
    };
    let differences: Vec<f64> =
        moved(h).iter().zip(moved(-h)).map(|(a, b)| (a - b) / (2.0 * h)).collect();
    compare("jvp", "central difference", &floats(&dy), &differences, level, tolerance)?;

    let ct = random_like(&y, key_ct);
    let (_, pullback) = vjp(f, x);
    let dx = pullback.call(&ct);
    let forward = read(&float_dot(&ct, &dy));
    let reverse = read(&float_dot(&dx, &v));
    compare("⟨ȳ, jvp⟩", "⟨vjp, v⟩", &[forward], &[reverse], level, tolerance)?;

    if order <= 1 {
        return Ok(());
    }
    let count = x.len();
    let reverse = |input: &Leaves| {
        let (x, ct) = input.split_at(count);
        vjp(f, &x.to_vec()).1.call(&ct.to_vec())
    };
    let input = [x.as_slice(), ct.as_slice()].concat();
    check(&reverse, &input, order - 1, level + 1, tolerance, key_next)
}

fn is_float(t: &Tensor) -> bool {
    t.dtype().is_float()
}

/// Returns a random direction with components in [−1, 1), multiples of 2⁻²³; 0 for integers.
fn random_like(tree: &Leaves, key: Key) -> Leaves {
    let mut index = 0;
    tree.map_leaves(|leaf| {
        index += 1;
        match is_float(leaf) {
            true => {
                key.fold_in(index).uniform(leaf.shape(), leaf.dtype(), leaf.device()) * 2.0 - 1.0
            }
            false => leaf.zeros_like(),
        }
    })
}

/// Returns the inner product over all float tensors.
fn float_dot(a: &Leaves, b: &Leaves) -> Tensor {
    let only = |t: &Leaves| t.iter().filter(|t| is_float(t)).cloned().collect::<Vec<_>>();
    tree_dot(&only(a), &only(b))
}

fn read(t: &Tensor) -> f64 {
    t.item().unwrap_or_else(|e| panic!("{e}"))
}

fn floats(leaves: &Leaves) -> Vec<f64> {
    let read = |t: &Tensor| t.to_f64s().unwrap_or_else(|e| panic!("{e}"));
    leaves.iter().filter(|t| is_float(t)).flat_map(read).collect()
}

/// Compares numbers; the error names the largest difference.
fn compare(
    name_a: &str,
    name_b: &str,
    a: &[f64],
    b: &[f64],
    level: usize,
    tolerance: Tolerance,
) -> Result<(), String> {
    let scale = b.iter().fold(0f64, |m, v| m.max(v.abs()));
    let allowed = tolerance.absolute + tolerance.relative * scale;
    let worst =
        a.iter().zip(b).enumerate().map(|(i, (a, b))| (i, (a - b).abs())).fold((0, 0.0), |m, e| {
            // NaN differences must fail the check.
            if e.1 <= m.1 { m } else { e }
        });
    if worst.1 <= allowed && a.len() == b.len() {
        return Ok(());
    }
    let mut report = format!("order {level}: {name_a} and {name_b} differ by {:.3e}", worst.1);
    let (i, _) = worst;
    write!(
        report,
        " (allowed {allowed:.3e}) at element {i}: {:?} against {:?}",
        a.get(i),
        b.get(i)
    )
    .expect("writing to a string");
    Err(report)
}
