// Convolution and its input gradient where a group has so few channels that tiles would be empty (depthwise).
//
//   out[n, g, r, t, u] = Σ_tap Σ_c w[g, r, c, tap.index] · x[n, g, c, t·step.x + tap.row, u·step.y + tap.column]
//
// bindings   0 w: f32[..] by strides   1 x: f32[n, groups, channels, height, width]   2 out: f32[..] by strides   3 params
// workgroup  64 × 1 × 1, one output an invocation, pixels fastest
// dispatch   x · y workgroups of which x·y·64 ≥ pixels·rows·groups; rows are x workgroups long
// limits     taps · (channels + 1) iterations an invocation (llvmpipe allows 65,535)
// reference  Flex's conv2d and conv_transpose2d

struct Params {
    // Of the grid of output pixels: n · grid, height · width, width.
    pixels: u32,
    grid: u32,
    grid_width: u32,
    groups: u32,
    rows: u32,
    channels: u32,
    step: vec2<u32>,
    size: vec2<u32>,
    w_group: u32,
    w_row: u32,
    w_channel: u32,
    w_tap: u32,
    out_base: u32,
    out_image: u32,
    out_row: u32,
    out_channel: u32,
    out_line: u32,
    out_column: u32,
    taps: u32,
    pad: u32,
    list: array<vec4<i32>>, // row, column, index, 0
}

@group(0) @binding(0) var<storage, read_write> w: array<f32>;
@group(0) @binding(1) var<storage, read_write> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> out: array<f32>;
@group(0) @binding(3) var<storage, read_write> params: Params;

@compute @workgroup_size(64, 1, 1)
fn main(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
) {
    let at = id.y * groups.x * 64u + id.x;
    if at >= params.pixels * params.rows * params.groups {
        return;
    }
    let pixel = at % params.pixels;
    let channel = at / params.pixels;
    let row = channel % params.rows;
    let g = channel / params.rows;
    let image = pixel / params.grid;
    let t = (pixel % params.grid) / params.grid_width;
    let u = pixel % params.grid % params.grid_width;
    let plane = params.size.x * params.size.y;
    let first = (image * params.groups + g) * params.channels * plane;
    var sum = 0.0;
    for (var i = 0u; i < params.taps; i++) {
        let tap = params.list[i];
        let h = t * params.step.x + u32(tap.x);
        let v = u * params.step.y + u32(tap.y);
        if h < params.size.x && v < params.size.y {
            let weight = g * params.w_group + row * params.w_row + u32(tap.z) * params.w_tap;
            for (var c = 0u; c < params.channels; c++) {
                sum += w[weight + c * params.w_channel] * x[first + c * plane + h * params.size.y + v];
            }
        }
    }
    out[params.out_base + image * params.out_image + channel * params.out_channel + t * params.out_line
        + u * params.out_column] = sum;
}
