// The transpose of pool_gather: each pixel sums the values of the windows that picked it.
//
//   out[p, h, w] = Σ dy[p, i, j] over the windows (i, j) that cover (h, w), where indices[p, i, j] = h·width + w
//
// bindings   0 dy: f32[planes, out_height, out_width]   1 indices: i32, of dy's shape
//            2 out: f32[planes, height, width]   3 params
// workgroup  64 × 1 × 1, one pixel an invocation, which alone writes it: no atomics, windows in row-major order
// dispatch   x · y workgroups of which x·y·64 ≥ planes·height·width; rows are x workgroups long
// limits     ⌈kernel / stride⌉ iterations each way
// reference  the CPU's pool_scatter

struct Params {
    planes: u32,
    size: vec2<u32>,
    out_size: vec2<u32>,
    kernel: vec2<u32>,
    stride: vec2<u32>,
    padding: vec2<u32>,
}

@group(0) @binding(0) var<storage, read_write> dy: array<f32>;
@group(0) @binding(1) var<storage, read_write> indices: array<i32>;
@group(0) @binding(2) var<storage, read_write> out: array<f32>;
@group(0) @binding(3) var<storage, read_write> params: Params;

@compute @workgroup_size(64, 1, 1)
fn main(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
) {
    let at = id.y * groups.x * 64u + id.x;
    let plane_size = params.size.x * params.size.y;
    if at >= params.planes * plane_size {
        return;
    }
    let pixel = at % plane_size;
    let plane = at / plane_size * params.out_size.x * params.out_size.y;
    let place = vec2<u32>(pixel / params.size.y, pixel % params.size.y) + params.padding;
    // The first and one more than the last window that covers the pixel, each way.
    let low = (max(place + params.stride, params.kernel) - params.kernel) / params.stride;
    let high = min(place / params.stride + 1u, params.out_size);
    var sum = 0.0;
    for (var i = low.x; i < high.x; i++) {
        for (var j = low.y; j < high.y; j++) {
            let window = plane + i * params.out_size.y + j;
            if u32(indices[window]) == pixel {
                sum += dy[window];
            }
        }
    }
    out[at] = sum;
}
