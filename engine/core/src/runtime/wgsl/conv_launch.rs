//! Arguments of the functions that launch convolutions, and what these functions share.

use burn_wgpu::CubeTensor;
use cubecl::server::Handle;
use prospr_shaders::{Arithmetic, OutLayout};

use super::geometry::{Geometry, Pass, Tap};
use super::{Class, floats, sum_parts};

/// Arguments of the functions that launch a convolution.
pub(super) struct Launch<'a> {
    pub geometry: Geometry,
    pub class: Class,
    /// Numeric type of the tiled product of GPUs; the other kernels multiply in f32.
    pub arithmetic: Arithmetic,
    pub out: &'a CubeTensor,
    /// The images that are gathered from: the input, or for the input gradient the output's gradient.
    pub images: &'a Handle,
    /// The weight, or for the weight gradient the output's gradient.
    pub factor: &'a Handle,
}

/// Layout of the pixels of a pass in the result of a forward convolution or an input gradient.
pub(super) fn out_layout(g: &Geometry, pass: &Pass) -> OutLayout {
    let plane = g.out_size[0] * g.out_size[1];
    OutLayout {
        base: pass.base as u32,
        group: (g.rows * plane) as u32,
        image: (g.groups * g.rows * plane) as u32,
        row: plane as u32,
        line: pass.line as u32,
        column: pass.column as u32,
    }
}

/// Converts taps to parameters of the kernels that check bounds: row, column and index.
pub(super) fn taps(pass: &Pass) -> Vec<[i32; 4]> {
    let tap = |tap: &Tap| [tap.row as i32, tap.column as i32, tap.index as i32, 0];
    pass.taps.iter().map(tap).collect()
}

/// Divides `length` into about `parts` equal parts, each between `least` and `most` long. Returns the length of a part
/// and the number of parts.
pub(super) fn divide(length: usize, parts: usize, least: usize, most: usize) -> (usize, usize) {
    let part = length.div_ceil(parts.max(1)).max(least).min(most);
    (part, length.div_ceil(part))
}

/// Computes a weight gradient in parts: calls `run` to write the parts one after another into a buffer, and then adds
/// them in a fixed order. A single part goes directly to the output.
pub(super) fn in_parts(launch: &Launch, weights: usize, parts: usize, run: impl FnOnce(&Handle)) {
    if parts == 1 {
        return run(&launch.out.handle);
    }
    let client = &launch.out.client;
    let memory = floats(client, parts * weights);
    run(&memory);
    sum_parts(client, &memory, weights, parts, &launch.out.handle);
}
