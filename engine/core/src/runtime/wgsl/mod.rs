//! Launch functions of the engine's own WGSL kernels, on Burn's tensors.

use burn_backend::cubecl::Device as CubeDevice;
use burn_backend::ops::FloatTensorOps;
use burn_backend::{DType, FloatDType, Shape, TensorMetadata};
use burn_wgpu::{
    CubeDim, CubeTensor, KernelSource, SourceKernel, SourceTemplate, Wgpu, into_contiguous,
};
use cubecl::client::Client;
use cubecl::prelude::{CubeCount, ExecutionMode, KernelId};
use cubecl::server::{Handle, KernelArguments};
use prospr_shaders::{
    Arithmetic, Divisor, FixedKernel, Gemm, LANES, PackedAxis, Rasterizer, Shader,
};

mod backend;
mod conv;
mod conv_launch;
mod geometry;
mod gpu;
pub(super) mod images;
mod matmul;
mod rasterizer;
#[cfg(test)]
mod tests;

pub(super) use conv::convolve;
pub(super) use matmul::matmul;

use super::device::Class;
use crate::Precision;

/// One of the engine's kernels: one of fixed source, or a specialisation of a template.
#[derive(Clone, Copy)]
enum WgslKernel {
    Fixed(Shader),
    Rasterizer(Rasterizer),
    Gemm(Gemm),
}

impl WgslKernel {
    fn workgroup(&self) -> u32 {
        match self {
            WgslKernel::Fixed(shader) => shader.workgroup,
            WgslKernel::Rasterizer(_) => LANES,
            WgslKernel::Gemm(gemm) => gemm.workgroup(),
        }
    }
}

impl KernelSource for WgslKernel {
    fn source(&self) -> SourceTemplate {
        match self {
            WgslKernel::Fixed(shader) => SourceTemplate::new(shader.source),
            WgslKernel::Rasterizer(rasterizer) => SourceTemplate::new(rasterizer.source()),
            WgslKernel::Gemm(gemm) => SourceTemplate::new(gemm.source()),
        }
    }
    fn id(&self) -> KernelId {
        // Unchecked: the compiler adds no counters to loops, all of which end, and no bounds checks.
        let id = KernelId::new::<Self>().mode(ExecutionMode::Unchecked);
        match *self {
            WgslKernel::Fixed(shader) => id.info(shader.name),
            WgslKernel::Rasterizer(rasterizer) => id.info(rasterizer),
            WgslKernel::Gemm(gemm) => id.info(gemm),
        }
    }
    fn lang(&self) -> &'static str {
        "wgsl"
    }
}

/// Returns the class of a tensor's device. The class and the shapes decide which kernel runs.
fn class(tensor: &CubeTensor) -> Class {
    #[cfg(test)]
    if let Some((class, _)) = tests::forced() {
        return class;
    }
    super::device::class_of(&tensor.device)
}

/// Returns the numeric type in which matrix products multiply on a tensor's device.
fn arithmetic(tensor: &CubeTensor, precision: Precision) -> Arithmetic {
    #[cfg(test)]
    if let Some((_, arithmetic)) = tests::forced() {
        return arithmetic;
    }
    super::device::arithmetic_of(&tensor.device, precision)
}

/// Runs a kernel on at least `items` items; its parameters are bound after the buffers.
pub(super) fn launch<K: FixedKernel>(
    client: &Client,
    params: &K,
    items: usize,
    buffers: &[&Handle],
) {
    launch_with_array(client, params, &[], items, buffers);
}

/// Runs a kernel as [`launch`] does, with a runtime-sized array at the end of the parameters.
fn launch_with_array<K: FixedKernel>(
    client: &Client,
    params: &K,
    array: &[K::Element],
    items: usize,
    buffers: &[&Handle],
) {
    let (x, y) = K::SHADER.dispatch(items);
    let kernel = WgslKernel::Fixed(K::SHADER);
    dispatch(client, kernel, (x, y, 1), buffers, &params.bytes(array));
}

/// Runs the given number of workgroups of a kernel; `params` is bound after the buffers.
fn dispatch(
    client: &Client,
    kernel: WgslKernel,
    workgroups: (u32, u32, u32),
    buffers: &[&Handle],
    params: &[u8],
) {
    let params = client.create_from_slice(params);
    let buffers = buffers.iter().copied().chain([&params]);
    submit(client, kernel, kernel.workgroup(), workgroups, buffers);
}

/// Runs at least `workgroups` workgroups of a generated kernel.
pub(super) fn launch_generated<'a>(
    client: &Client,
    source: impl KernelSource,
    workgroup: usize,
    workgroups: usize,
    buffers: impl Iterator<Item = &'a Handle>,
) {
    let (x, y) = prospr_shaders::dispatch("a generated kernel", workgroups);
    submit(client, source, workgroup as u32, (x, y, 1), buffers);
}

/// Submits a kernel to the device's queue, with buffers at bindings 0, 1, ….
fn submit<'a>(
    client: &Client,
    source: impl KernelSource,
    workgroup: u32,
    (x, y, z): (u32, u32, u32),
    buffers: impl Iterator<Item = &'a Handle>,
) {
    let kernel = SourceKernel::new(source, CubeDim::new_1d(workgroup));
    let bindings = buffers.map(|h| h.clone().binding()).collect();
    client.launch(
        Box::new(kernel),
        CubeCount::Static(x, y, z),
        KernelArguments::new().with_buffers(bindings),
    );
}

/// Returns sizes as parameters of kernels.
fn words<const N: usize>(sizes: [usize; N]) -> [u32; N] {
    sizes.map(|n| n as u32)
}

/// Returns a size to divide by as a parameter of kernels.
fn divisor(by: usize) -> Divisor {
    Divisor::new(by as u32)
}

/// Allocates uninitialised memory for `count` floats.
fn floats(client: &Client, count: usize) -> Handle {
    client.empty(count * size_of::<f32>())
}

/// One axis of a [`pack`]: its size in the packed layout, zeros before the source, and size and stride of the source.
#[derive(Clone, Copy)]
struct Axis {
    size: usize,
    low: usize,
    limit: usize,
    stride: usize,
}

/// Returns an axis with zeros at its end only.
fn axis(size: usize, limit: usize, stride: usize) -> Axis {
    Axis { size, low: 0, limit, stride }
}

/// Packs an array with `shaders/wgsl/pack.wgsl`; the size of the last axis is a multiple of four.
fn pack(client: &Client, x: &Handle, mut axes: [Axis; 5]) -> Handle {
    let count: usize = axes.iter().map(|a| a.size).product();
    let out = floats(client, count);
    axes[4].size /= 4;
    let shares = axes[4].size.div_ceil(8);
    let invocations = count / 4 / axes[4].size * shares;
    let params = prospr_shaders::Pack {
        count: invocations as u32,
        shares: shares as u32,
        axes: axes.map(|a| PackedAxis {
            size: a.size as u32,
            low: a.low as u32,
            limit: a.limit as u32,
            stride: a.stride as u32,
        }),
    };
    launch(client, &params, invocations, &[x, &out]);
    out
}

/// Adds `parts` arrays of `count` floats with `shaders/wgsl/sum_parts.wgsl`.
fn sum_parts(client: &Client, memory: &Handle, count: usize, parts: usize, out: &Handle) {
    let params = prospr_shaders::SumParts { count: count as u32, parts: parts as u32 };
    launch(client, &params, count, &[memory, out]);
}

/// Allocates a contiguous tensor, uninitialised.
pub(super) fn output(
    client: &Client,
    device: &CubeDevice,
    shape: &[usize],
    dtype: DType,
) -> CubeTensor {
    let shape = Shape::from(shape.to_vec());
    let handle = client.empty(shape.num_elements() * dtype.size());
    CubeTensor::new_contiguous(client.clone(), device.clone(), shape, handle, dtype)
}

/// Draws uniform numbers with `shaders/wgsl/threefry.wgsl`.
pub(super) fn uniform(key: [u32; 2], shape: &[usize], device: &CubeDevice) -> CubeTensor {
    let client = device.client();
    let out = output(&client, device, shape, DType::F32);
    let count = crate::ir::shape::numel(shape);
    let params = prospr_shaders::Threefry { key, count: count as u32, pad: 0 };
    launch(&client, &params, count, &[&out.handle]);
    out
}

/// Adds values at indices along `axis` to zeros of length `size` with `shaders/wgsl/scatter_add.wgsl`, in passes over
/// at most `loop_limit` values each.
pub(super) fn scatter_add(
    axis: usize,
    values: CubeTensor,
    indices: CubeTensor,
    size: usize,
    loop_limit: Option<usize>,
) -> CubeTensor {
    let (values, indices) = (into_contiguous(values), into_contiguous(indices));
    let mut shape: Vec<usize> = values.shape().to_vec();
    let outer: usize = shape[..axis].iter().product();
    let inner: usize = shape[axis + 1..].iter().product();
    let len = shape[axis];
    shape[axis] = size;
    let out = Wgpu::float_zeros(Shape::from(shape), &values.device, FloatDType::F32);
    let buffers = [&values.handle, &indices.handle, &out.handle];
    let pass = loop_limit.unwrap_or(len).max(1);
    for start in (0..len).step_by(pass) {
        let params = prospr_shaders::ScatterAdd {
            outer: outer as u32,
            len: len as u32,
            inner: inner as u32,
            size: size as u32,
            start: start as u32,
            end: (start + pass).min(len) as u32,
        };
        launch(&values.client, &params, outer * inner, &buffers);
    }
    out
}

/// Copies a multiple of four floats with `shaders/wgsl/copy.wgsl`.
pub(super) fn copy(from: &CubeTensor, to: &CubeTensor) {
    let vectors = from.shape().num_elements() / 4;
    let params = prospr_shaders::Copy { count: vectors as u32 };
    launch(&from.client, &params, vectors, &[&from.handle, &to.handle]);
}
