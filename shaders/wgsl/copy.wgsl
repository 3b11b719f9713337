// Copy of a buffer; benchmarks compare the memory bandwidth of other kernels with it.
//
//   out[i] = source[i]
//
// bindings   0 source: vec4<f32>[count]   1 out: vec4<f32>[count]   2 params
// workgroup  256 × 1 × 1, four floats per invocation
// dispatch   x · y workgroups with x·y·256 ≥ count, numbered row by row
// limits     the number of floats is a multiple of four
// reference  a copy on the host

struct Params {
    count: u32,
}

@group(0) @binding(0) var<storage, read_write> source: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read_write> out: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> params: Params;

@compute @workgroup_size(256, 1, 1)
fn main(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
) {
    let at = id.y * groups.x * 256u + id.x;
    if at < params.count {
        out[at] = source[at];
    }
}
