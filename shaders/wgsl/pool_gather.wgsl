// The pixel that each pooling window has picked.
//
//   out[p, i] = x[p, indices[p, i]]
//
// bindings   0 x: f32[planes, size]   1 indices: i32[planes, out_size]   2 out: f32[planes, out_size]   3 params
// workgroup  64 × 1 × 1, eight outputs an invocation
// dispatch   x · y workgroups of which x·y·512 ≥ planes·out_size; rows are x workgroups long
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

fn element(at: u32, p: Params) {
    if at >= p.len {
        return;
    }
    out[at] = x[quotient(at, p.out_size) * p.size + u32(indices[at])];
}

@compute @workgroup_size(64, 1, 1)
fn main(
    @builtin(local_invocation_index) lane: u32,
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
) {
    // Read once for eight outputs: software rasterizers read uniforms one by one.
    let uniforms = params;
    let first = (group.y * groups.x + group.x) * 512u + lane;
    for (var i = 0u; i < 8u; i++) {
        element(first + i * 64u, uniforms);
    }
}
