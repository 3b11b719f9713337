//! Launching the kernels of software rasterizers: operands are packed first, then multiplied without a check.

use cubecl::client::Client;
use cubecl::server::Handle;
use prospr_shaders::{LANES, Quads, Soft, TILE, width};

use super::conv::{Call, divide, in_parts};
use super::geometry::{Geometry, Pass, Tap};
use super::{Axis, Class, Kernel, axis, dispatch, pack};
use crate::runtime::device::SOFTWARE_LOOP_LIMIT;

/// Parts of a weight gradient until so many tiles are under way.
const TILES_WANTED: usize = 512;

/// A part's operands should stay in a core's cache while all tiles go over them: half a megabyte.
const CACHED_FLOATS: usize = 1 << 17;

/// Images packed as `[image, line, column, group, channel]`, zeros around them.
struct Packed {
    handle: Handle,
    /// Rows and columns before the image.
    low: [usize; 2],
    size: [usize; 2],
    /// Floats from pixel to pixel.
    pixel: usize,
    channels: usize,
}

/// Zeros before the first row (or column, `i` = 1) that a tap looks at, and rows from there to the last.
fn extent(g: &Geometry, i: usize) -> (usize, usize) {
    let taps = || {
        g.passes
            .iter()
            .flat_map(|p| p.taps.iter().map(move |t| (p, t)))
    };
    let place = |t: &Tap| if i == 0 { t.row } else { t.column };
    let low = taps().map(|(_, t)| -place(t)).max().unwrap_or(0).max(0);
    let end = |(p, t): (&Pass, &Tap)| ((p.grid[i] - 1) * p.step[i]) as i64 + place(t) + 1;
    let high = taps().map(end).max().unwrap_or(1).max(1);
    (low as usize, (low + high) as usize)
}

/// Floats of the larger packed operand, at most.
pub(super) fn packed_floats(g: &Geometry) -> usize {
    let pixels = extent(g, 0).1 * extent(g, 1).1;
    let images = g.images * g.groups * g.channels.next_multiple_of(TILE) * pixels;
    let outputs: usize = g.passes.iter().map(Pass::pixels).sum();
    images.max((g.images + 4) * g.groups * g.rows.next_multiple_of(TILE) * outputs)
}

fn pack_images(call: &Call, channels: usize) -> Packed {
    let g = &call.geometry;
    let ((top, height), (left, width)) = (extent(g, 0), extent(g, 1));
    let plane = g.size[0] * g.size[1];
    let handle = pack(
        &call.out.client,
        call.a,
        [
            axis(g.images, g.images, g.groups * g.channels * plane),
            Axis {
                size: height,
                low: top,
                limit: g.size[0],
                stride: g.size[1],
            },
            Axis {
                size: width,
                low: left,
                limit: g.size[1],
                stride: 1,
            },
            axis(g.groups, g.groups, g.channels * plane),
            axis(channels, g.channels, plane),
        ],
    );
    Packed {
        handle,
        low: [top, left],
        size: [height, width],
        pixel: g.groups * channels,
        channels,
    }
}

impl Packed {
    /// Floats from a pixel to the one that a tap looks at, and the tap's place in the weight.
    fn list(&self, taps: &[Tap], width: usize) -> Vec<u32> {
        let mut list: Vec<u32> = taps
            .iter()
            .flat_map(|tap| {
                let row = (tap.row + self.low[0] as i64) as usize;
                let column = (tap.column + self.low[1] as i64) as usize;
                let offset = (row * self.size[1] + column) * self.pixel / width;
                [offset as u32, tap.index as u32]
            })
            .collect();
        if list.is_empty() {
            list = vec![0; 2]; // a binding must not be empty
        }
        list
    }

    /// Strides in vectors, the last two for these steps: group, image, line, column.
    fn strides(&self, step: [usize; 2], width: usize) -> [usize; 4] {
        let line = self.size[1] * self.pixel / width;
        [
            self.channels / width,
            self.size[0] * line,
            step[0] * line,
            step[1] * self.pixel / width,
        ]
    }
}

/// One run of `shaders/wgsl/soft_gemm.wgsl`, strides in vectors.
pub(super) struct Product<'a> {
    pub w: &'a Handle,
    pub x: &'a Handle,
    pub out: &'a Handle,
    pub wide: bool,
    pub quads: Option<Quads>,
    pub groups: usize,
    pub rows: usize,
    pub pixels: usize,
    pub grid: [usize; 2],
    /// Group, image, line, column.
    pub x_strides: [usize; 4],
    /// Group, tap, channel.
    pub w_strides: [usize; 3],
    /// Vectors of channels.
    pub chunks: usize,
    /// Base, group, image, row, line, column.
    pub out_strides: [usize; 6],
    pub taps: usize,
    pub list: &'a [u32],
}

impl Product<'_> {
    pub fn run(&self, client: &Client) {
        let pixel_tiles = self.pixels.div_ceil(TILE);
        let row_tiles = self.rows.div_ceil(TILE);
        let tiles = self.groups * pixel_tiles * row_tiles;
        let (x, y) = prospr_shaders::dispatch("soft_gemm", (tiles as u64).div_ceil(LANES.into()));
        // As many chunks of channels at a time as llvmpipe's loops allow; later ones are added.
        let most = (SOFTWARE_LOOP_LIMIT / self.taps.max(1)).max(1);
        for begin in (0..self.chunks).step_by(most) {
            let end = (begin + most).min(self.chunks);
            let mut params = vec![
                tiles,
                pixel_tiles,
                row_tiles,
                self.pixels,
                self.rows,
                self.grid[0] * self.grid[1],
                self.grid[1],
            ];
            params.extend(self.x_strides);
            params.extend(self.w_strides);
            params.extend([begin, end]);
            params.extend(self.out_strides);
            params.extend([self.taps, 0]);
            let mut params: Vec<u32> = params.into_iter().map(|n| n as u32).collect();
            params.extend(self.list);
            let kernel = Kernel::Soft(Soft::Gemm {
                wide: self.wide,
                add: begin > 0,
                quads: self.quads,
            });
            dispatch(
                client,
                kernel,
                (x, y, 1),
                &[self.w, self.x, self.out],
                &params,
            );
        }
    }
}

fn wide(class: Class) -> bool {
    matches!(class, Class::Software { wide: true })
}

/// Weights as `[group, tap, channel, row]`.
pub(super) fn pack_weights(
    client: &Client,
    w: &Handle,
    g: &Geometry,
    channels: usize,
    rows: usize,
) -> Handle {
    let axes = [
        axis(g.groups, g.groups, g.w_group),
        axis(g.taps, g.taps, 1),
        axis(channels, g.channels, g.w_channel),
        axis(1, 1, 0),
        axis(rows, g.rows, g.w_row),
    ];
    pack(client, w, axes)
}

/// Forward and input gradient.
pub(super) fn convolve(call: &Call) {
    let (g, client) = (&call.geometry, &call.out.client);
    let wide = wide(call.class) && g.channels > 4;
    let width = width(wide);
    let channels = g.channels.next_multiple_of(width);
    let rows = g.rows.next_multiple_of(TILE);
    let w = pack_weights(client, call.b, g, channels, rows);
    let x = pack_images(call, channels);
    let plane = g.out_size[0] * g.out_size[1];
    for pass in &g.passes {
        let line = rows / width;
        Product {
            w: &w,
            x: &x.handle,
            out: &call.out.handle,
            wide,
            quads: (pass.in_one_piece() && pass.pixels() % 4 == 0).then_some(Quads::Pixels),
            groups: g.groups,
            rows: g.rows,
            pixels: g.images * pass.pixels(),
            grid: pass.grid,
            x_strides: x.strides(pass.step, width),
            w_strides: [g.taps * channels * line, channels * line, line],
            chunks: channels / width,
            out_strides: [
                pass.base,
                g.rows * plane,
                g.groups * g.rows * plane,
                plane,
                pass.line,
                pass.column,
            ],
            taps: pass.taps.len(),
            list: &x.list(&pass.taps, width),
        }
        .run(client);
    }
}

/// `shaders/wgsl/soft_weight_grad.wgsl`, and the sum of its parts.
pub(super) fn weight_grad(call: &Call) {
    let (g, client) = (&call.geometry, &call.out.client);
    let wide = wide(call.class);
    let width = width(wide);
    let pass = &g.passes[0];
    let channels = g.channels.next_multiple_of(TILE);
    let rows = g.rows.next_multiple_of(TILE);
    let x = pack_images(call, channels);
    let grid = pass.pixels();
    let pixels = g.images * grid;
    // Whole images of zeros at the end, until the last four pixels are there.
    let images = pixels.next_multiple_of(4).div_ceil(grid);
    let dy = pack(
        client,
        call.b,
        [
            axis(images, g.images, g.groups * g.rows * grid),
            axis(grid, grid, 1),
            axis(g.groups, g.groups, g.rows * grid),
            axis(1, 1, 0),
            axis(rows, g.rows, grid),
        ],
    );
    let (row_tiles, channel_tiles) = (rows / TILE, channels / TILE);
    let tiles = row_tiles * channel_tiles * g.taps * g.groups;
    let all_quads = pixels.div_ceil(4);
    let in_cache = CACHED_FLOATS / (4 * g.groups * (rows + channels));
    let most = in_cache.clamp(128, SOFTWARE_LOOP_LIMIT);
    let (quads, parts) = divide(all_quads, TILES_WANTED / tiles, 16, most);
    let [x_group, x_image, x_line, x_column] = x.strides(pass.step, width);
    let x_last = g.images * x.size[0] * x.size[1] * x.pixel / width - TILE / width;
    let mut params: Vec<u32> = [
        tiles * parts,
        row_tiles,
        channel_tiles,
        g.groups,
        g.rows,
        g.channels,
        quads,
        all_quads,
        pass.grid[0],
        pass.grid[1],
        g.groups * rows / width,
        rows / width,
        x_group,
        x_image,
        x_line,
        x_column,
        x_last,
        g.taps,
    ]
    .map(|n| n as u32)
    .to_vec();
    params.extend(x.list(&pass.taps, width));
    let workgroups = ((tiles * parts) as u64).div_ceil(LANES.into());
    let (across, down) = prospr_shaders::dispatch("soft_weight_grad", workgroups);
    let weights = g.groups * g.rows * g.channels * g.taps;
    in_parts(call, weights, parts, |out| {
        let kernel = Kernel::Soft(Soft::WeightGrad { wide });
        dispatch(
            client,
            kernel,
            (across, down, 1),
            &[&dy, &x.handle, out],
            &params,
        );
    });
}
