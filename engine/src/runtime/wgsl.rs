//! Launching our own WGSL kernels on Burn's tensors.

use burn_backend::cubecl::Device as CubeDevice;
use burn_backend::ops::FloatTensorOps;
use burn_backend::{DType, FloatDType, Shape, TensorMetadata};
use burn_wgpu::{
    CubeDim, CubeTensor, KernelSource, SourceKernel, SourceTemplate, Wgpu, into_contiguous,
};
use cubecl::client::Client;
use cubecl::prelude::{CubeCount, KernelId};
use cubecl::server::{Handle, KernelArguments};
use prospr_shaders::Shader;

struct Source(Shader);

impl KernelSource for Source {
    fn source(&self) -> SourceTemplate {
        SourceTemplate::new(self.0.source)
    }
    fn id(&self) -> KernelId {
        KernelId::new::<Self>().info(self.0.name)
    }
    fn lang(&self) -> &'static str {
        "wgsl"
    }
}

/// Runs a kernel with `invocations` invocations at least; `params` is bound after the buffers.
pub(super) fn launch(
    client: &Client,
    shader: Shader,
    invocations: u64,
    buffers: &[&Handle],
    params: &[u32],
) {
    let params = client.create_from_slice(bytemuck::cast_slice(params));
    let buffers = buffers.iter().copied().chain([&params]);
    let groups = invocations.div_ceil(u64::from(shader.workgroup));
    dispatch(client, Source(shader), shader.workgroup, groups, buffers);
}

/// Runs a kernel with `groups` workgroups at least.
pub(super) fn dispatch<'a>(
    client: &Client,
    source: impl KernelSource,
    workgroup: u32,
    groups: u64,
    buffers: impl Iterator<Item = &'a Handle>,
) {
    let (x, y) = prospr_shaders::grid(groups);
    let kernel = SourceKernel::new(source, CubeDim::new_1d(workgroup));
    client.launch(
        Box::new(kernel),
        CubeCount::Static(x, y, 1),
        KernelArguments::new().with_buffers(buffers.map(|h| h.clone().binding()).collect()),
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
    let count = crate::shape::numel(shape) as u32;
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
