//! Launching the kernels of pools, padding and images.

use burn_backend::cubecl::Device as CubeDevice;
use burn_backend::{DType, TensorMetadata};
use burn_wgpu::{CubeTensor, into_contiguous};
use prospr_shaders as shaders;

use super::wgsl::{launch, output};
use crate::images::Batch;
use crate::op::Window;
use crate::runtime::kernels::layout::Padding;

/// `shaders/wgsl/pool_gather.wgsl`
pub(super) fn pool_gather(x: CubeTensor, indices: CubeTensor) -> CubeTensor {
    let (x, indices) = (into_contiguous(x), into_contiguous(indices));
    let ([_, _, h, w], shape): ([usize; 4], [usize; 4]) =
        (x.shape().dims(), indices.shape().dims());
    let out = output(&x.client, &x.device, &shape, x.dtype);
    let count: usize = shape.iter().product();
    launch(
        &x.client,
        shaders::POOL_GATHER,
        count as u64,
        &[&x.handle, &indices.handle, &out.handle],
        &[count, h * w, shape[2] * shape[3], 0].map(|n| n as u32),
    );
    out
}

/// `shaders/wgsl/pool_scatter.wgsl`
pub(super) fn pool_scatter(
    dy: CubeTensor,
    indices: CubeTensor,
    window: &Window,
    [h, w]: [usize; 2],
) -> CubeTensor {
    let (dy, indices) = (into_contiguous(dy), into_contiguous(indices));
    let [n, c, oh, ow]: [usize; 4] = dy.shape().dims();
    let out = output(&dy.client, &dy.device, &[n, c, h, w], dy.dtype);
    let o = window.options;
    let mut params = vec![n * c, 0, h, w, oh, ow];
    params.extend([o.kernel, o.stride, o.padding].concat());
    let params: Vec<u32> = params.into_iter().map(|n| n as u32).collect();
    launch(
        &dy.client,
        shaders::POOL_SCATTER,
        (n * c * h * w) as u64,
        &[&dy.handle, &indices.handle, &out.handle],
        &params,
    );
    out
}

/// `shaders/wgsl/pad.wgsl`, if the kernel can: elements of four bytes, few axes.
pub(super) fn pad(x: CubeTensor, padding: &[Padding], shape: &[usize]) -> Option<CubeTensor> {
    let unused = 6usize.checked_sub(padding.len())?;
    if x.dtype.size() != 4 {
        return None;
    }
    let x = into_contiguous(x);
    let out = output(&x.client, &x.device, shape, x.dtype);
    let count: usize = shape.iter().product();
    let mut params = [1, 1, 0, 1].repeat(unused);
    for axis in padding {
        params.extend([axis.size, axis.out_size, axis.low, axis.step]);
    }
    params.push(count);
    let params: Vec<u32> = params.into_iter().map(|n| n as u32).collect();
    let buffers = [&x.handle, &out.handle];
    launch(&x.client, shaders::PAD, count as u64, &buffers, &params);
    Some(out)
}

/// `shaders/wgsl/place_images.wgsl`
pub(super) fn place_images(batch: &Batch<'_>, device: &CubeDevice) -> CubeTensor {
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
    launch(
        &client,
        shaders::PLACE_IMAGES,
        batch.pixels.len() as u64,
        &[&bytes, &moves, &tables, &out.handle],
        &[n, c, h, w].map(|n| n as u32),
    );
    out
}
