// How many scores of each block lie at a threshold.
//
//   ties[first + b] = #{ i in block b : key(scores[i]) = prefix }
//
// bindings   0 scores: f32[len], read as bits   1 state: u32[2 + 256]: prefix, …   2 ties: u32[…]   3 params
// workgroup  256 × 1 × 1, a block of 2,048 scores a workgroup
// dispatch   x · y workgroups of which x·y·2,048 ≥ len; rows are x workgroups long
// limits     len < 2³²; 8 iterations; integer atomics only
// reference  the CPU's top_k; the key is that of top_k_histogram.wgsl

struct Params {
    len: u32,
    first: u32,
}

@group(0) @binding(0) var<storage, read_write> scores: array<u32>;
@group(0) @binding(1) var<storage, read_write> state: array<u32>;
@group(0) @binding(2) var<storage, read_write> ties: array<u32>;
@group(0) @binding(3) var<storage, read_write> params: Params;

var<workgroup> count: atomic<u32>;

fn key(bits: u32) -> u32 {
    if (bits & 0x7fffffffu) > 0x7f800000u {
        return 0u;
    }
    return select(bits | 0x80000000u, ~bits, bits >> 31u == 1u);
}

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
