// Where the largest value of each pooling window lies.
//
//   out[p, i, j] = argmax of x[p, h·width + w] over the window at (i, j), the first in row-major order
//
// bindings   0 x: f32[planes, height, width]   1 out: i32[planes, out_height, out_width]   2 params
// workgroup  64 × 1 × 1, one output an invocation
// dispatch   x · y workgroups of which x·y·64 ≥ planes·out_height·out_width; rows are x workgroups long
// limits     every window holds at least one pixel (padding ≤ kernel / 2); NaN wins, as in PyTorch
// reference  Flex's max_pool2d_with_indices

struct Params {
    planes: u32,
    size: vec2<u32>,
    out_size: vec2<u32>,
    kernel: vec2<u32>,
    stride: vec2<u32>,
    padding: vec2<u32>,
}

@group(0) @binding(0) var<storage, read_write> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> out: array<i32>;
@group(0) @binding(2) var<storage, read_write> params: Params;

@compute @workgroup_size(64, 1, 1)
fn main(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
) {
    let at = id.y * groups.x * 64u + id.x;
    let plane_size = params.out_size.x * params.out_size.y;
    if at >= params.planes * plane_size {
        return;
    }
    let plane = (at / plane_size) * params.size.x * params.size.y;
    let window = vec2<u32>((at % plane_size) / params.out_size.y, at % params.out_size.y) * params.stride;
    // In padded coordinates, clipped to the image.
    let low = max(window, params.padding);
    let high = min(window + params.kernel, params.size + params.padding);
    var best = (low.x - params.padding.x) * params.size.y + (low.y - params.padding.y);
    var best_value = x[plane + best];
    for (var h = low.x; h < high.x; h++) {
        for (var w = low.y; w < high.y; w++) {
            let pixel = (h - params.padding.x) * params.size.y + (w - params.padding.y);
            let value = x[plane + pixel];
            // Not a comparison with itself, which compilers may fold: all bits of the exponent are set, and more.
            let is_nan = (bitcast<u32>(value) & 0x7fffffffu) > 0x7f800000u;
            if value > best_value || is_nan {
                best = pixel;
                best_value = value;
            }
        }
    }
    out[at] = i32(best);
}
