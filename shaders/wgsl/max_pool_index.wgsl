// Index of the largest value in each window of a max pool.
//
//   out[p, i, j] = argmax of x[p, h·width + w] over the window at (i, j), the first in row-major order
//
// bindings   0 x: f32[planes, height, width]   1 out: i32[planes, out_height, out_width]   2 params
// workgroup  64 × 1 × 1, eight outputs per invocation
// dispatch   x · y workgroups with x·y·512 ≥ planes·out_height·out_width, numbered row by row
// limits     every window holds at least one pixel (padding ≤ kernel / 2); NaN wins, as in PyTorch
// reference  Flex's max_pool2d_with_indices

struct Params {
    len: u32,
    out_plane: Divisor,
    out_row: Divisor,
    height: u32,
    width: u32,
    kernel_height: u32,
    kernel_width: u32,
    stride_height: u32,
    stride_width: u32,
    padding_height: u32,
    padding_width: u32,
}

@group(0) @binding(0) var<storage, read_write> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> out: array<i32>;
@group(0) @binding(2) var<storage, read_write> params: Params;

fn element(at: u32, p: Params) {
    let number = quotient(at, p.out_plane);
    let place = at - number * p.out_plane.by;
    let row = quotient(place, p.out_row);
    let plane = number * p.height * p.width;
    let size = vec2<u32>(p.height, p.width);
    let padding = vec2<u32>(p.padding_height, p.padding_width);
    let window = vec2<u32>(row * p.stride_height, (place - row * p.out_row.by) * p.stride_width);
    let kernel = vec2<u32>(p.kernel_height, p.kernel_width);
    // Bounds of the window in padded coordinates, clipped to the image.
    let low = max(window, padding);
    let high = min(window + kernel, size + padding);
    var best = (low.x - padding.x) * size.y + (low.y - padding.y);
    var best_value = x[plane + best];
    for (var h = low.x; h < high.x; h++) {
        for (var w = low.y; w < high.y; w++) {
            let pixel = (h - padding.x) * size.y + (w - padding.y);
            let value = x[plane + pixel];
            // NaN is recognised by its bits, because compilers may assume that `value != value` is false.
            let is_nan = (bitcast<u32>(value) & 0x7fffffffu) > 0x7f800000u;
            if value > best_value || is_nan {
                best = pixel;
                best_value = value;
            }
        }
    }
    out[at] = i32(best);
}
