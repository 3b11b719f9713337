// Number of scores in each block that are equal to the threshold.
//
//   ties[first + b] = #{ i in block b : key(scores[i]) = prefix }
//
// bindings   0 scores: f32[len], read as bits   1 state: u32[2 + 256]: prefix, …   2 ties: u32[…]   3 params
// workgroup  256 × 1 × 1, a block of 2,048 scores per workgroup
// dispatch   x · y workgroups with x·y·2,048 ≥ len, numbered row by row
// limits     len < 2³²; 8 iterations; atomics of integers only
// reference  the CPU's top_k

struct Params {
    len: u32,
    first: u32,
}

@group(0) @binding(0) var<storage, read_write> scores: array<u32>;
@group(0) @binding(1) var<storage, read_write> state: array<u32>;
@group(0) @binding(2) var<storage, read_write> ties: array<u32>;
@group(0) @binding(3) var<storage, read_write> params: Params;

var<workgroup> count: atomic<u32>;

@compute @workgroup_size(256, 1, 1)
fn main(
    @builtin(local_invocation_index) lane: u32,
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
) {
    if lane == 0u {
        atomicStore(&count, 0u);
    }
    workgroupBarrier();
    let block = group.y * groups.x + group.x;
    var found = 0u;
    for (var i = 0u; i < 8u; i++) {
        let at = block * 2048u + i * 256u + lane;
        if at < params.len && key(scores[at]) == state[0] {
            found++;
        }
    }
    if found > 0u {
        atomicAdd(&count, found);
    }
    workgroupBarrier();
    if lane == 0u && block * 2048u < params.len {
        ties[params.first + block] = atomicLoad(&count);
    }
}
