// Weight gradient of a convolution for software rasterizers.
//
//   part[s, g, r, c, tap] = Σ_p dy[p, g, r] · x[at(p) + tap.offset, g, c]      over the pixels p of part s
//
// An invocation keeps sums of {{rows}} rows × {{channels}} channels of one tap, and takes four pixels in each
// iteration. Operands are packed (pack.wgsl): channels last and padded, zeros around the images.
//
// bindings   0 dy: f32[pixel, group, row]   1 x: f32[image, line, column, group, channel], both in vectors of {{width}}
//            2 part: f32[parts, groups, rows, channels, taps]   3 params
// workgroup  {{lanes}} × 1 × 1, one tile of one tap of one part per invocation
// dispatch   x · y workgroups with x·y·{{lanes}} ≥ tiles, numbered row by row
// limits     one iteration per four pixels (llvmpipe allows 65,535); dy is zero beyond the last pixel
// reference  Flex's conv2d_weight_backward

struct Params {
    tiles: u32,
    row_tiles: u32,
    channel_tiles: u32,
    groups: u32,
    rows: u32,
    channels: u32,
    // Numbers of groups of four pixels in a part, and in total.
    quads: u32,
    all_quads: u32,
    grid_height: u32,
    grid_width: u32,
    dy_pixel: u32,
    dy_group: u32,
    x_group: u32,
    x_image: u32,
    x_line: u32,
    x_column: u32,
    x_last: u32,
    tap_count: u32,
    taps: array<vec2<u32>>, // offset into x in vectors, index
}

@group(0) @binding(0) var<storage, read_write> dy: array<{{vector}}>;
@group(0) @binding(1) var<storage, read_write> x: array<{{vector}}>;
@group(0) @binding(2) var<storage, read_write> part: array<f32>;
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
    var rest = min(wanted, params.tiles - 1u);
    let channel_tile = rest % params.channel_tiles;
    rest /= params.channel_tiles;
    let row_tile = rest % params.row_tiles;
    rest /= params.row_tiles;
    let tap = params.taps[rest % params.tap_count];
    rest /= params.tap_count;
    let g = rest % params.groups;
    let s = rest / params.groups;

    let begin = s * params.quads;
    let end = min(begin + params.quads, params.all_quads);
    let first = begin * 4u;
    var u = first % params.grid_width;
    var t = first / params.grid_width % params.grid_height;
    let image = first / params.grid_width / params.grid_height;
    var xi = image * params.x_image + t * params.x_line + u * params.x_column + tap.x + g * params.x_group
        + channel_tile * {{channel_vectors}}u;
    var di = first * params.dy_pixel + g * params.dy_group + row_tile * {{row_vectors}}u;
    // Numbers added to the offset after the last pixel of a line, and of an image.
    let next_line = params.x_line - params.grid_width * params.x_column;
    let next_image = params.x_image - params.grid_height * params.x_line;
{{sums}}
    for (var q = begin; q < end; q++) {
{{product}}
    }
    if !live {
        return;
    }
    let row = row_tile * {{rows}}u;
    let channel = channel_tile * {{channels}}u;
    let across = params.channels * params.tap_count;
    let o = ((s * params.groups + g) * params.rows + row) * across + channel * params.tap_count + tap.y;
{{store}}
}
