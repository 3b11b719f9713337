//! Launching our own WGSL kernels on Burn's tensors.

use burn_backend::cubecl::Device as CubeDevice;
use burn_backend::ops::FloatTensorOps;
use burn_backend::{DType, FloatDType, Shape, TensorMetadata};
use burn_wgpu::{
    CubeDim, CubeTensor, KernelSource, SourceKernel, SourceTemplate, Wgpu, into_contiguous,
};
use cubecl::client::Client;
use cubecl::prelude::{CubeCount, ExecutionMode, KernelId};
use cubecl::server::{Handle, KernelArguments};
use prospr_shaders::{Arithmetic, Gemm, LANES, Shader, Soft};

mod backend;
mod conv;
mod geometry;
mod gpu;
pub(super) mod images;
mod matmul;
mod soft;
#[cfg(test)]
mod tests;

pub(super) use conv::convolve;
pub(super) use matmul::matmul;

use super::device::Class;
use crate::Precision;

/// A kernel of ours: a fixed source, or a template and what it is made for.
#[derive(Clone, Copy)]
enum Kernel {
    Fixed(Shader),
    Soft(Soft),
    Gemm(Gemm),
}

impl Kernel {
    fn workgroup(&self) -> u32 {
        match self {
            Kernel::Fixed(shader) => shader.workgroup,
            Kernel::Soft(_) => LANES,
            Kernel::Gemm(gemm) => gemm.workgroup(),
        }
    }
}

impl KernelSource for Kernel {
    fn source(&self) -> SourceTemplate {
        match self {
            Kernel::Fixed(shader) => SourceTemplate::new(shader.source),
            Kernel::Soft(soft) => SourceTemplate::new(soft.source()),
            Kernel::Gemm(gemm) => SourceTemplate::new(gemm.source()),
        }
    }
    fn id(&self) -> KernelId {
        // Unchecked: no counter is put into loops. All of ours end, and bounds are never checked for us.
        let id = KernelId::new::<Self>().mode(ExecutionMode::Unchecked);
        match *self {
            Kernel::Fixed(shader) => id.info(shader.name),
            Kernel::Soft(soft) => id.info(soft),
            Kernel::Gemm(gemm) => id.info(gemm),
        }
    }
    fn lang(&self) -> &'static str {
        "wgsl"
    }
}

/// The class of a tensor's device, on which the choice of kernels depends beside the shapes.
fn class(tensor: &CubeTensor) -> Class {
    #[cfg(test)]
    if let Some((class, _)) = tests::forced() {
        return class;
    }
    super::device::class_of(&tensor.device)
}

/// In what a tensor's device multiplies.
fn arithmetic(tensor: &CubeTensor, precision: Precision) -> Arithmetic {
    #[cfg(test)]
    if let Some((_, arithmetic)) = tests::forced() {
        return arithmetic;
    }
    super::device::arithmetic_of(&tensor.device, precision)
}

/// Runs a kernel with `invocations` invocations at least; `params` is bound after the buffers.
pub(super) fn launch(
    client: &Client,
    shader: Shader,
    invocations: u64,
    buffers: &[&Handle],
    params: &[u32],
) {
    let (x, y) = shader.dispatch(invocations);
    dispatch(client, Kernel::Fixed(shader), (x, y, 1), buffers, params);
}

/// Runs so many workgroups of a kernel; `params` is bound after the buffers.
fn dispatch(
    client: &Client,
    kernel: Kernel,
    (x, y, z): (u32, u32, u32),
    buffers: &[&Handle],
    params: &[u32],
) {
    let params = client.create_from_slice(bytemuck::cast_slice(params));
    let bindings = buffers
        .iter()
        .copied()
        .chain([&params])
        .map(|h| h.clone().binding())
        .collect();
    let arguments = KernelArguments::new().with_buffers(bindings);
    let source = SourceKernel::new(kernel, CubeDim::new_1d(kernel.workgroup()));
    client.launch(Box::new(source), CubeCount::Static(x, y, z), arguments);
}

/// Runs a generated kernel with `groups` workgroups at least.
pub(super) fn launch_generated<'a>(
    client: &Client,
    source: impl KernelSource,
    workgroup: u32,
    groups: u64,
    buffers: impl Iterator<Item = &'a Handle>,
) {
    let (x, y) = prospr_shaders::dispatch("a generated kernel", groups);
    let kernel = SourceKernel::new(source, CubeDim::new_1d(workgroup));
    let bindings = buffers.map(|h| h.clone().binding()).collect();
    client.launch(
        Box::new(kernel),
        CubeCount::Static(x, y, 1),
        KernelArguments::new().with_buffers(bindings),
    );
}

/// Uninitialised memory for `count` floats.
fn floats(client: &Client, count: usize) -> Handle {
    client.empty(count * size_of::<f32>())
}

/// One axis of a [`pack`]: its size in the packed layout, zeros before, and size and stride of the source.
#[derive(Clone, Copy)]
struct Axis {
    size: usize,
    low: usize,
    limit: usize,
    stride: usize,
}

/// An axis with zeros at its end only.
fn axis(size: usize, limit: usize, stride: usize) -> Axis {
    Axis {
        size,
        low: 0,
        limit,
        stride,
    }
}

/// `shaders/wgsl/pack.wgsl`; the last axis' size is a multiple of four.
fn pack(client: &Client, x: &Handle, mut axes: [Axis; 5]) -> Handle {
    let count: usize = axes.iter().map(|a| a.size).product();
    let out = floats(client, count);
    axes[4].size /= 4;
    let shares = axes[4].size.div_ceil(8);
    let invocations = count / 4 / axes[4].size * shares;
    let mut params = vec![invocations as u32, shares as u32];
    for a in axes {
        params.extend([a.size, a.low, a.limit, a.stride].map(|n| n as u32));
    }
    launch(
        client,
        prospr_shaders::PACK,
        invocations as u64,
        &[x, &out],
        &params,
    );
    out
}

/// `shaders/wgsl/sum_parts.wgsl`
fn sum_parts(client: &Client, parts: &Handle, count: usize, number: usize, out: &Handle) {
    launch(
        client,
        prospr_shaders::SUM_PARTS,
        count as u64,
        &[parts, out],
        &[count as u32, number as u32],
    );
}

/// Memory for a result.
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

/// `shaders/wgsl/threefry.wgsl`
pub(super) fn uniform(key: [u32; 2], shape: &[usize], device: &CubeDevice) -> CubeTensor {
    let client = device.client();
    let out = output(&client, device, shape, DType::F32);
    let count = crate::ir::shape::numel(shape) as u32;
    let params = [key[0], key[1], count, 0];
    launch(
        &client,
        prospr_shaders::THREEFRY,
        u64::from(count.div_ceil(2)),
        &[&out.handle],
        &params,
    );
    out
}

/// `shaders/wgsl/scatter_add.wgsl`, in passes over at most `loop_limit` values each.
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
        let end = (start + pass).min(len);
        let params = [outer, len, inner, size, start, end].map(|n| n as u32);
        let lines = (outer * inner) as u64;
        launch(
            &values.client,
            prospr_shaders::SCATTER_ADD,
            lines,
            &buffers,
            &params,
        );
    }
    out
}

/// `shaders/wgsl/copy.wgsl`, of a multiple of four floats.
pub(super) fn copy(from: &CubeTensor, to: &CubeTensor) {
    let vectors = from.shape().num_elements() / 4;
    launch(
        &from.client,
        prospr_shaders::COPY,
        vectors as u64,
        &[&from.handle, &to.handle],
        &[vectors as u32, 0, 0, 0],
    );
}
