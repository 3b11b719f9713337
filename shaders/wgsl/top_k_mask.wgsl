// Mask of the k largest scores: those above the threshold, and the first ones equal to it.
//
//   out[i] = key(scores[i]) > prefix, or key(scores[i]) = prefix and fewer than `left` such scores come before
//
// bindings   0 scores: f32[len], read as bits   1 state: u32[2 + 256]: prefix, left, …
//            2 ties: u32[…], number before each block   3 out: u32[len]   4 params
// workgroup  256 × 1 × 1, a block of 2,048 scores per workgroup, 8 neighbouring scores per invocation
// dispatch   x · y workgroups with x·y·2,048 ≥ len, numbered row by row
// limits     len < 2³²; 24 iterations
// reference  the CPU's top_k

struct Params {
    len: u32,
    first: u32,
}

@group(0) @binding(0) var<storage, read_write> scores: array<u32>;
@group(0) @binding(1) var<storage, read_write> state: array<u32>;
@group(0) @binding(2) var<storage, read_write> ties: array<u32>;
@group(0) @binding(3) var<storage, read_write> out: array<u32>;
@group(0) @binding(4) var<storage, read_write> params: Params;

var<workgroup> counts: array<u32, 256>;

@compute @workgroup_size(256, 1, 1)
fn main(
    @builtin(local_invocation_index) lane: u32,
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
) {
    let block = group.y * groups.x + group.x;
    let start = block * 2048u + lane * 8u;
    let end = min(start + 8u, max(params.len, start));
    let threshold = state[0];
    var found = 0u;
    for (var at = start; at < end; at++) {
        if key(scores[at]) == threshold {
            found++;
        }
    }
    counts[lane] = found;
    workgroupBarrier();
    for (var step = 1u; step < 256u; step *= 2u) {
        var sum = counts[lane];
        if lane >= step {
            sum += counts[lane - step];
        }
        workgroupBarrier();
        counts[lane] = sum;
        workgroupBarrier();
    }
    if start >= params.len {
        return;
    }
    var before = ties[params.first + block] + counts[lane] - found;
    for (var at = start; at < end; at++) {
        let k = key(scores[at]);
        var keep = k > threshold;
        if k == threshold {
            keep = before < state[1];
            before++;
        }
        out[at] = u32(keep);
    }
}
