// Transpose of pool_gather: each pixel is the sum of the values of the windows that selected it.
//
//   out[p, h, w] = Σ dy[p, i, j] over the windows (i, j) that cover (h, w), where indices[p, i, j] = h·width + w
//
// bindings   0 dy: f32[planes, out_height, out_width]   1 indices: i32, of dy's shape
//            2 out: f32[planes, height, width]   3 params
// workgroup  64 × 1 × 1, eight pixels per invocation; windows are added in row-major order, without atomics
// dispatch   x · y workgroups with x·y·512 ≥ planes·height·width, numbered row by row
// limits     2 ⌈kernel / stride⌉ iterations along each axis
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

fn element(at: u32, p: Params) {
    let number = quotient(at, p.plane);
    let pixel = at - number * p.plane.by;
    let row = quotient(pixel, p.row);
    let plane = number * p.out_height * p.out_width;
    // Coordinates in the padded image.
    let h = row + p.padding_height;
    let w = pixel - row * p.row.by + p.padding_width;
    // Windows along both axes that contain the pixel: from `low` to before `high`.
    let last = vec2<u32>(quotient(h, p.stride_height), quotient(w, p.stride_width));
    let high = min(last + 1u, vec2<u32>(p.out_height, p.out_width));
    var low = last;
    while low.x > 0u && (low.x - 1u) * p.stride_height.by + p.kernel_height > h {
        low.x--;
    }
    while low.y > 0u && (low.y - 1u) * p.stride_width.by + p.kernel_width > w {
        low.y--;
    }
    var sum = 0.0;
    for (var i = low.x; i < high.x; i++) {
        for (var j = low.y; j < high.y; j++) {
            let window = plane + i * p.out_width + j;
            if u32(indices[window]) == pixel {
                sum += dy[window];
            }
        }
    }
    out[at] = sum;
}
