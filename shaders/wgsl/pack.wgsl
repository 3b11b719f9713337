// Packing: copies a five-dimensional array of any strides into a padded, contiguous one. Padding is zeros; the last
// axis is padded to a multiple of four.
//
//   out[i0, …, i4] = x[Σ (i_d − low_d) · stride_d]   where 0 ≤ i_d − low_d < limit_d for all d, else 0
//
// bindings   0 x: f32[..]   1 out: vec4<f32>[count], row-major over the five axes   2 params
// workgroup  64 × 1 × 1, up to 8 neighbouring vec4s of the last axis per invocation
// dispatch   x · y workgroups with x·y·64 ≥ count / size_4 · ⌈size_4 / 8⌉, numbered row by row
// limits     size_4 is counted in vec4s; low_4 must be 0; x must not be empty
// reference  Tensor::pad and Tensor::permute on the CPU

// One axis: size of the output, zeros before the input, size and stride of the input.
struct PackedAxis {
    size: u32,
    low: u32,
    limit: u32,
    stride: u32,
}

struct Params {
    // Numbers of invocations that write, and of invocations per line of the last axis.
    count: u32,
    shares: u32,
    axes: array<PackedAxis, 5>,
}

@group(0) @binding(0) var<storage, read_write> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> out: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> params: Params;

@compute @workgroup_size(64, 1, 1)
fn main(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
) {
    let at = id.y * groups.x * 64u + id.x;
    if at >= params.count {
        return;
    }
    let last = params.axes[4];
    let begin = at % params.shares * 8u;
    let end = min(begin + 8u, last.size);
    let line = at / params.shares;
    // For an index below `low`, the difference wraps around and exceeds every limit.
    let i3 = line % params.axes[3].size - params.axes[3].low;
    var rest = line / params.axes[3].size;
    let i2 = rest % params.axes[2].size - params.axes[2].low;
    rest /= params.axes[2].size;
    let i1 = rest % params.axes[1].size - params.axes[1].low;
    let i0 = rest / params.axes[1].size - params.axes[0].low;
    let inside = i0 < params.axes[0].limit && i1 < params.axes[1].limit && i2 < params.axes[2].limit
        && i3 < params.axes[3].limit;
    let first = i0 * params.axes[0].stride + i1 * params.axes[1].stride + i2 * params.axes[2].stride
        + i3 * params.axes[3].stride;
    let limit = select(0u, last.limit, inside);
    let lanes = vec4<u32>(0u, 1u, 2u, 3u);
    for (var quad = begin; quad < end; quad++) {
        let c = vec4<u32>(quad * 4u) + lanes;
        let there = c < vec4<u32>(limit);
        let place = select(vec4<u32>(0u), vec4<u32>(first) + c * last.stride, there);
        let v = vec4<f32>(x[place.x], x[place.y], x[place.z], x[place.w]);
        out[line * last.size + quad] = select(vec4<f32>(0.0), v, there);
    }
}
