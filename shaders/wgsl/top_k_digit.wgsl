// One step of a radix select: finds the digit of the k-th largest key from the counts, and sets the counts to zero.
//
//   d = the largest digit with Σ_{e ≥ d} counts[e] ≥ left;   left -= Σ_{e > d} counts[e];   prefix |= d << shift
//
// bindings   0 state: u32[2 + 256]: prefix, left, counts   1 params
// workgroup  256 × 1 × 1
// dispatch   one workgroup
// limits     0 < left ≤ Σ counts; 256 iterations
// reference  the CPU's top_k

struct Params {
    shift: u32,
}

@group(0) @binding(0) var<storage, read_write> state: array<u32>;
@group(0) @binding(1) var<storage, read_write> params: Params;

var<workgroup> counts: array<u32, 256>;

@compute @workgroup_size(256, 1, 1)
fn main(
    @builtin(local_invocation_index) lane: u32,
    @builtin(workgroup_id) group: vec3<u32>,
) {
    counts[lane] = state[2u + lane];
    workgroupBarrier();
    if group.x + group.y > 0u {
        return;
    }
    state[2u + lane] = 0u;
    if lane == 0u {
        var left = state[1];
        var digit = 255u;
        while digit > 0u && counts[digit] < left {
            left -= counts[digit];
            digit--;
        }
        state[0] |= digit << params.shift;
        state[1] = left;
    }
}
