// Convolution and its input gradient for groups of few channels (depthwise), which would leave the tiles of gemm.wgsl
// mostly empty.
//
//   out[n, g, r, t, u] = Σ_tap Σ_c w[g, r, c, tap.index] · x[n, g, c, t·stride.x + tap.row, u·stride.y + tap.column]
//
// bindings   0 w: f32[..] by strides   1 x: f32[n, groups, channels, height, width]
//            2 out: f32[..] by strides   3 params
// workgroup  64 × 1 × 1, one output per invocation, pixels vary fastest
// dispatch   x · y workgroups with x·y·64 ≥ pixels·rows·groups, numbered row by row
// limits     taps · (channels + 1) iterations per invocation (llvmpipe allows 65,535)
// reference  Flex's conv2d and conv_transpose2d

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
    // Strides of w.
    w_group: u32,
    w_row: u32,
    w_channel: u32,
    w_tap: u32,
    out_layout: OutLayout,
    tap_count: u32,
    pad: array<u32, 3>,
    taps: array<vec4<i32>>, // row, column, index in w, 0
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
    for (var i = 0u; i < params.tap_count; i++) {
        let tap = params.taps[i];
        let h = t * params.stride.x + u32(tap.x);
        let v = u * params.stride.y + u32(tap.y);
        if h < params.size.x && v < params.size.y {
            let weight = g * params.w_group + row * params.w_row + u32(tap.z) * params.w_tap;
            for (var c = 0u; c < params.channels; c++) {
                sum += w[weight + c * params.w_channel] * x[first + c * plane + h * params.size.y + v];
            }
        }
    }
    out[params.out_layout.base + image * params.out_layout.image + channel * params.out_layout.row
        + t * params.out_layout.line + u * params.out_layout.column] = sum;
}
