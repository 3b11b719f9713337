//! Exchange of primitive tensors with Burn without a copy, and engine functions as operations of Burn programs.
//!
//! `burn-autodiff` has first derivatives only. [`apply`] makes any engine function, for example one that uses
//! [`hvp`](crate::hvp), [`unroll`](crate::unroll) or nested [`grad`](crate::grad)s, a single operation of
//! an `Autodiff<B>` graph, whose gradient is the engine's.

use std::fmt;
use std::sync::Arc;

use burn_autodiff::Autodiff;
use burn_autodiff::checkpoint::base::Checkpointer;
use burn_autodiff::checkpoint::strategy::NoCheckpointing;
use burn_autodiff::grads::Gradients;
use burn_autodiff::ops::{Backward, Ops, OpsKind};
use burn_backend::tensor::FloatTensor;
use burn_backend::{Backend, TensorMetadata};
use burn_flex::Flex;
use burn_wgpu::Wgpu;

use crate::runtime::{Backed, Buffer, Value};
use crate::{DType, Device, Result, Tensor, vjp};

/// A Burn backend that shares its tensors with the engine: `Flex` and `Wgpu`.
pub trait Shared: Backend {
    /// Returns a Burn tensor as an engine tensor that shares its memory.
    ///
    /// # Panics
    /// If the tensor is neither F32 nor F64.
    fn import(tensor: FloatTensor<Self>) -> Tensor;

    /// Returns an engine tensor as a Burn tensor that shares its memory. A scalar gets the shape `[1]`.
    ///
    /// # Errors
    /// [`Error::Device`](crate::Error::Device) if computing it fails.
    ///
    /// # Panics
    /// If the tensor's type is no float or it is on another backend's device.
    fn export(tensor: &Tensor) -> Result<FloatTensor<Self>>;
}

impl Shared for Flex {
    fn import(tensor: FloatTensor<Self>) -> Tensor {
        import::<Flex>(tensor, &Device::cpu())
    }
    fn export(tensor: &Tensor) -> Result<FloatTensor<Self>> {
        assert!(
            tensor.device().is_cpu(),
            "export: the tensor is on {}, not on the CPU",
            tensor.device()
        );
        export::<Flex>(tensor)
    }
}

impl Shared for Wgpu {
    fn import(tensor: FloatTensor<Self>) -> Tensor {
        let device = Device::of_burn(&tensor.device());
        import::<Wgpu>(tensor, &device)
    }
    fn export(tensor: &Tensor) -> Result<FloatTensor<Self>> {
        assert!(!tensor.device().is_cpu(), "export: the tensor is on the CPU, not on a GPU");
        export::<Wgpu>(tensor)
    }
}

/// Wraps a Burn tensor and charges it to the device's memory account.
fn import<B: Backed>(tensor: FloatTensor<B>, device: &Device) -> Tensor {
    let dtype = match tensor.dtype() {
        burn_backend::DType::F32 => DType::F32,
        burn_backend::DType::F64 => DType::F64,
        other => panic!("import: F32 or F64 is needed, found {other:?}"),
    };
    let shape = tensor.shape().to_vec();
    let buffer = Buffer::track::<B>(Value::Float(tensor), device, &[]);
    Tensor::from_buffer(buffer, &shape, dtype, device)
}

/// Returns the primitive of a float tensor.
fn export<B: Backed>(tensor: &Tensor) -> Result<FloatTensor<B>> {
    assert!(
        tensor.dtype().is_float(),
        "export: a float tensor is needed, found {}",
        tensor.dtype()
    );
    match tensor.primitive::<B>()? {
        Value::Float(primitive) => Ok(primitive),
        _ => unreachable!("a float tensor has a float primitive"),
    }
}

/// Applies an engine function to tensors of a Burn autodiff graph, as one operation with the engine's exact
/// gradient.
///
/// ```
/// use burn_autodiff::Autodiff;
/// use burn_flex::{Flex, FlexDevice};
/// use prospr_engine::{Tensor, bridge, hvp};
/// type B = Autodiff<Flex>;
/// # use burn_backend::{TensorData, backend::{AutodiffBackend, Backend}, ops::FloatTensorOps};
/// let x = B::float_from_data(TensorData::from([1.0f32, 2.0]), &FlexDevice);
/// let x = B::float_set_require_grad(x, true);
/// // The curvature of x⁴ along (1, 1), inside a Burn program: Σ (12 x²)
/// let curvature = |[x]: &[Tensor; 1]| hvp(|x: &Tensor| x.powf(4.0).sum(), x, &x.ones_like()).sum();
/// let y = bridge::apply::<Flex, 1>(curvature, [x.clone()])?;
/// let gradient = B::grad(&x, &B::backward(y)).unwrap();
/// assert_eq!(gradient.into_data().try_to_vec::<f32>().unwrap(), [24.0, 48.0]);
/// # Ok::<(), prospr_engine::Error>(())
/// ```
///
/// # Errors
/// [`Error::Device`](crate::Error::Device) if the device fails.
///
/// # Panics
/// If `f` returns a tensor that is not of a float type, or the device fails in the backward pass.
pub fn apply<B: Shared, const N: usize>(
    f: impl Fn(&[Tensor; N]) -> Tensor,
    inputs: [FloatTensor<Autodiff<B>>; N],
) -> Result<FloatTensor<Autodiff<B>>> {
    let nodes = inputs.each_ref().map(|input| input.node());
    let x = inputs.map(|input| B::import(input.into_primitive()));
    let (y, pullback) = vjp(f, &x);
    let output = B::export(&y)?;
    let shape = y.shape().to_vec();
    let prepared = EngineOp.prepare::<NoCheckpointing>(nodes).compute_bound().stateful();
    Ok(match prepared {
        OpsKind::Tracked(prep) => {
            let pull = move |ct: &Tensor| pullback.call(&ct.reshape(&shape)).to_vec();
            prep.finish(Pull(Arc::new(pull)), output)
        }
        OpsKind::UnTracked(prep) => prep.finish(output),
    })
}

/// An engine function as an operation of Burn's autodiff graph.
#[derive(Debug)]
struct EngineOp;

/// Pullback of one call of [`apply`].
#[derive(Clone)]
struct Pull(Arc<PullFn>);

type PullFn = dyn Fn(&Tensor) -> Vec<Tensor> + Send + Sync;

impl fmt::Debug for Pull {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pull")
    }
}

impl<B: Shared, const N: usize> Backward<B, N> for EngineOp {
    type State = Pull;

    fn backward(self, ops: Ops<Pull, N>, grads: &mut Gradients, _: &mut Checkpointer) {
        let ct = B::import(grads.consume::<B>(&ops.node));
        let cts = (ops.state.0)(&ct);
        crate::eval(&cts).unwrap_or_else(|e| panic!("{e}"));
        for (parent, ct) in ops.parents.into_iter().zip(cts) {
            if let Some(parent) = parent {
                grads.register::<B>(parent.id, B::export(&ct).unwrap_or_else(|e| panic!("{e}")));
            }
        }
    }
}
