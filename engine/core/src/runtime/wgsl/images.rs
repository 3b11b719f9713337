//! Launching the kernels of pools, padding and images.

use burn_backend::cubecl::Device as CubeDevice;
use burn_backend::{DType, TensorMetadata};
use burn_wgpu::{CubeTensor, into_contiguous};
use prospr_shaders as shaders;

use super::{launch, output};
use crate::ir::Window;
use crate::ir::images::Batch;
use crate::runtime::backend::Padding;

/// Of kernels whose workgroups of 64 compute 512 outputs.
fn invocations(outputs: usize) -> u64 {
    (outputs.div_ceil(512) * 64) as u64
}

/// Uniforms: numbers, and numbers to divide by.
#[derive(Default)]
struct Uniforms(Vec<u32>);

impl Uniforms {
    fn numbers<const N: usize>(mut self, numbers: [usize; N]) -> Uniforms {
        self.0.extend(numbers.map(|n| n as u32));
        self
    }

    fn divisors<const N: usize>(mut self, numbers: [usize; N]) -> Uniforms {
        let divisors = numbers.map(|n| shaders::divisor(n as u32));
        self.0.extend(divisors.concat());
        self
    }
}

/// `shaders/wgsl/max_pool_index.wgsl`
pub(in crate::runtime) fn max_pool_index(x: CubeTensor, window: &Window) -> CubeTensor {
    let x = into_contiguous(x);
    let [n, c, h, w]: [usize; 4] = x.shape().dims();
    let [oh, ow] = window.output;
    let out = output(&x.client, &x.device, &[n, c, oh, ow], DType::I32);
    let (count, o) = (n * c * oh * ow, window.options);
    let uniforms = Uniforms::default()
        .numbers([count])
        .divisors([oh * ow, ow])
        .numbers([h, w])
        .numbers(o.kernel)
        .numbers(o.stride)
        .numbers(o.padding);
    launch(
        &x.client,
        shaders::MAX_POOL_INDEX,
        invocations(count),
        &[&x.handle, &out.handle],
        &uniforms.0,
    );
    out
}

/// `shaders/wgsl/pool_gather.wgsl`
pub(in crate::runtime) fn pool_gather(x: CubeTensor, indices: CubeTensor) -> CubeTensor {
    let (x, indices) = (into_contiguous(x), into_contiguous(indices));
    let [_, _, h, w]: [usize; 4] = x.shape().dims();
    let [n, c, oh, ow]: [usize; 4] = indices.shape().dims();
    let out = output(&x.client, &x.device, &[n, c, oh, ow], x.dtype);
    let count = n * c * oh * ow;
    let uniforms = Uniforms::default()
        .numbers([count])
        .divisors([oh * ow])
        .numbers([h * w]);
    launch(
        &x.client,
        shaders::POOL_GATHER,
        invocations(count),
        &[&x.handle, &indices.handle, &out.handle],
        &uniforms.0,
    );
    out
}

/// `shaders/wgsl/pool_scatter.wgsl`
pub(in crate::runtime) fn pool_scatter(
    dy: CubeTensor,
    indices: CubeTensor,
    window: &Window,
    [h, w]: [usize; 2],
) -> CubeTensor {
    let (dy, indices) = (into_contiguous(dy), into_contiguous(indices));
    let [n, c, oh, ow]: [usize; 4] = dy.shape().dims();
    let out = output(&dy.client, &dy.device, &[n, c, h, w], dy.dtype);
    let (count, o) = (n * c * h * w, window.options);
    let uniforms = Uniforms::default()
        .numbers([count])
        .divisors([h * w, w])
        .divisors(o.stride)
        .numbers([oh, ow])
        .numbers(o.kernel)
        .numbers(o.padding);
    launch(
        &dy.client,
        shaders::POOL_SCATTER,
        invocations(count),
        &[&dy.handle, &indices.handle, &out.handle],
        &uniforms.0,
    );
    out
}

/// `shaders/wgsl/pad.wgsl`, if the kernel can: elements of four bytes, few axes.
pub(in crate::runtime) fn pad(
    x: CubeTensor,
    padding: &[Padding],
    shape: &[usize],
) -> Option<CubeTensor> {
    if x.dtype.size() != 4 || padding.len() > 6 {
        return None;
    }
    let x = into_contiguous(x);
    let out = output(&x.client, &x.device, shape, x.dtype);
    let count: usize = shape.iter().product();
    let mut uniforms = Uniforms::default().numbers([count, padding.len()]);
    for axis in padding.iter().rev() {
        uniforms = uniforms
            .divisors([axis.out_size, axis.step])
            .numbers([axis.size, axis.low]);
    }
    // All six axes are there.
    uniforms.0.resize(2 + 6 * 8, 1);
    let buffers = [&x.handle, &out.handle];
    launch(
        &x.client,
        shaders::PAD,
        invocations(count),
        &buffers,
        &uniforms.0,
    );
    Some(out)
}

/// `shaders/wgsl/place_images.wgsl`
pub(in crate::runtime) fn place_images(batch: &Batch<'_>, device: &CubeDevice) -> CubeTensor {
    let client = device.client();
    let [c, h, w] = batch.shape;
    let n = batch.moves.len();
    let out = output(&client, device, &[n, c, h, w], DType::F32);
    let mut bytes = batch.pixels.to_vec();
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    let moves: Vec<i32> = batch
        .moves
        .iter()
        .flat_map(|m| [m.down, m.right, m.mirrored.into()])
        .collect();
    let bytes = client.create_from_slice(&bytes);
    let moves = client.create_from_slice(bytemuck::cast_slice(&moves));
    let tables = client.create_from_slice(bytemuck::cast_slice(batch.tables));
    let uniforms = Uniforms::default()
        .numbers([batch.pixels.len()])
        .divisors([c * h * w, h * w, w])
        .numbers([c, h]);
    launch(
        &client,
        shaders::PLACE_IMAGES,
        invocations(batch.pixels.len()),
        &[&bytes, &moves, &tables, &out.handle],
        &uniforms.0,
    );
    out
}
