// Scatter-add along one axis, in the order of the axis.
//
//   out[o, indices[o, i, k], k] += values[o, i, k]      for i = start, …, end − 1
//
// bindings   0 values: f32[outer, len, inner]   1 indices: i32[outer, len, inner]
//            2 out: f32[outer, size, inner]     3 params
// workgroup  64 × 1 × 1, one line (o, k) per invocation, without atomics
// dispatch   x · y workgroups with x·y·64 ≥ outer·inner, numbered row by row
// limits     indices must lie in 0..size; end − start iterations per invocation (llvmpipe allows 65,535)
// reference  Flex's scatter with IndexingUpdateOp::Add

struct Params {
    outer: u32,
    len: u32,
    inner: u32,
    size: u32,
    start: u32,
    end: u32,
}

@group(0) @binding(0) var<storage, read_write> values: array<f32>;
@group(0) @binding(1) var<storage, read_write> indices: array<i32>;
@group(0) @binding(2) var<storage, read_write> out: array<f32>;
@group(0) @binding(3) var<storage, read_write> params: Params;

@compute @workgroup_size(64, 1, 1)
fn main(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
) {
    let line = id.y * groups.x * 64u + id.x;
    if line >= params.outer * params.inner {
        return;
    }
    let outer = line / params.inner;
    let inner = line % params.inner;
    let to = outer * params.size * params.inner + inner;
    let first = outer * params.len * params.inner + inner;
    for (var i = params.start; i < params.end; i++) {
        let at = first + i * params.inner;
        out[to + u32(indices[at]) * params.inner] += values[at];
    }
}
