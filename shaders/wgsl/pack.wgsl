// A five-dimensional copy into a padded layout whose last axis is a multiple of four: any strides, zeros around.
//
//   out[i0, …, i4] = x[base + Σ (i_d − low_d) · stride_d]   where 0 ≤ i_d − low_d < limit_d for all d, else 0
//
// bindings   0 x: f32[..]   1 out: vec4<f32>[count], row-major over the five axes   2 params
// workgroup  64 × 1 × 1, one vec4 (four neighbours along the last axis) an invocation
// dispatch   x · y workgroups of which x·y·64 ≥ count; rows are x workgroups long
// limits     size_4 is counted in vec4s; low_4 must be 0
// reference  Tensor::pad and Tensor::permute on the CPU

struct Axis {
    size: u32,
    low: u32,
    limit: u32,
    stride: u32,
}

struct Params {
    count: u32,
    base: u32,
    axes: array<Axis, 5>,
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
    let c = (at % last.size) * 4u;
    var rest = at / last.size;
    // Below `low`, the difference wraps and lies beyond every limit.
    let i3 = rest % params.axes[3].size - params.axes[3].low;
    rest /= params.axes[3].size;
    let i2 = rest % params.axes[2].size - params.axes[2].low;
    rest /= params.axes[2].size;
    let i1 = rest % params.axes[1].size - params.axes[1].low;
    let i0 = rest / params.axes[1].size - params.axes[0].low;
    let inside = i0 < params.axes[0].limit && i1 < params.axes[1].limit && i2 < params.axes[2].limit
        && i3 < params.axes[3].limit;
    let place = params.base + i0 * params.axes[0].stride + i1 * params.axes[1].stride
        + i2 * params.axes[2].stride + i3 * params.axes[3].stride + c * last.stride;
    var v = vec4<f32>(0.0);
    if inside && c < last.limit {
        v.x = x[place];
    }
    if inside && c + 1u < last.limit {
        v.y = x[place + last.stride];
    }
    if inside && c + 2u < last.limit {
        v.z = x[place + 2u * last.stride];
    }
    if inside && c + 3u < last.limit {
        v.w = x[place + 3u * last.stride];
    }
    out[at] = v;
}
