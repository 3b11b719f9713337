// Product with gathered operands for software rasterizers: convolution, its input gradient, batched matrix products.
//
//   out[g, p, r] (+)= Σ_tap Σ_c w[g, tap.index, c, r] · x[g, at(p) + tap.offset + c]
//
// llvmpipe compiles a workgroup to one SIMD vector, and loads take most of the time. Therefore a load reads a vector
// of {{width}} floats, and an invocation keeps sums of {{pixels}} pixels × {{rows}} rows. Operands are packed
// (pack.wgsl): channels last and padded, zeros around the images, so that loads need no bounds check.
//
// bindings   0 w: f32[group, tap, channel, row] by strides   1 x: f32[.., channel] by strides
//            2 out: f32[..] by strides   3 params; strides of w and x count vectors of {{width}}
// workgroup  {{lanes}} × 1 × 1, one tile of pixels × rows per invocation
// dispatch   x · y workgroups with x·y·{{lanes}} ≥ tiles, numbered row by row
// limits     taps · (chunks + 1) iterations per invocation (llvmpipe allows 65,535); longer sums are divided along c
// reference  Flex's conv2d, conv_transpose2d and matmul

struct Params {
    tiles: u32,
    // Numbers of tiles along the pixels and along the rows of a group.
    pixel_tiles: u32,
    row_tiles: u32,
    pixels: u32,
    rows: u32,
    // Numbers of output pixels of one image and of one row.
    grid: u32,
    grid_width: u32,
    x_group: u32,
    x_image: u32,
    x_line: u32,
    x_column: u32,
    w_group: u32,
    w_tap: u32,
    w_channel: u32,
    // Range of vectors of channels.
    begin: u32,
    end: u32,
    out_layout: OutLayout,
    tap_count: u32,
    pad: u32,
    taps: array<vec2<u32>>, // offset into x in vectors, index into w
}

@group(0) @binding(0) var<storage, read_write> w: array<{{vector}}>;
@group(0) @binding(1) var<storage, read_write> x: array<{{vector}}>;
@group(0) @binding(2) var<storage, read_write> out: array<{{out_type}}>;
@group(0) @binding(3) var<storage, read_write> params: Params;
{{halves}}
@compute @workgroup_size({{lanes}}, 1, 1)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let wanted = (workgroup.y * groups.x + workgroup.x) * {{lanes}}u + lane;
    let live = wanted < params.tiles;
    let tile = min(wanted, params.tiles - 1u);
    let pixel = tile % params.pixel_tiles * {{pixels}}u;
    let row_tile = tile / params.pixel_tiles % params.row_tiles;
    let g = tile / params.pixel_tiles / params.row_tiles;
    let row = row_tile * {{rows}}u;
    let step = params.w_channel;
{{places}}
    for (var i = 0u; i < params.tap_count; i++) {
        let tap = params.taps[i];
        var wi = g * params.w_group + tap.y * params.w_tap + params.begin * {{width}}u * step + row_tile * {{row_vectors}}u;
        for (var c = params.begin + tap.x; c < params.end + tap.x; c++) {
{{product}}
            wi += {{width}}u * step;
        }
    }
    if !live {
        return;
    }
    let o = params.out_layout.base + g * params.out_layout.group + row * params.out_layout.row;
{{store}}
}
