// Second pass of a sum that is computed in parts: adds the parts in order.
//
//   out[i] = Σ_p parts[p · count + i]      p = 0, …, parts − 1
//
// bindings   0 parts: f32[parts, count]   1 out: f32[count]   2 params
// workgroup  64 × 1 × 1, one element per invocation
// dispatch   x · y workgroups with x·y·64 ≥ count, numbered row by row
// limits     one iteration per part (llvmpipe allows 65,535)
// reference  Tensor::sum over the first axis, on the CPU

struct Params {
    count: u32,
    parts: u32,
}

@group(0) @binding(0) var<storage, read_write> parts: array<f32>;
@group(0) @binding(1) var<storage, read_write> out: array<f32>;
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
    var sum = 0.0;
    for (var p = 0u; p < params.parts; p++) {
        sum += parts[p * params.count + at];
    }
    out[at] = sum;
}
