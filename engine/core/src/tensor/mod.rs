//! [`Tensor`]: a lazy handle on one node of the graph.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use self::call::Call;
use self::trace::{Trace, open_traces};
use crate::ir::Op;
use crate::ir::shape::{numel, physical};
use crate::runtime::{self, Backed, Buffer, Device, Meta, Value};

pub(crate) mod call;
mod eval;
#[cfg(test)]
pub(crate) mod tests;
pub(crate) mod trace;

use crate::{DType, Element, Error, Result};
#[cfg(test)]
pub(crate) use eval::programs;
pub use eval::{EvalStats, eval, eval_stats, flops, flops_by_weight};
pub(crate) use eval::{Traced, eval_scratch, evaluations};

/// A multi-dimensional array that is computed when it is needed.
///
/// A tensor is a handle: cloning it is cheap and shares the value. Operations record a node and return at once;
/// [`Tensor::eval`] and the reading methods compute. After evaluation the recorded history is dropped, unless a
/// transform that is still running its closure may need it.
///
/// Operations panic if the shapes, types or devices of their inputs do not fit; the message names the operation.
#[derive(Clone)]
pub struct Tensor(pub(crate) Arc<Node>);

/// One recorded operation. Inputs are always older than the node, so ids are a topological order.
pub(crate) struct Node {
    pub id: u64,
    pub op: Op,
    pub shape: Box<[usize]>,
    pub dtype: DType,
    pub device: Device,
    /// The traces that this node depends on and that were open when it was made.
    pub traces: Vec<Arc<Trace>>,
    body: Mutex<Body>,
}

/// State of a node that evaluation changes: it drops the inputs and sets the value.
#[derive(Default)]
pub(crate) struct Body {
    pub inputs: Vec<Tensor>,
    pub call: Option<Arc<Call>>,
    pub value: Option<Buffer>,
}

static NEXT_ID: AtomicU64 = AtomicU64::new(1);

/// Returns the smallest id of the nodes that are recorded from now on.
pub(crate) fn id_mark() -> u64 {
    NEXT_ID.load(Ordering::Relaxed)
}

impl Tensor {
    /// Records a node. It belongs to `own_trace` and to the open traces of its inputs.
    pub(crate) fn record(
        op: Op,
        inputs: Vec<Tensor>,
        shape: impl Into<Box<[usize]>>,
        dtype: DType,
        device: Device,
        own_trace: Option<Arc<Trace>>,
    ) -> Tensor {
        let mut traces: Vec<Arc<Trace>> = own_trace.into_iter().collect();
        traces.extend(open_traces(&inputs));
        let body = Body { inputs, ..Body::default() };
        Tensor::with_body(op, body, shape, dtype, device, traces)
    }

    /// Makes a node with the given state and traces.
    pub(crate) fn with_body(
        op: Op,
        body: Body,
        shape: impl Into<Box<[usize]>>,
        dtype: DType,
        device: Device,
        traces: Vec<Arc<Trace>>,
    ) -> Tensor {
        Tensor(Arc::new(Node {
            id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
            op,
            shape: shape.into(),
            dtype,
            device,
            traces,
            body: Mutex::new(body),
        }))
    }

    /// Records an operation on `inputs`, on their device.
    ///
    /// # Panics
    /// If the inputs live on different devices.
    #[track_caller]
    pub(crate) fn apply(
        op: Op,
        inputs: &[&Tensor],
        shape: impl Into<Box<[usize]>>,
        dtype: DType,
    ) -> Tensor {
        let device = inputs[0].device().clone();
        for input in &inputs[1..] {
            assert!(
                *input.device() == device,
                "{}: inputs live on different devices ({} and {}); move one with `to_device`",
                op.name(),
                device,
                input.device()
            );
        }
        let inputs = inputs.iter().map(|&t| t.clone()).collect();
        Tensor::record(op, inputs, shape, dtype, device, None)
    }

    pub(crate) fn id(&self) -> u64 {
        self.0.id
    }

    pub(crate) fn body(&self) -> MutexGuard<'_, Body> {
        self.0.body.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    pub(crate) fn inputs(&self) -> Vec<Tensor> {
        self.body().inputs.clone()
    }

    /// Returns true if a transform that is still running may differentiate through this node.
    pub(crate) fn is_traced(&self) -> bool {
        self.0.traces.iter().any(|t| t.is_open())
    }

    /// Makes a tensor of a computed value.
    pub(crate) fn from_buffer(
        value: Buffer,
        shape: &[usize],
        dtype: DType,
        device: &Device,
    ) -> Tensor {
        let body = Body { value: Some(value), ..Body::default() };
        Tensor::with_body(Op::Data, body, shape, dtype, device.clone(), Vec::new())
    }

    /// Returns a tensor of the same shape, type and device without a value, for tracing.
    pub(crate) fn stand_in(&self) -> Tensor {
        let device = self.device().clone();
        Tensor::with_body(Op::Data, Body::default(), self.shape(), self.dtype(), device, Vec::new())
    }

    // ---- creation ----

    /// Creates a tensor of the given values in row-major order.
    ///
    /// # Errors
    /// [`Error::Length`] if the values do not fill the shape; [`Error::Device`] if the device cannot hold
    /// the type (f64 on a GPU).
    pub fn new<T: Element>(values: &[T], shape: &[usize], device: &Device) -> Result<Tensor> {
        Tensor::from_bytes(&T::to_bytes(values), shape, T::DTYPE, device)
    }

    /// Creates a tensor of the given native-endian bytes in row-major order.
    ///
    /// # Errors
    /// As [`Tensor::new`].
    pub fn from_bytes(
        bytes: &[u8],
        shape: &[usize],
        dtype: DType,
        device: &Device,
    ) -> Result<Tensor> {
        let (expected, found) = (numel(shape), bytes.len() / dtype.size());
        if expected != found || !bytes.len().is_multiple_of(dtype.size()) {
            return Err(Error::Length { shape: shape.to_vec(), expected, found });
        }
        let value = runtime::upload(bytes, &physical(shape), dtype, device)?;
        Ok(Tensor::from_buffer(value, shape, dtype, device))
    }

    /// Creates a one-element tensor without axes.
    pub fn scalar(value: f64, dtype: DType, device: &Device) -> Tensor {
        Tensor::full(value, &[], dtype, device)
    }

    /// Creates a tensor filled with one value. It takes no memory until an operation needs all elements in memory.
    pub fn full(value: f64, shape: &[usize], dtype: DType, device: &Device) -> Tensor {
        device.check_dtype(dtype);
        Tensor::record(Op::Full(value), Vec::new(), shape, dtype, device.clone(), None)
    }

    /// Creates a tensor of zeros.
    pub fn zeros(shape: &[usize], dtype: DType, device: &Device) -> Tensor {
        Tensor::full(0.0, shape, dtype, device)
    }

    /// Creates a tensor of ones.
    pub fn ones(shape: &[usize], dtype: DType, device: &Device) -> Tensor {
        Tensor::full(1.0, shape, dtype, device)
    }

    /// Creates zeros of this tensor's shape, type and device.
    pub fn zeros_like(&self) -> Tensor {
        self.full_like(0.0)
    }

    /// Creates ones of this tensor's shape, type and device.
    pub fn ones_like(&self) -> Tensor {
        self.full_like(1.0)
    }

    /// Creates a tensor of this tensor's shape, type and device, filled with one value.
    pub fn full_like(&self, value: f64) -> Tensor {
        Tensor::full(value, self.shape(), self.dtype(), self.device())
    }

    /// Creates the list of the integers `0..n` as I32.
    pub fn arange(n: usize, device: &Device) -> Tensor {
        Tensor::record(Op::Iota, Vec::new(), vec![n], DType::I32, device.clone(), None)
    }

    // ---- properties ----

    /// Returns the shape; empty for a scalar.
    pub fn shape(&self) -> &[usize] {
        &self.0.shape
    }

    /// Returns the size of one axis; negative axes count from the back.
    #[track_caller]
    pub fn size(&self, axis: isize) -> usize {
        self.shape()[crate::ir::shape::axis("size", axis, self.shape())]
    }

    /// Returns the number of axes.
    pub fn rank(&self) -> usize {
        self.shape().len()
    }

    /// Returns the number of elements.
    pub fn numel(&self) -> usize {
        numel(self.shape())
    }

    /// Returns the element type.
    pub fn dtype(&self) -> DType {
        self.0.dtype
    }

    /// Returns the device that holds the tensor.
    pub fn device(&self) -> &Device {
        &self.0.device
    }

    /// Returns the bytes of all elements.
    pub fn bytes(&self) -> u64 {
        (self.numel() * self.dtype().size()) as u64
    }

    // ---- computing and reading ----

    /// Computes the value now.
    ///
    /// # Errors
    /// [`Error::Device`] if the device fails.
    pub fn eval(&self) -> Result<()> {
        eval(std::slice::from_ref(self))
    }

    /// Returns the physical shape and the type.
    pub(crate) fn meta(&self) -> Meta {
        Meta { shape: physical(self.shape()), dtype: self.dtype() }
    }

    /// Computes the value and returns its buffer.
    pub(crate) fn value(&self) -> Result<Buffer> {
        self.eval()?;
        Ok(self.body().value.clone().expect("evaluated"))
    }

    /// Returns the values in row-major order as native-endian bytes.
    ///
    /// # Errors
    /// [`Error::Device`] if the device fails.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let value = self.value()?;
        runtime::download(&value, &physical(self.shape()), self.dtype(), self.device())
    }

    /// Returns the values in row-major order.
    ///
    /// # Errors
    /// [`Error::DType`] if `T` is another type than the tensor's; [`Error::Device`] if the device fails.
    pub fn to_vec<T: Element>(&self) -> Result<Vec<T>> {
        if T::DTYPE != self.dtype() {
            return Err(Error::DType { expected: T::DTYPE, found: self.dtype() });
        }
        Ok(T::from_bytes(&self.to_bytes()?))
    }

    /// Returns the values in row-major order, converted to f64.
    ///
    /// # Errors
    /// [`Error::Device`] if the device fails.
    pub fn to_f64s(&self) -> Result<Vec<f64>> {
        let bytes = self.to_bytes()?;
        Ok(match self.dtype() {
            DType::F64 => f64::from_bytes(&bytes),
            DType::F32 => f32::from_bytes(&bytes).into_iter().map(f64::from).collect(),
            DType::I32 => i32::from_bytes(&bytes).into_iter().map(f64::from).collect(),
            DType::U8 | DType::Bool => bytes.into_iter().map(f64::from).collect(),
        })
    }

    /// Returns the value of a one-element tensor.
    ///
    /// # Errors
    /// [`Error::Length`] if there is not exactly one element; [`Error::Device`] if the device fails.
    pub fn item(&self) -> Result<f64> {
        match self.to_f64s()?.as_slice() {
            [value] => Ok(*value),
            values => Err(Error::Length { shape: vec![], expected: 1, found: values.len() }),
        }
    }

    /// Copies the values to another device. Derivatives do not flow through the copy.
    ///
    /// # Errors
    /// [`Error::Device`] if either device fails or the other cannot hold the type.
    pub fn to_device(&self, device: &Device) -> Result<Tensor> {
        if self.device() == device {
            return Ok(self.clone());
        }
        Tensor::from_bytes(&self.to_bytes()?, self.shape(), self.dtype(), device)
    }

    /// Returns the value as a backend's primitive tensor; a constant is written to memory for all elements.
    pub(crate) fn primitive<B: Backed>(&self) -> Result<Value<B>> {
        let value = self.value()?;
        if let Some(value) = B::unwrap(&value.storage) {
            return Ok(value.clone());
        }
        let dense =
            Tensor::from_bytes(&self.to_bytes()?, self.shape(), self.dtype(), self.device())?;
        Ok(B::take(dense.value()?.storage).expect("uploaded to the tensor's own device"))
    }

    /// Moves the computed value to host memory; it returns to the device when it is next used.
    pub(crate) fn offload(&self) -> Result<()> {
        let value = self.value()?;
        let offloaded =
            runtime::offload(&value, &physical(self.shape()), self.dtype(), self.device())?;
        self.body().value = Some(offloaded);
        Ok(())
    }
}

impl Drop for Node {
    /// Drops the history in a loop, because recursion would overflow the stack for a chain of a million nodes.
    fn drop(&mut self) {
        let body = self.body.get_mut().unwrap_or_else(|poisoned| poisoned.into_inner());
        let mut pending = std::mem::take(&mut body.inputs);
        while let Some(tensor) = pending.pop() {
            if let Some(mut node) = Arc::into_inner(tensor.0) {
                let body = node.body.get_mut().unwrap_or_else(|poisoned| poisoned.into_inner());
                pending.append(&mut body.inputs);
            }
        }
    }
}

impl fmt::Debug for Tensor {
    /// Writes shape, type, device and operation, but not the values, so that printing computes nothing.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = if self.body().value.is_some() { "evaluated" } else { "lazy" };
        write!(
            f,
            "Tensor({} {:?} on {}, {}, {state})",
            self.dtype(),
            self.shape(),
            self.device(),
            self.0.op.name()
        )
    }
}
