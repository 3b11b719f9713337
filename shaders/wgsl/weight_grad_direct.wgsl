// Weight gradient of a convolution for groups of few channels (depthwise), which would leave the tiles of gemm.wgsl
// mostly empty.
//
//   part[s, g, r, c, tap] = Σ_p dy[n, g, r, t, u] · x[n, g, c, t·stride.x + tap.row, u·stride.y + tap.column]
//   over the part_pixels pixels p = (n, t, u) from p = s · part_pixels
//
// bindings   0 dy: f32[n, groups, rows, grid]   1 x: f32[n, groups, channels, height, width]
//            2 part: f32[parts, groups, rows, channels, taps]   3 params
// workgroup  64 × 1 × 1, one element of one part per invocation
// dispatch   x · y workgroups with x·y·64 ≥ parts·groups·rows·channels·taps, numbered row by row
// limits     part_pixels iterations per invocation (llvmpipe allows 65,535)
// reference  Flex's conv2d_weight_backward

struct Params {
    // Numbers of output pixels of all images, of one image, and of one row.
    pixels: u32,
    grid: u32,
    grid_width: u32,
    groups: u32,
    rows: u32,
    channels: u32,
    stride: vec2<u32>,
    // Height and width of x.
    size: vec2<u32>,
    part_pixels: u32,
    parts: u32,
    tap_count: u32,
    pad: array<u32, 3>,
    taps: array<vec4<i32>>, // row, column, index in w, 0
}

@group(0) @binding(0) var<storage, read_write> dy: array<f32>;
@group(0) @binding(1) var<storage, read_write> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> part: array<f32>;
@group(0) @binding(3) var<storage, read_write> params: Params;

@compute @workgroup_size(64, 1, 1)
fn main(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
) {
    let at = id.y * groups.x * 64u + id.x;
    let weights = params.groups * params.rows * params.channels * params.tap_count;
    if at >= params.parts * weights {
        return;
    }
    let tap = params.taps[at % params.tap_count];
    let pair = at % weights / params.tap_count;
    let c = pair % params.channels;
    let row = pair / params.channels; // over all groups
    let channel = row / params.rows * params.channels + c;
    let plane = params.size.x * params.size.y;
    let begin = at / weights * params.part_pixels;
    let end = min(begin + params.part_pixels, params.pixels);
    var sum = 0.0;
    for (var p = begin; p < end; p++) {
        let image = p / params.grid;
        let q = p % params.grid;
        let h = q / params.grid_width * params.stride.x + u32(tap.x);
        let v = q % params.grid_width * params.stride.y + u32(tap.y);
        if h < params.size.x && v < params.size.y {
            sum += dy[(image * params.groups * params.rows + row) * params.grid + q]
                * x[(image * params.groups * params.channels + channel) * plane + h * params.size.y + v];
        }
    }
    part[at] = sum;
}
