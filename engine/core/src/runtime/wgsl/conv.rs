//! Convolutions by kernels of our own: which, and those for groups of few channels.

use burn_backend::DType;
use burn_wgpu::{CubeTensor, Wgpu, into_contiguous};
use cubecl::server::Handle;
use prospr_shaders::Arithmetic;

use super::geometry::{Geometry, Tap};
use super::{Class, arithmetic, class, floats, gpu, launch, output, soft, sum_parts};
use crate::Precision;
use crate::ir::{Conv, ConvKind};
use crate::runtime::device::SOFTWARE_LOOP_LIMIT;
use crate::runtime::fallback;

/// Floats of the largest packed operand: the portable 128 MiB of a binding. What would exceed it is left to Burn.
pub(super) const LARGEST_PACKED: usize = 1 << 25;

/// A convolution or one of its gradients. The kernel is chosen by shapes and the device's class alone.
pub(in crate::runtime) fn convolve(
    conv: &Conv,
    a: CubeTensor,
    b: CubeTensor,
    precision: Precision,
) -> CubeTensor {
    let class = class(&a);
    let geometry = Geometry::of(conv);
    let few = geometry.groups > 1 && geometry.rows.max(geometry.channels) < 4;
    if class != Class::Gpu && !few && soft::packed_floats(&geometry) > LARGEST_PACKED {
        return fallback::convolve::<Wgpu>(conv, a, b, Some(SOFTWARE_LOOP_LIMIT));
    }
    let (a, b) = (into_contiguous(a), into_contiguous(b));
    let shape = match conv.kind {
        ConvKind::Forward => conv.y,
        ConvKind::InputGrad => conv.x,
        ConvKind::WeightGrad => conv.w,
    };
    let out = output(&a.client, &a.device, &shape, DType::F32);
    let run = match (conv.kind, class) {
        (ConvKind::WeightGrad, _) if few => weight_grad_direct,
        (_, _) if few => direct,
        (ConvKind::WeightGrad, Class::Gpu) => gpu::weight_grad,
        (_, Class::Gpu) => gpu::convolve,
        (ConvKind::WeightGrad, Class::Software { .. }) => soft::weight_grad,
        (_, Class::Software { .. }) => soft::convolve,
    };
    let call = Call {
        geometry,
        class,
        arithmetic: arithmetic(&a, precision),
        out: &out,
        a: &a.handle,
        b: &b.handle,
    };
    run(&call);
    out
}

/// Everything that a launcher needs. Operands: images and weight, or for the weight gradient images and gradient.
pub(super) struct Call<'a> {
    pub geometry: Geometry,
    pub class: Class,
    /// Of the tiled product of GPUs; the other kernels multiply in f32.
    pub arithmetic: Arithmetic,
    pub out: &'a CubeTensor,
    pub a: &'a Handle,
    pub b: &'a Handle,
}

/// Taps as kernels that check bounds take them.
pub(super) fn list(taps: &[Tap]) -> Vec<u32> {
    let mut list: Vec<u32> = taps
        .iter()
        .flat_map(|tap| [tap.row as u32, tap.column as u32, tap.index as u32, 0])
        .collect();
    if list.is_empty() {
        list = vec![0; 4]; // a binding must not be empty
    }
    list
}

/// `shaders/wgsl/conv_direct.wgsl`
fn direct(call: &Call) {
    let g = &call.geometry;
    for pass in &g.passes {
        let plane = g.out_size[0] * g.out_size[1];
        let mut params: Vec<u32> = [
            g.images * pass.pixels(),
            pass.pixels(),
            pass.grid[1],
            g.groups,
            g.rows,
            g.channels,
            pass.step[0],
            pass.step[1],
            g.size[0],
            g.size[1],
            g.w_group,
            g.w_row,
            g.w_channel,
            1,
            pass.base,
            g.groups * g.rows * plane,
            0,
            plane,
            pass.line,
            pass.column,
            pass.taps.len(),
            0,
            0,
            0,
        ]
        .map(|n| n as u32)
        .to_vec();
        params.extend(list(&pass.taps));
        let outputs = g.images * pass.pixels() * g.groups * g.rows;
        let buffers = [call.b, call.a, &call.out.handle];
        launch(
            &call.out.client,
            prospr_shaders::CONV_DIRECT,
            outputs as u64,
            &buffers,
            &params,
        );
    }
}

/// `shaders/wgsl/weight_grad_direct.wgsl`, and the sum of its parts.
fn weight_grad_direct(call: &Call) {
    let (g, client) = (&call.geometry, &call.out.client);
    let pass = &g.passes[0];
    let pixels = g.images * pass.pixels();
    let weights = g.groups * g.rows * g.channels * g.taps;
    let (a_part, parts) = divide(pixels, (1 << 16) / weights, 64, SOFTWARE_LOOP_LIMIT);
    let mut params: Vec<u32> = [
        pixels,
        pass.pixels(),
        pass.grid[1],
        g.groups,
        g.rows,
        g.channels,
        pass.step[0],
        pass.step[1],
        g.size[0],
        g.size[1],
        a_part,
        parts,
        g.taps,
        0,
        0,
        0,
    ]
    .map(|n| n as u32)
    .to_vec();
    params.extend(list(&pass.taps));
    in_parts(call, weights, parts, |out| {
        launch(
            client,
            prospr_shaders::WEIGHT_GRAD_DIRECT,
            (parts * weights) as u64,
            &[call.b, call.a, out],
            &params,
        );
    });
}

/// Divides `length` into about `wished` parts, each of `least` at least and `most` at most: the length of a part
/// and their number.
pub(super) fn divide(length: usize, wished: usize, least: usize, most: usize) -> (usize, usize) {
    let a_part = length.div_ceil(wished.max(1)).max(least).min(most);
    (a_part, length.div_ceil(a_part))
}

/// Lets `run` write parts of a weight's gradient, and adds them in their order.
pub(super) fn in_parts(call: &Call, weights: usize, parts: usize, run: impl FnOnce(&Handle)) {
    if parts == 1 {
        return run(&call.out.handle);
    }
    let client = &call.out.client;
    let memory = floats(client, parts * weights);
    run(&memory);
    sum_parts(client, &memory, weights, parts, &call.out.handle);
}
