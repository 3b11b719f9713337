// The transpose of pool_gather: each pixel sums the values of the windows that picked it.
//
//   out[p, h, w] = Σ dy[p, i, j] over the windows (i, j) that cover (h, w), where indices[p, i, j] = h·width + w
//
// bindings   0 dy: f32[planes, out_height, out_width]   1 indices: i32, of dy's shape
//            2 out: f32[planes, height, width]   3 params
// workgroup  64 × 1 × 1, one pixel an invocation, which alone writes it: no atomics, windows in row-major order
// dispatch   x · y workgroups of which x·y·64 ≥ planes·height·width; rows are x workgroups long
// limits     2 ⌈kernel / stride⌉ iterations each way
// reference  the CPU's pool_scatter

struct Params {
    len: u32,
    plane: Divisor,
    row: Divisor,
    stride_height: Divisor,
    stride_width: Divisor,
    out_height: u32,
    out_width: u32,
    kernel_height: u32,
    kernel_width: u32,
    padding_height: u32,
    padding_width: u32,
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
    if at >= params.len {
        return;
    }
    let number = quotient(at, params.plane);
    let pixel = at - number * params.plane.by;
    let row = quotient(pixel, params.row);
    let plane = number * params.out_height * params.out_width;
    // In padded coordinates.
    let h = row + params.padding_height;
    let w = pixel - row * params.row.by + params.padding_width;
    // The last windows that begin before the pixel, and the first that reach it.
    let last = vec2<u32>(quotient(h, params.stride_height), quotient(w, params.stride_width));
    let high = min(last + 1u, vec2<u32>(params.out_height, params.out_width));
    var low = last;
    while low.x > 0u && (low.x - 1u) * params.stride_height.by + params.kernel_height > h {
        low.x--;
    }
    while low.y > 0u && (low.y - 1u) * params.stride_width.by + params.kernel_width > w {
        low.y--;
    }
    var sum = 0.0;
    for (var i = low.x; i < high.x; i++) {
        for (var j = low.y; j < high.y; j++) {
            let window = plane + i * params.out_width + j;
            if u32(indices[window]) == pixel {
                sum += dy[window];
            }
        }
    }
    out[at] = sum;
}
