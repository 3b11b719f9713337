// The pixel that each pooling window has picked.
//
//   out[p, i] = x[p, indices[p, i]]
//
// bindings   0 x: f32[planes, size]   1 indices: i32[planes, out_size]   2 out: f32[planes, out_size]   3 params
// workgroup  64 × 1 × 1, one output an invocation
// dispatch   x · y workgroups of which x·y·64 ≥ planes·out_size; rows are x workgroups long
// limits     indices must lie in 0..size
// reference  the CPU's pool_gather

struct Params {
    len: u32,
    out_size: Divisor,
    size: u32,
}

@group(0) @binding(0) var<storage, read_write> x: array<f32>;
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
    out[at] = x[quotient(at, params.out_size) * params.size + u32(indices[at])];
}
