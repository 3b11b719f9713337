//! Launch functions of the tiled matrix product for GPUs.

use cubecl::client::Client;
use cubecl::server::Handle;
use prospr_shaders::{Arithmetic, Gemm, GemmParams, Operands, OutLayout, Tile, WgslStruct};

use super::conv_launch::{Launch, divide, in_parts, out_layout, taps};
use super::rasterizer::pack_weights;
use super::{WgslKernel, axis, dispatch, pack, words};

/// Number of invocations that keeps a large GPU busy.
const INVOCATIONS_WANTED: usize = 1 << 15;
/// Smallest and largest number of slices of k in a part of a weight gradient.
const SLICES: [usize; 2] = [16, 16_384];

/// Chooses the tile for a product of these rows, depth and columns: the one with the fewest multiplications, padding
/// included, weighted by loads per multiplication and, unless the depth is `divisible` into parts, by idle
/// invocations.
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

/// Launches the tiled product, `shaders/wgsl/gemm.wgsl`, divided into `parts` along k. Fills in the numbers of tiles in
/// `params`.
pub(super) fn run(
    client: &Client,
    kernel: Gemm,
    params: GemmParams,
    taps: &[[i32; 4]],
    parts: usize,
    buffers: &[&Handle],
) {
    let row_tiles = params.rows.div_ceil(kernel.tile.bm as u32);
    let column_tiles = params.columns.div_ceil(kernel.tile.bn as u32);
    let params = GemmParams { row_tiles, column_tiles, ..params };
    let (x, y) = prospr_shaders::dispatch("gemm", row_tiles as usize * column_tiles as usize);
    let workgroups = (x, y, params.groups * parts as u32);
    let kernel = WgslKernel::Gemm(kernel);
    dispatch(client, kernel, workgroups, buffers, &params.bytes(taps));
}

/// Launches a forward pass or input gradient.
pub(super) fn convolve(launch: &Launch) {
    let (g, client) = (&launch.geometry, &launch.out.client);
    // With few channels, slices of one tap would be mostly zeros. Only a forward pass has all taps in order.
    let flat = g.channels < 12 && g.taps > 1 && g.w_channel == g.taps;
    let depth = if flat { g.channels * g.taps } else { g.channels };
    let columns = g.images * g.passes[0].pixels();
    let tile = choose(launch.arithmetic, [g.rows, depth, columns], g.groups, false);
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
        (pack(client, launch.factor, axes), 0, depth * rows)
    } else {
        let channels = g.channels.next_multiple_of(tile.bk);
        let w = pack_weights(client, launch.factor, g, channels, rows);
        (w, channels * rows, g.taps * channels * rows)
    };
    let plane = g.out_size[0] * g.out_size[1];
    for pass in &g.passes {
        let kernel = Gemm {
            operands: Operands::Convolution { flat },
            tile,
            runs: pass.in_one_piece()
                && plane % launch.arithmetic.run() == 0
                && g.rows % launch.arithmetic.step() == 0,
            arithmetic: launch.arithmetic,
        };
        let params = GemmParams {
            rows: g.rows as u32,
            columns: (g.images * pass.pixels()) as u32,
            depth: (g.channels * g.taps) as u32,
            groups: g.groups as u32,
            left_group: left_group as u32,
            left_k: rows as u32,
            left_row: 1,
            grid: pass.pixels() as u32,
            grid_width: pass.grid[1] as u32,
            stride: words(pass.stride),
            size: words(g.size),
            channels: g.channels as u32,
            out_layout: out_layout(g, pass),
            tap_count: pass.taps.len() as u32,
            left_tap: left_tap as u32,
            ..GemmParams::default()
        };
        let buffers = [&w, launch.images, &launch.out.handle];
        run(client, kernel, params, &taps(pass), 1, &buffers);
    }
}

/// Launches a weight gradient, divided into parts along the pixels.
pub(super) fn weight_grad(launch: &Launch) {
    let (g, client) = (&launch.geometry, &launch.out.client);
    let pass = &g.passes[0];
    let (columns, depth) = (g.channels * g.taps, g.images * pass.pixels());
    let tile = choose(launch.arithmetic, [g.rows, depth, columns], g.groups, true);
    let tiles = g.groups * g.rows.div_ceil(tile.bm) * columns.div_ceil(tile.bn);
    let wanted = 2 * INVOCATIONS_WANTED / (tiles * tile.threads()).max(1);
    let (slices, parts) = divide(depth.div_ceil(tile.bk), wanted, SLICES[0], SLICES[1]);
    let params = GemmParams {
        rows: g.rows as u32,
        columns: columns as u32,
        depth: depth as u32,
        groups: g.groups as u32,
        grid: pass.pixels() as u32,
        grid_width: pass.grid[1] as u32,
        stride: words(pass.stride),
        size: words(g.size),
        channels: g.channels as u32,
        part_depth: (slices * tile.bk) as u32,
        out_layout: OutLayout {
            group: (g.rows * columns) as u32,
            row: columns as u32,
            ..OutLayout::default()
        },
        tap_count: g.taps as u32,
        ..GemmParams::default()
    };
    let kernel = Gemm {
        operands: Operands::WeightGrad,
        tile,
        runs: columns % launch.arithmetic.run() == 0 && g.rows % launch.arithmetic.step() == 0,
        arithmetic: launch.arithmetic,
    };
    in_parts(launch, g.groups * g.rows * columns, parts, |out| {
        let buffers = [launch.factor, launch.images, out];
        run(client, kernel, params, &taps(pass), parts, &buffers);
    });
}
