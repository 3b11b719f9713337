// One pass of a radix select: histogram of the next digit of the scores whose higher digits are those of the k-th
// largest key.
//
//   counts[digit(key(scores[i]))] += 1      for all i with key(scores[i]) & mask = prefix
//
// bindings   0 scores: f32[len], read as bits   1 state: u32[2 + 256]: prefix, left, counts   2 params
// workgroup  256 × 1 × 1, a block of 16,384 scores per workgroup
// dispatch   x · y workgroups with x·y·16,384 ≥ len, numbered row by row
// limits     len < 2³²; 64 iterations; atomics of integers only, whose sums do not depend on the order
// reference  the CPU's top_k

struct Params {
    len: u32,
    // Mask of the higher digits, and position of the digit's lowest bit.
    mask: u32,
    shift: u32,
}

@group(0) @binding(0) var<storage, read_write> scores: array<u32>;
@group(0) @binding(1) var<storage, read_write> state: array<atomic<u32>>;
@group(0) @binding(2) var<storage, read_write> params: Params;

var<workgroup> counts: array<atomic<u32>, 256>;

@compute @workgroup_size(256, 1, 1)
fn main(
    @builtin(local_invocation_index) lane: u32,
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
) {
    atomicStore(&counts[lane], 0u);
    workgroupBarrier();
    let prefix = atomicLoad(&state[0]);
    let first = (group.y * groups.x + group.x) * 16384u + lane;
    for (var i = 0u; i < 64u; i++) {
        let at = first + i * 256u;
        if at < params.len {
            let k = key(scores[at]);
            if (k & params.mask) == prefix {
                atomicAdd(&counts[(k >> params.shift) & 255u], 1u);
            }
        }
    }
    workgroupBarrier();
    let count = atomicLoad(&counts[lane]);
    if count > 0u {
        atomicAdd(&state[2u + lane], count);
    }
}
