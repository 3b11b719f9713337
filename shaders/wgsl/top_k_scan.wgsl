// Exclusive prefix sum, in place.
//
//   ties[b] = Σ_{a < b} ties[a]
//
// bindings   0 ties: u32[blocks]   1 params
// workgroup  256 × 1 × 1; ⌈blocks / 256⌉ neighbouring blocks per invocation
// dispatch   one workgroup
// limits     2 ⌈blocks / 256⌉ + 256 iterations per invocation (llvmpipe allows 65,535: 8 million blocks)
// reference  the CPU's top_k

struct Params {
    blocks: u32,
}

@group(0) @binding(0) var<storage, read_write> ties: array<u32>;
@group(0) @binding(1) var<storage, read_write> params: Params;

var<workgroup> sums: array<u32, 256>;

@compute @workgroup_size(256, 1, 1)
fn main(
    @builtin(local_invocation_index) lane: u32,
    @builtin(workgroup_id) group: vec3<u32>,
) {
    let per = (params.blocks + 255u) / 256u;
    let start = min(lane * per, params.blocks);
    let end = min(start + per, params.blocks);
    var sum = 0u;
    for (var b = start; b < end; b++) {
        sum += ties[b];
    }
    sums[lane] = sum;
    workgroupBarrier();
    if group.x + group.y > 0u {
        return;
    }
    var before = 0u;
    for (var other = 0u; other < lane; other++) {
        before += sums[other];
    }
    for (var b = start; b < end; b++) {
        let count = ties[b];
        ties[b] = before;
        before += count;
    }
}
