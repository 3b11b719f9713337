//! Launch functions of the kernels for software rasterizers. Operands are packed first, so that the kernels need no
//! bounds checks.

use cubecl::client::Client;
use cubecl::server::Handle;
use prospr_shaders::{
    LANES, Quads, Rasterizer, RasterizerGemmParams, RasterizerWeightGradParams, TILE, WgslStruct,
    width,
};

use super::conv_launch::{Launch, divide, in_parts, out_layout};
use super::geometry::{Geometry, Pass, Tap};
use super::{Axis, Class, WgslKernel, axis, dispatch, pack, words};
use crate::runtime::device::SOFTWARE_LOOP_LIMIT;

/// Largest number of floats of a packed operand: 128 MiB, the binding size that every GPU supports. Burn computes
/// larger products.
pub(super) const LARGEST_PACKED: usize = 1 << 25;

/// Desired number of tiles, over all parts, of a weight gradient.
const TILES_WANTED: usize = 512;

/// Number of floats of the operands of a part of a weight gradient: half a megabyte, which stays in a core's cache
/// while all tiles read it.
const CACHED_FLOATS: usize = 1 << 17;

/// Images packed as `[image, line, column, group, channel]`, with zeros around them.
struct Packed {
    handle: Handle,
    /// Rows and columns of zeros before the image.
    low: [usize; 2],
    /// Height and width, zeros included.
    size: [usize; 2],
    /// Number of floats from pixel to pixel.
    pixel: usize,
    /// Channels of a group, zeros included.
    channels: usize,
}

/// Returns the number of zero rows that taps read before the image, and the number of rows from the first to the last
/// row that is read; the same for columns if `i` = 1.
fn extent(g: &Geometry, i: usize) -> (usize, usize) {
    let taps = || g.passes.iter().flat_map(|p| p.taps.iter().map(move |t| (p, t)));
    let place = |t: &Tap| if i == 0 { t.row } else { t.column };
    let low = taps().map(|(_, t)| -place(t)).max().unwrap_or(0).max(0);
    let end = |(p, t): (&Pass, &Tap)| ((p.grid[i] - 1) * p.stride[i]) as i64 + place(t) + 1;
    let high = taps().map(end).max().unwrap_or(1).max(1);
    (low as usize, (low + high) as usize)
}

/// Returns an upper bound of the number of floats of the larger packed operand.
pub(super) fn packed_floats(g: &Geometry) -> usize {
    let pixels = extent(g, 0).1 * extent(g, 1).1;
    let images = g.images * g.groups * g.channels.next_multiple_of(TILE) * pixels;
    let outputs: usize = g.passes.iter().map(Pass::pixels).sum();
    images.max((g.images + 4) * g.groups * g.rows.next_multiple_of(TILE) * outputs)
}

/// Packs the images of a convolution.
fn pack_images(launch: &Launch, channels: usize) -> Packed {
    let g = &launch.geometry;
    let ((top, height), (left, width)) = (extent(g, 0), extent(g, 1));
    let plane = g.size[0] * g.size[1];
    let handle = pack(
        &launch.out.client,
        launch.images,
        [
            axis(g.images, g.images, g.groups * g.channels * plane),
            Axis { size: height, low: top, limit: g.size[0], stride: g.size[1] },
            Axis { size: width, low: left, limit: g.size[1], stride: 1 },
            axis(g.groups, g.groups, g.channels * plane),
            axis(channels, g.channels, plane),
        ],
    );
    Packed { handle, low: [top, left], size: [height, width], pixel: g.groups * channels, channels }
}

impl Packed {
    /// Returns the taps as parameters: the number of vectors from a pixel to the one that the tap reads, and the tap's
    /// index in the weight.
    fn taps(&self, taps: &[Tap], width: usize) -> Vec<[u32; 2]> {
        let tap = |tap: &Tap| {
            let row = (tap.row + self.low[0] as i64) as usize;
            let column = (tap.column + self.low[1] as i64) as usize;
            let offset = (row * self.size[1] + column) * self.pixel / width;
            [offset as u32, tap.index as u32]
        };
        taps.iter().map(tap).collect()
    }

    /// Returns strides in vectors of `width`: group, image, and line and column times the convolution's stride.
    fn strides(&self, stride: [usize; 2], width: usize) -> [usize; 4] {
        let line = self.size[1] * self.pixel / width;
        [
            self.channels / width,
            self.size[0] * line,
            stride[0] * line,
            stride[1] * self.pixel / width,
        ]
    }
}

/// A matrix product or convolution by `shaders/wgsl/rasterizer_gemm.wgsl`.
pub(super) struct Product<'a> {
    pub w: &'a Handle,
    pub x: &'a Handle,
    pub out: &'a Handle,
    pub wide: bool,
    pub quads: Option<Quads>,
    pub groups: usize,
    /// Parameters; [`Product::run`] sets the numbers of tiles.
    pub params: RasterizerGemmParams,
    pub taps: &'a [[u32; 2]],
}

impl Product<'_> {
    /// Launches the product, in parts along the channels if needed: llvmpipe limits the iterations of a loop.
    pub fn run(&self, client: &Client) {
        let pixel_tiles = self.params.pixels.div_ceil(TILE as u32);
        let row_tiles = self.params.rows.div_ceil(TILE as u32);
        let tiles = self.groups as u32 * pixel_tiles * row_tiles;
        let (x, y) = prospr_shaders::dispatch("rasterizer_gemm", tiles.div_ceil(LANES) as usize);
        let most = (SOFTWARE_LOOP_LIMIT / self.taps.len().max(1)).max(1);
        for begin in (0..self.params.end).step_by(most) {
            let params = RasterizerGemmParams {
                tiles,
                pixel_tiles,
                row_tiles,
                begin,
                end: (begin + most as u32).min(self.params.end),
                tap_count: self.taps.len() as u32,
                ..self.params
            };
            let kernel = Rasterizer::Gemm { wide: self.wide, add: begin > 0, quads: self.quads };
            dispatch(
                client,
                WgslKernel::Rasterizer(kernel),
                (x, y, 1),
                &[self.w, self.x, self.out],
                &params.bytes(self.taps),
            );
        }
    }
}

/// Returns true if one load of the device reads 8 floats; otherwise it reads 4.
fn wide(class: Class) -> bool {
    matches!(class, Class::SoftwareRasterizer { wide: true })
}

/// Packs weights as `[group, tap, channel, row]`.
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

/// Launches a forward pass or input gradient.
pub(super) fn convolve(launch: &Launch) {
    let (g, client) = (&launch.geometry, &launch.out.client);
    let wide = wide(launch.class) && g.channels > 4;
    let width = width(wide);
    let channels = g.channels.next_multiple_of(width);
    let rows = g.rows.next_multiple_of(TILE);
    let w = pack_weights(client, launch.factor, g, channels, rows);
    let x = pack_images(launch, channels);
    let line = rows / width;
    for pass in &g.passes {
        let [x_group, x_image, x_line, x_column] = words(x.strides(pass.stride, width));
        let params = RasterizerGemmParams {
            pixels: (g.images * pass.pixels()) as u32,
            rows: g.rows as u32,
            grid: pass.pixels() as u32,
            grid_width: pass.grid[1] as u32,
            x_group,
            x_image,
            x_line,
            x_column,
            w_group: (g.taps * channels * line) as u32,
            w_tap: (channels * line) as u32,
            w_channel: line as u32,
            end: (channels / width) as u32,
            out_layout: out_layout(g, pass),
            ..RasterizerGemmParams::default()
        };
        Product {
            w: &w,
            x: &x.handle,
            out: &launch.out.handle,
            wide,
            quads: (pass.in_one_piece() && pass.pixels() % 4 == 0).then_some(Quads::Pixels),
            groups: g.groups,
            params,
            taps: &x.taps(&pass.taps, width),
        }
        .run(client);
    }
}

/// Launches `shaders/wgsl/rasterizer_weight_grad.wgsl`, and the kernel that adds its parts.
pub(super) fn weight_grad(launch: &Launch) {
    let (g, client) = (&launch.geometry, &launch.out.client);
    let wide = wide(launch.class);
    let width = width(wide);
    let pass = &g.passes[0];
    let channels = g.channels.next_multiple_of(TILE);
    let rows = g.rows.next_multiple_of(TILE);
    let x = pack_images(launch, channels);
    let grid = pass.pixels();
    let pixels = g.images * grid;
    // Images of zeros at the end make the number of pixels a multiple of four.
    let images = pixels.next_multiple_of(4).div_ceil(grid);
    let dy = pack(
        client,
        launch.factor,
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
    let [x_group, x_image, x_line, x_column] = words(x.strides(pass.stride, width));
    let x_last = g.images * x.size[0] * x.size[1] * x.pixel / width - TILE / width;
    let params = RasterizerWeightGradParams {
        tiles: (tiles * parts) as u32,
        row_tiles: row_tiles as u32,
        channel_tiles: channel_tiles as u32,
        groups: g.groups as u32,
        rows: g.rows as u32,
        channels: g.channels as u32,
        quads: quads as u32,
        all_quads: all_quads as u32,
        grid_height: pass.grid[0] as u32,
        grid_width: pass.grid[1] as u32,
        dy_pixel: (g.groups * rows / width) as u32,
        dy_group: (rows / width) as u32,
        x_group,
        x_image,
        x_line,
        x_column,
        x_last: x_last as u32,
        tap_count: g.taps as u32,
    };
    let params = params.bytes(&x.taps(&pass.taps, width));
    let workgroups = (tiles * parts).div_ceil(LANES as usize);
    let (across, down) = prospr_shaders::dispatch("rasterizer_weight_grad", workgroups);
    let weights = g.groups * g.rows * g.channels * g.taps;
    in_parts(launch, weights, parts, |out| {
        let kernel = WgslKernel::Rasterizer(Rasterizer::WeightGrad { wide });
        let buffers = [&dy, &x.handle, out];
        dispatch(client, kernel, (across, down, 1), &buffers, &params);
    });
}
