//! Launch functions of the kernels for pooling, padding and images.

use burn_backend::cubecl::Device as CubeDevice;
use burn_backend::{DType, TensorMetadata};
use burn_wgpu::{CubeTensor, into_contiguous};
use prospr_shaders::{MaxPoolIndex, Motion, Pad, PaddedAxis, PlaceImages, PoolGather, PoolScatter};

use super::{divisor, launch, output, words};
use crate::ir::Window;
use crate::ir::images::Batch;
use crate::runtime::backend::Padding;

/// Returns the indices of the largest values of pooling windows, by `shaders/wgsl/max_pool_index.wgsl`.
pub(in crate::runtime) fn max_pool_index(x: CubeTensor, window: &Window) -> CubeTensor {
    let x = into_contiguous(x);
    let [n, c, h, w]: [usize; 4] = x.shape().dims();
    let [oh, ow] = window.output;
    let out = output(&x.client, &x.device, &[n, c, oh, ow], DType::I32);
    let (count, o) = (n * c * oh * ow, window.options);
    let [kernel_height, kernel_width] = words(o.kernel);
    let [stride_height, stride_width] = words(o.stride);
    let [padding_height, padding_width] = words(o.padding);
    let params = MaxPoolIndex {
        len: count as u32,
        out_plane: divisor(oh * ow),
        out_row: divisor(ow),
        height: h as u32,
        width: w as u32,
        kernel_height,
        kernel_width,
        stride_height,
        stride_width,
        padding_height,
        padding_width,
    };
    launch(&x.client, &params, count, &[&x.handle, &out.handle]);
    out
}

/// Returns the pixels at the indices, by `shaders/wgsl/pool_gather.wgsl`.
pub(in crate::runtime) fn pool_gather(x: CubeTensor, indices: CubeTensor) -> CubeTensor {
    let (x, indices) = (into_contiguous(x), into_contiguous(indices));
    let [_, _, h, w]: [usize; 4] = x.shape().dims();
    let [n, c, oh, ow]: [usize; 4] = indices.shape().dims();
    let out = output(&x.client, &x.device, &[n, c, oh, ow], x.dtype);
    let count = n * c * oh * ow;
    let params = PoolGather { len: count as u32, out_size: divisor(oh * ow), size: (h * w) as u32 };
    let buffers = [&x.handle, &indices.handle, &out.handle];
    launch(&x.client, &params, count, &buffers);
    out
}

/// Computes the transpose of [`pool_gather`], by `shaders/wgsl/pool_scatter.wgsl`.
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
    let [kernel_height, kernel_width] = words(o.kernel);
    let [padding_height, padding_width] = words(o.padding);
    let params = PoolScatter {
        len: count as u32,
        plane: divisor(h * w),
        row: divisor(w),
        stride_height: divisor(o.stride[0]),
        stride_width: divisor(o.stride[1]),
        out_height: oh as u32,
        out_width: ow as u32,
        kernel_height,
        kernel_width,
        padding_height,
        padding_width,
    };
    let buffers = [&dy.handle, &indices.handle, &out.handle];
    launch(&dy.client, &params, count, &buffers);
    out
}

/// Pads with zeros, by `shaders/wgsl/pad.wgsl`. Returns `None` for elements that do not have four bytes, and for more
/// than six axes.
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
    // The last axis first; axes beyond the rank are not read.
    let mut axes = [PaddedAxis::default(); 6];
    for (axis, padding) in axes.iter_mut().zip(padding.iter().rev()) {
        *axis = PaddedAxis {
            out_size: divisor(padding.out_size),
            step: divisor(padding.step),
            size: padding.size as u32,
            low: padding.low as u32,
        };
    }
    let [axis0, axis1, axis2, axis3, axis4, axis5] = axes;
    let params = Pad {
        len: count as u32,
        rank: padding.len() as u32,
        axis0,
        axis1,
        axis2,
        axis3,
        axis4,
        axis5,
    };
    launch(&x.client, &params, count, &[&x.handle, &out.handle]);
    Some(out)
}

/// Makes F32 images from bytes, by `shaders/wgsl/place_images.wgsl`.
pub(in crate::runtime) fn place_images(batch: &Batch<'_>, device: &CubeDevice) -> CubeTensor {
    let client = device.client();
    let [c, h, w] = batch.shape;
    let n = batch.moves.len();
    let out = output(&client, device, &[n, c, h, w], DType::F32);
    let mut bytes = batch.pixels.to_vec();
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    let moves = batch.moves.iter().map(|m| Motion {
        down: m.down,
        right: m.right,
        mirrored: m.mirrored.into(),
    });
    let moves: Vec<Motion> = moves.collect();
    let bytes = client.create_from_slice(&bytes);
    let moves = client.create_from_slice(bytemuck::cast_slice(&moves));
    let tables = client.create_from_slice(bytemuck::cast_slice(batch.tables));
    let count = batch.pixels.len();
    let params = PlaceImages {
        len: count as u32,
        image: divisor(c * h * w),
        plane: divisor(h * w),
        row: divisor(w),
        channels: c as u32,
        height: h as u32,
    };
    let buffers = [&bytes, &moves, &tables, &out.handle];
    launch(&client, &params, count, &buffers);
    out
}
