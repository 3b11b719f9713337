//! Launching the tiled product of GPUs.

use cubecl::client::Client;
use cubecl::server::Handle;
use prospr_shaders::{Arithmetic, Gemm, Operands, Tile};

use super::conv::{Call, divide, in_parts, list};
use super::geometry::Pass;
use super::soft::pack_weights;
use super::{Kernel, axis, dispatch, pack};

/// Invocations under way that keep a large GPU busy.
const INVOCATIONS_WANTED: usize = 1 << 15;
/// Slices of k that a weight gradient's part has at least and at most.
const SLICES: [usize; 2] = [16, 16_384];

/// The best tile for a product of these rows, depth and columns: the least padded work, weighed by how much a tile
/// makes of its loads and, where the depth is not `divisible` into parts, by how many invocations there are.
pub(super) fn choose(
    arithmetic: Arithmetic,
    [rows, depth, columns]: [usize; 3],
    products: usize,
    divisible: bool,
) -> Tile {
    let cost = |t: &Tile| {
        let tiles = products * rows.div_ceil(t.bm) * columns.div_ceil(t.bn);
        let work = (tiles * t.bm * t.bn * depth.next_multiple_of(t.bk)) as f64;
        let loads = 1.0 / t.tm as f64 + 1.0 / t.tn as f64 + 4.0 / t.bm as f64 + 4.0 / t.bn as f64;
        let idle = INVOCATIONS_WANTED as f64 / (tiles * t.threads()) as f64;
        work * (1.0 + loads) * if divisible { 1.0 } else { idle.max(1.0) }
    };
    let better = |a: &Tile, b: &Tile| cost(a).total_cmp(&cost(b));
    let tiles = arithmetic.tiles().into_iter();
    tiles.min_by(better).expect("there are tiles")
}

/// What `shaders/wgsl/gemm.wgsl` takes, in its order.
#[derive(Clone, Copy, Default)]
pub(super) struct Params {
    pub rows: usize,
    pub columns: usize,
    pub depth: usize,
    pub groups: usize,
    /// Group, k, row.
    pub left: [usize; 3],
    /// Group, k, column.
    pub right: [usize; 3],
    /// Pixels of an image, its width.
    pub grid: [usize; 2],
    pub step: [usize; 2],
    pub size: [usize; 2],
    pub channels: usize,
    pub depth_a_part: usize,
    /// Base, group, image, row, line, column.
    pub out: [usize; 6],
    pub taps: usize,
    pub left_tap: usize,
}

impl Params {
    /// Runs the product, `parts` times divided along k.
    pub fn run(
        &self,
        client: &Client,
        kernel: Gemm,
        parts: usize,
        buffers: &[&Handle],
        list: &[u32],
    ) {
        let row_tiles = self.rows.div_ceil(kernel.tile.bm);
        let column_tiles = self.columns.div_ceil(kernel.tile.bn);
        let mut params = vec![
            self.rows,
            self.columns,
            self.depth,
            row_tiles,
            column_tiles,
            self.groups,
        ];
        params.extend(self.left);
        params.extend(self.right);
        params.extend(self.grid);
        params.extend(self.step);
        params.extend(self.size);
        params.extend([self.channels, self.depth_a_part]);
        params.extend(self.out);
        params.extend([self.taps, self.left_tap]);
        let mut params: Vec<u32> = params.into_iter().map(|n| n as u32).collect();
        params.extend(list);
        let (x, y) = prospr_shaders::dispatch("gemm", (row_tiles * column_tiles) as u64);
        let z = (self.groups * parts) as u32;
        dispatch(client, Kernel::Gemm(kernel), (x, y, z), buffers, &params);
    }
}

/// Forward and input gradient.
pub(super) fn convolve(call: &Call) {
    let (g, client) = (&call.geometry, &call.out.client);
    // With few channels, slices of one tap would be mostly zeros. Only a forward pass has all taps in order.
    let flat = g.channels < 12 && g.taps > 1 && g.w_channel == g.taps;
    let depth = if flat {
        g.channels * g.taps
    } else {
        g.channels
    };
    let columns = g.images * g.passes[0].pixels();
    let tile = choose(call.arithmetic, [g.rows, depth, columns], g.groups, false);
    let rows = g.rows.next_multiple_of(tile.bm);
    let (w, left_tap, left_group) = if flat {
        let depth = depth.next_multiple_of(tile.bk);
        let axes = [
            axis(g.groups, g.groups, g.w_group),
            axis(depth, g.channels * g.taps, 1),
            axis(1, 1, 0),
            axis(1, 1, 0),
            axis(rows, g.rows, g.w_row),
        ];
        (pack(client, call.b, axes), 0, depth * rows)
    } else {
        let channels = g.channels.next_multiple_of(tile.bk);
        let w = pack_weights(client, call.b, g, channels, rows);
        (w, channels * rows, g.taps * channels * rows)
    };
    let plane = g.out_size[0] * g.out_size[1];
    for pass in &g.passes {
        let kernel = Gemm {
            operands: Operands::Convolution { flat },
            tile,
            runs: pass.in_one_piece()
                && plane % call.arithmetic.run() == 0
                && g.rows % call.arithmetic.step() == 0,
            arithmetic: call.arithmetic,
        };
        let params = Params {
            rows: g.rows,
            columns: g.images * pass.pixels(),
            depth: g.channels * g.taps,
            groups: g.groups,
            left: [left_group, rows, 1],
            grid: [pass.pixels(), pass.grid[1]],
            step: pass.step,
            size: g.size,
            channels: g.channels,
            out: out_strides(pass, g.rows, g.groups, plane),
            taps: pass.taps.len(),
            left_tap,
            ..Params::default()
        };
        let buffers = [&w, call.a, &call.out.handle];
        params.run(client, kernel, 1, &buffers, &list(&pass.taps));
    }
}

fn out_strides(pass: &Pass, rows: usize, groups: usize, plane: usize) -> [usize; 6] {
    [
        pass.base,
        rows * plane,
        groups * rows * plane,
        plane,
        pass.line,
        pass.column,
    ]
}

/// The weight gradient, divided over pixels.
pub(super) fn weight_grad(call: &Call) {
    let (g, client) = (&call.geometry, &call.out.client);
    let pass = &g.passes[0];
    let (columns, depth) = (g.channels * g.taps, g.images * pass.pixels());
    let tile = choose(call.arithmetic, [g.rows, depth, columns], g.groups, true);
    let tiles = g.groups * g.rows.div_ceil(tile.bm) * columns.div_ceil(tile.bn);
    let wished = 2 * INVOCATIONS_WANTED / (tiles * tile.threads()).max(1);
    let (slices, parts) = divide(depth.div_ceil(tile.bk), wished, SLICES[0], SLICES[1]);
    let params = Params {
        rows: g.rows,
        columns,
        depth,
        groups: g.groups,
        grid: [pass.pixels(), pass.grid[1]],
        step: pass.step,
        size: g.size,
        channels: g.channels,
        depth_a_part: slices * tile.bk,
        out: [0, g.rows * columns, 0, columns, 0, 0],
        taps: g.taps,
        ..Params::default()
    };
    let kernel = Gemm {
        operands: Operands::WeightGrad,
        tile,
        runs: columns % call.arithmetic.run() == 0 && g.rows % call.arithmetic.step() == 0,
        arithmetic: call.arithmetic,
    };
    in_parts(call, g.groups * g.rows * columns, parts, |out| {
        let buffers = [call.b, call.a, out];
        params.run(client, kernel, parts, &buffers, &list(&pass.taps));
    });
}
