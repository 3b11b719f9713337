// The weight gradient of a convolution where a group has so few channels that tiles would be empty (depthwise).
//
//   part[s, g, r, c, tap] = Σ_p dy[n, g, r, t, u] · x[n, g, c, t·step.x + tap.row, u·step.y + tap.column]
//   over pixels p = (n, t, u) from s · pixels_a_part on
//
// bindings   0 dy: f32[n, groups, rows, grid]   1 x: f32[n, groups, channels, height, width]
//            2 part: f32[parts, groups, rows, channels, taps]   3 params
// workgroup  64 × 1 × 1, one element of a part an invocation
// dispatch   x · y workgroups of which x·y·64 ≥ parts·groups·rows·channels·taps; rows are x workgroups long
// limits     pixels_a_part iterations an invocation (llvmpipe allows 65,535)
// reference  Flex's conv2d_weight_backward

struct Params {
    pixels: u32,
    grid: u32,
    grid_width: u32,
    groups: u32,
    rows: u32,
    channels: u32,
    step: vec2<u32>,
    size: vec2<u32>,
    pixels_a_part: u32,
    parts: u32,
    taps: u32,
    pad: u32,
    list: array<vec4<i32>>, // row, column, index, 0
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
    let weights = params.groups * params.rows * params.channels * params.taps;
    if at >= params.parts * weights {
        return;
    }
    let tap = params.list[at % params.taps];
    let pair = at % weights / params.taps;
    let c = pair % params.channels;
    let row = pair / params.channels; // over all groups
    let channel = row / params.rows * params.channels + c;
    let plane = params.size.x * params.size.y;
    let begin = at / weights * params.pixels_a_part;
    let end = min(begin + params.pixels_a_part, params.pixels);
    var sum = 0.0;
    for (var p = begin; p < end; p++) {
        let image = p / params.grid;
        let q = p % params.grid;
        let h = q / params.grid_width * params.step.x + u32(tap.x);
        let v = q % params.grid_width * params.step.y + u32(tap.y);
        if h < params.size.x && v < params.size.y {
            sum += dy[(image * params.groups * params.rows + row) * params.grid + q]
                * x[(image * params.groups * params.channels + channel) * plane + h * params.size.y + v];
        }
    }
    part[at] = sum;
}
