//! Unrolled loops that can be differentiated in the memory of one step.
//!
//! The gradient through `M` steps is a chain of vector–Jacobian products of the step function, so no `M`-step graph is
//! needed: if the states are kept, each step's graph can be built, used and freed by itself (Chen et al., "Training
//! deep nets with sublinear memory cost", 2016). `Every(k)` recomputes each step at most twice; it is not the optimal
//! schedule, which is Griewank and Walther's revolve.

use std::collections::HashSet;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use super::checkpoint::{Function, When, replayed};
use super::jit::{Compiled, JitCache};
use crate::tensor::id_mark;
use crate::{Error, Result, Tensor, Tree};

/// Checkpointing policy of an [`unroll`]: the values kept for its derivative. All policies compute the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// Every intermediate value: fastest, and memory grows with each step's whole graph.
    Keep,
    /// Each step's state; its graph is built again in the reverse sweep. Memory is one step's graph plus
    /// `M + 1` states.
    PerStep,
    /// The state at every k-th step; segments are run again. Memory is one step's graph plus about
    /// `M/k + k` states.
    Every(usize),
    /// The fastest of the others that keeps at most this many bytes between the steps.
    Auto(u64),
}

impl Policy {
    /// Returns this policy with the kept states in host memory instead of the device's.
    pub fn host_offload(self) -> UnrollOptions {
        UnrollOptions { policy: self, host_offload: true }
    }
}

/// Parses `keep`, `per-step`, `every:K` or `auto:BYTES`.
impl FromStr for Policy {
    type Err = String;

    fn from_str(text: &str) -> Result<Policy, String> {
        let (name, number) = match text.split_once(':') {
            Some((name, number)) => (name, number.parse::<u64>().ok()),
            None => (text, None),
        };
        match (name, number) {
            ("keep", None) => Ok(Policy::Keep),
            ("per-step", None) => Ok(Policy::PerStep),
            ("every", Some(steps)) if steps > 0 => Ok(Policy::Every(steps as usize)),
            ("auto", Some(bytes)) => Ok(Policy::Auto(bytes)),
            _ => Err(format!(
                "`{text}` is no unroll policy; write keep, per-step, every:K or auto:BYTES"
            )),
        }
    }
}

/// A [`Policy`], and the memory in which states are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnrollOptions {
    /// Checkpointing policy.
    pub policy: Policy,
    /// True if kept states are moved to host memory.
    pub host_offload: bool,
}

impl From<Policy> for UnrollOptions {
    fn from(policy: Policy) -> Self {
        UnrollOptions { policy, host_offload: false }
    }
}

/// Runs `state ← step(state, x)` over all `xs` and returns the last state and each step's outputs
/// (JAX's `scan`, with a checkpointing policy).
///
/// Each step is computed before the next begins. `step` must do the same each time: steps that nothing is
/// differentiated through are traced once for each value of the static fields of `state` and `x` and replayed, unless
/// they draw random numbers or ask for values. If a float that `step` returns in addition to the state, such as the
/// loss, is not finite, the unroll stops.
///
/// ```
/// use prospr_engine::{Device, Error, Policy, Tensor, try_value_and_grad, unroll};
/// let device = Device::cpu();
/// let rates = vec![Tensor::new(&[0.1], &[1], &device)?; 3];
/// // Gradient descent on w²: w ← w − 0.1 · 2w, three times; d w₃² / d w₀ = 2 · 0.8⁶ · w₀.
/// let descend = |w: &Tensor, rate: &Tensor| (w - w * 2.0 * rate, w.square().sum());
/// let f = move |w: &Tensor| {
///     let (w, losses) = unroll(descend, w, &rates, Policy::PerStep)?;
///     Ok::<_, Error>((w.square().sum(), losses))
/// };
/// let ((_, losses), dw) = try_value_and_grad(f)(&Tensor::new(&[1.0], &[1], &device)?)?;
/// assert!((dw.item()? - 2.0 * 0.8f64.powi(6)).abs() < 1e-12);
/// assert_eq!(losses.len(), 3);
/// # Ok::<(), Error>(())
/// ```
///
/// # Errors
/// [`Error::NonFinite`] names the step; [`Error::Budget`] if no policy fits `Auto`'s bytes; [`Error::Device`].
///
/// # Panics
/// If `Every(0)` is asked for.
pub fn unroll<S: Tree, X: Tree, Y: Tree>(
    step: impl Fn(&S, &X) -> (S, Y) + Send + Sync + 'static,
    init: &S,
    xs: &[X],
    policy: impl Into<UnrollOptions>,
) -> Result<(S, Vec<Y>)> {
    let options = policy.into();
    let step: Step<S, X, Y> = Arc::new(move |(state, x): &(S, X)| Ok(step(state, x)));
    init.eval_leaves()?;
    let policy = match options.policy {
        Policy::Auto(budget) => choose(&step, init, xs, budget)?,
        policy => policy,
    };
    let steps = Steps {
        step,
        host_offload: options.host_offload,
        cache: Arc::default(),
        replayable: Arc::new(AtomicBool::new(true)),
    };
    match policy {
        Policy::Keep => steps.run(init, at_hand(xs), 0, None),
        Policy::PerStep | Policy::Auto(_) => steps.run(init, at_hand(xs), 0, Some(When::AtOnce)),
        Policy::Every(interval) => {
            assert!(interval > 0, "unroll: `Every(0)` keeps no state; use at least 1");
            steps.run_in_segments(init, xs, interval)
        }
    }
}

/// Runs `state ← step(state, x)` as [`unroll`] does, without derivatives: the `xs` are taken one by one, and no state
/// is kept. The memory needed is that of one step, whatever their number.
///
/// ```
/// use prospr_engine::{Device, Error, Tensor, stream};
/// let device = Device::cpu();
/// let rates = (0..3).map(|_| Tensor::new(&[0.1], &[1], &device));
/// let descend = |w: &Tensor, rate: &Tensor| (w - w * 2.0 * rate, w.square().sum());
/// let (w, losses) = stream(descend, &Tensor::new(&[1.0], &[1], &device)?, rates)?;
/// assert!((w.item()? - 0.8f64.powi(3)).abs() < 1e-12);
/// assert_eq!(losses.len(), 3);
/// # Ok::<(), Error>(())
/// ```
///
/// # Errors
/// Those of [`unroll`], and the first error of `xs`.
///
/// # Panics
/// If a running transform differentiates through `init`: its history would grow with each step.
pub fn stream<S: Tree, X: Tree, Y: Tree, E: From<Error>>(
    step: impl Fn(&S, &X) -> (S, Y) + Send + Sync + 'static,
    init: &S,
    xs: impl IntoIterator<Item = Result<X, E>>,
) -> Result<(S, Vec<Y>), E> {
    assert!(
        !init.leaves().iter().any(Tensor::is_traced),
        "stream: nothing is differentiated through its steps; use `unroll`"
    );
    init.eval_leaves()?;
    let steps = Steps {
        step: Arc::new(move |(state, x): &(S, X)| Ok(step(state, x))),
        host_offload: false,
        cache: Arc::default(),
        replayable: Arc::new(AtomicBool::new(true)),
    };
    steps.run(init, xs, 0, None)
}

type Step<S, X, Y> = Function<(S, X), (S, Y)>;

/// Iterator over the inputs of a slice.
fn at_hand<X: Tree>(xs: &[X]) -> impl Iterator<Item = Result<X>> {
    xs.iter().cloned().map(Ok)
}

/// A step function, its compiled plans, and the place of kept states.
struct Steps<S, X, Y> {
    step: Step<S, X, Y>,
    host_offload: bool,
    cache: Arc<JitCache<(S, Y)>>,
    /// Becomes false at the first step that cannot be replayed.
    replayable: Arc<AtomicBool>,
}

type CompiledStep<S, Y> = Arc<Compiled<(S, Y)>>;

impl<S: Tree, X: Tree, Y: Tree> Steps<S, X, Y> {
    /// Returns the compiled step, or `None` if it is differentiated through or cannot be replayed.
    fn compiled(&self, input: &(S, X)) -> Result<Option<CompiledStep<S, Y>>> {
        if !self.replayable.load(Relaxed) || input.leaves().iter().any(Tensor::is_traced) {
            return Ok(None);
        }
        let compiled = self.cache.record(&*self.step, input)?;
        self.replayable.store(compiled.is_some(), Relaxed);
        Ok(compiled)
    }

    /// Runs the steps one by one, as calls if `replay` is given; `first` is the index of the first step.
    fn run<E: From<Error>>(
        &self,
        init: &S,
        xs: impl IntoIterator<Item = Result<X, E>>,
        first: usize,
        replay: Option<When>,
    ) -> Result<(S, Vec<Y>), E> {
        let mut state = init.clone();
        let mut ys = Vec::new();
        for (index, x) in xs.into_iter().enumerate() {
            let input = (state, x?);
            let (next, y) = match (self.compiled(&input)?, replay) {
                (Some(compiled), _) => compiled.call(&input.leaves())?,
                (None, Some(when)) => replayed(&self.step, &input, when)?,
                (None, None) => (self.step)(&input)?,
            };
            let mut results = next.leaves();
            y.collect_leaves(&mut results);
            crate::eval(&results)?;
            check_finite(&y, first + index)?;
            if self.host_offload && replay.is_some() {
                input
                    .0
                    .leaves()
                    .iter()
                    .filter(|leaf| leaf.is_traced())
                    .try_for_each(Tensor::offload)?;
            }
            state = next;
            ys.push(y);
        }
        Ok((state, ys))
    }

    /// Runs segments of `interval` steps, each as one call.
    fn run_in_segments(&self, init: &S, xs: &[X], interval: usize) -> Result<(S, Vec<Y>)> {
        let mut state = init.clone();
        let mut ys = Vec::with_capacity(xs.len());
        for (index, segment) in xs.chunks(interval).enumerate() {
            let steps = Steps {
                step: self.step.clone(),
                host_offload: self.host_offload,
                cache: self.cache.clone(),
                replayable: self.replayable.clone(),
            };
            let run: Function<(S, Vec<X>), (S, Vec<Y>)> = Arc::new(move |(state, xs)| {
                steps.run(state, at_hand(xs), index * interval, Some(When::AtOnce))
            });
            let input = (state, segment.to_vec());
            let (next, segment_ys) = replayed(&run, &input, When::AtOnce)?;
            if self.host_offload {
                input
                    .0
                    .leaves()
                    .iter()
                    .filter(|leaf| leaf.is_traced())
                    .try_for_each(Tensor::offload)?;
            }
            state = next;
            ys.extend(segment_ys);
        }
        Ok((state, ys))
    }
}

/// Returns an error if a float output of a step is not finite.
fn check_finite<Y: Tree>(y: &Y, step: usize) -> Result<()> {
    for (index, leaf) in y.leaves().into_iter().enumerate() {
        if !leaf.dtype().is_float() {
            continue;
        }
        let finite = if leaf.numel() == 1 {
            leaf.item()?.is_finite()
        } else {
            leaf.all_finite().item()? != 0.0
        };
        if !finite {
            let what = if index == 0 { "loss".to_string() } else { format!("output {index}") };
            return Err(Error::NonFinite { step, what });
        }
    }
    Ok(())
}

/// Returns the fastest policy that keeps at most `budget` bytes.
fn choose<S: Tree, X: Tree, Y: Tree>(
    step: &Step<S, X, Y>,
    init: &S,
    xs: &[X],
    budget: u64,
) -> Result<Policy> {
    let Some(x) = xs.first() else {
        return Ok(Policy::Keep);
    };
    let count = xs.len() as u64;
    let state: u64 = init.leaves().iter().map(Tensor::bytes).sum();
    let graph = {
        let mark = id_mark();
        let (next, y) = step(&(init.clone(), x.clone()))?;
        let mut outputs = next.leaves();
        y.collect_leaves(&mut outputs);
        graph_bytes(&outputs, mark)
    };
    let segments = |k: u64| (count.div_ceil(k) + k + 1) * state;
    if count * graph <= budget {
        Ok(Policy::Keep)
    } else if (count + 1) * state <= budget {
        Ok(Policy::PerStep)
    } else if let Some(k) = (2..=count).find(|&k| segments(k) <= budget) {
        Ok(Policy::Every(k as usize))
    } else {
        let needed = (1..=count).map(segments).min().unwrap_or(state);
        Err(Error::Budget { what: format!("an unroll of {count} steps"), needed, budget })
    }
}

/// Returns the bytes of all values in the history of `outputs` with ids from `mark` on, without views and constants.
fn graph_bytes(outputs: &[Tensor], mark: u64) -> u64 {
    let mut seen = HashSet::new();
    let mut stack = outputs.to_vec();
    let mut bytes = 0;
    while let Some(tensor) = stack.pop() {
        if tensor.id() < mark || !seen.insert(tensor.id()) {
            continue;
        }
        if tensor.0.op.is_stored() {
            bytes += tensor.bytes();
        }
        stack.extend(tensor.inputs());
    }
    bytes
}
