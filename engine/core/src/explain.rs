//! Descriptions of plans: kernels, bytes, FLOPs and peak memory, without running them.

use std::fmt;

use crate::graph::Kernel;
use crate::tensor::Traced;
use crate::{Precision, Result, Tensor, Tree};

/// Largest number of live values that an explanation lists.
const LARGEST: usize = 5;

/// Description of a function's plan.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Explanation {
    /// Number of operations recorded by the function.
    pub recorded: usize,
    /// Bytes that the operations would read and write one by one, without views.
    pub recorded_bytes: u64,
    /// The kernels of the plan, in order.
    pub kernels: Vec<Kernel>,
    /// Number of launches; some sums take two.
    pub launches: usize,
    /// Bytes of the inputs and captured tensors, which stay allocated.
    pub input_bytes: u64,
    /// Peak bytes of live values, inputs included, without the kernels' scratch memory.
    pub peak_bytes: u64,
    /// Index of the kernel at the peak, from 0.
    pub peak_at: usize,
    /// The largest live values at the peak: their operation and bytes.
    pub largest: Vec<(String, u64)>,
}

/// Describes the plan of a function for inputs of these shapes, without computing anything.
///
/// ```
/// use prospr_engine::{DType, Device, Tensor, explain};
/// let x = Tensor::ones(&[8, 100], DType::F32, &Device::cpu());
/// let plan = explain(|x: &Tensor| (x * 2.0 + 1.0).relu().sum_axes(&[1], false), &x)?;
/// assert_eq!(plan.kernels[0].what, "sum relu(add(mul(in0, 2), 1))");
/// # Ok::<(), prospr_engine::Error>(())
/// ```
///
/// # Errors
/// [`Error::Device`](crate::Error::Device) if `f` asks for the value of an input.
pub fn explain<X: Tree, Y: Tree>(f: impl FnOnce(&X) -> Y, x: &X) -> Result<Explanation> {
    let arguments: Vec<Tensor> = x.leaves().iter().map(Tensor::stand_in).collect();
    let mut rest = arguments.iter().cloned();
    let y = f(&x.rebuild(&mut || rest.next().expect("one for each leaf")));
    let traced = Traced::new(&arguments, &y.leaves(), Precision::F32)?;
    let plan = &traced.plan;
    let input_bytes = plan.leaves.iter().map(|&leaf| plan.bytes[leaf]).sum();
    // A plan is on one device, unless the function consists of independent parts.
    let peaks = plan.devices.iter().map(|d| (d, plan.peak(d, |_| 0)));
    let (grown, at, mut largest) = match peaks.max_by_key(|(_, peak)| peak.grown) {
        Some((device, peak)) => (peak.grown, peak.at, plan.alive(device, peak.at)),
        None => (0, 0, Vec::new()),
    };
    largest.sort_by_key(|(_, bytes)| std::cmp::Reverse(*bytes));
    largest.truncate(LARGEST);
    Ok(Explanation {
        recorded: traced.recorded,
        recorded_bytes: traced.recorded_bytes,
        kernels: traced.plan.kernels().collect(),
        launches: traced.plan.launches(),
        input_bytes,
        peak_bytes: input_bytes + grown,
        peak_at: at,
        largest,
    })
}

impl fmt::Display for Explanation {
    /// Writes one line per kernel, then the totals.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mega = |bytes: u64| bytes as f64 / 1e6;
        for (index, kernel) in self.kernels.iter().enumerate() {
            let list = |shapes: &[Vec<usize>]| {
                shapes.iter().map(|s| format!("{s:?}")).collect::<Vec<_>>().join(" ")
            };
            write!(f, "{index:5} {:9.3} MB", mega(kernel.bytes))?;
            match kernel.flops {
                0 => write!(f, "{:15}", "")?,
                flops => write!(f, "{:9.3} GFLOP", flops as f64 / 1e9)?,
            }
            writeln!(f, "  {} → {}  {}", list(&kernel.inputs), list(&kernel.outputs), kernel.what)?;
        }
        let bytes: u64 = self.kernels.iter().map(|k| k.bytes).sum();
        let flops: u64 = self.kernels.iter().map(|k| k.flops).sum();
        writeln!(
            f,
            "recorded {} operations, {:.1} MB; compiled to {} kernels ({} launches), {:.1} MB, {:.3} GFLOP",
            self.recorded,
            mega(self.recorded_bytes),
            self.kernels.len(),
            self.launches,
            mega(bytes),
            flops as f64 / 1e9,
        )?;
        write!(f, "peak {:.1} MB of values, at kernel {}", mega(self.peak_bytes), self.peak_at)
    }
}
