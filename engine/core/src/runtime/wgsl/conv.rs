//! Convolutions by the engine's own kernels: the choice of the kernel, and the kernels for groups of few channels.

use burn_backend::DType;
use burn_wgpu::{CubeTensor, Wgpu, into_contiguous};
use prospr_shaders::{ConvDirect, WeightGradDirect};

use super::conv_launch::{Launch, divide, in_parts, out_layout, taps};
use super::geometry::Geometry;
use super::rasterizer::LARGEST_PACKED;
use super::{Class, arithmetic, class, gpu, launch_with_array, output, rasterizer, words};
use crate::Precision;
use crate::ir::{Conv, ConvKind};
use crate::runtime::device::SOFTWARE_LOOP_LIMIT;
use crate::runtime::fallback;

/// Computes a convolution or one of its gradients. Shapes and the device's class alone decide which kernel runs.
pub(in crate::runtime) fn convolve(
    conv: &Conv,
    a: CubeTensor,
    b: CubeTensor,
    precision: Precision,
) -> CubeTensor {
    let class = class(&a);
    let geometry = Geometry::of(conv);
    let few = geometry.groups > 1 && geometry.rows.max(geometry.channels) < 4;
    if class != Class::Gpu && !few && rasterizer::packed_floats(&geometry) > LARGEST_PACKED {
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
        (ConvKind::WeightGrad, Class::SoftwareRasterizer { .. }) => rasterizer::weight_grad,
        (_, Class::SoftwareRasterizer { .. }) => rasterizer::convolve,
    };
    run(&Launch {
        geometry,
        class,
        arithmetic: arithmetic(&a, precision),
        out: &out,
        images: &a.handle,
        factor: &b.handle,
    });
    out
}

/// Launches `shaders/wgsl/conv_direct.wgsl`.
fn direct(launch: &Launch) {
    let g = &launch.geometry;
    for pass in &g.passes {
        let pixels = g.images * pass.pixels();
        let params = ConvDirect {
            pixels: pixels as u32,
            grid: pass.pixels() as u32,
            grid_width: pass.grid[1] as u32,
            groups: g.groups as u32,
            rows: g.rows as u32,
            channels: g.channels as u32,
            stride: words(pass.stride),
            size: words(g.size),
            w_group: g.w_group as u32,
            w_row: g.w_row as u32,
            w_channel: g.w_channel as u32,
            w_tap: 1,
            out_layout: out_layout(g, pass),
            tap_count: pass.taps.len() as u32,
            ..ConvDirect::default()
        };
        launch_with_array(
            &launch.out.client,
            &params,
            &taps(pass),
            pixels * g.groups * g.rows,
            &[launch.factor, launch.images, &launch.out.handle],
        );
    }
}

/// Launches `shaders/wgsl/weight_grad_direct.wgsl`, and the kernel that adds its parts.
fn weight_grad_direct(launch: &Launch) {
    let (g, client) = (&launch.geometry, &launch.out.client);
    let pass = &g.passes[0];
    let pixels = g.images * pass.pixels();
    let weights = g.groups * g.rows * g.channels * g.taps;
    let (part_pixels, parts) = divide(pixels, (1 << 16) / weights, 64, SOFTWARE_LOOP_LIMIT);
    let params = WeightGradDirect {
        pixels: pixels as u32,
        grid: pass.pixels() as u32,
        grid_width: pass.grid[1] as u32,
        groups: g.groups as u32,
        rows: g.rows as u32,
        channels: g.channels as u32,
        stride: words(pass.stride),
        size: words(g.size),
        part_pixels: part_pixels as u32,
        parts: parts as u32,
        tap_count: g.taps as u32,
        ..WeightGradDirect::default()
    };
    in_parts(launch, weights, parts, |out| {
        let buffers = [launch.factor, launch.images, out];
        launch_with_array(client, &params, &taps(pass), parts * weights, &buffers);
    });
}
