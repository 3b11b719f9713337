// Value of the pixel that each window of a max pool selected.
//
//   out[p, i] = x[p, indices[p, i]]
//
// bindings   0 x: f32[planes, size]   1 indices: i32[planes, out_size]   2 out: f32[planes, out_size]   3 params
// workgroup  64 × 1 × 1, eight outputs per invocation
// dispatch   x · y workgroups with x·y·512 ≥ planes·out_size, numbered row by row
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
    out[at] = x[quotient(at, p.out_size) * p.size + u32(indices[at])];
}
