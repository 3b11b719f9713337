// Zeros around and between elements of four bytes, whatever these mean.
//
//   out[l + i · s] = x[i], elsewhere 0, with l and s for each axis
//
// bindings   0 x: u32[…]   1 out: u32[len]   2 params
// workgroup  64 × 1 × 1, one output an invocation
// dispatch   x · y workgroups of which x·y·64 ≥ len; rows are x workgroups long
// limits     6 axes
// reference  the CPU's pad

struct Axis {
    out_size: Divisor,
    step: Divisor,
    size: u32,
    low: u32,
}

struct Params {
    len: u32,
    rank: u32,
    // The last axis first.
    axes: array<Axis, 6>,
}

@group(0) @binding(0) var<storage, read_write> x: array<u32>;
@group(0) @binding(1) var<storage, read_write> out: array<u32>;
@group(0) @binding(2) var<storage, read_write> params: Params;

@compute @workgroup_size(64, 1, 1)
fn main(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
) {
    let at = id.y * groups.x * 64u + id.x;
    if at >= params.len {
        return;
    }
    var rest = at;
    var source = 0u;
    var stride = 1u;
    var inside = true;
    for (var n = 0u; n < params.rank; n++) {
        let axis = params.axes[n];
        let outer = quotient(rest, axis.out_size);
        let coordinate = rest - outer * axis.out_size.by;
        let place = max(coordinate, axis.low) - axis.low;
        let index = quotient(place, axis.step);
        inside = inside && coordinate >= axis.low && index * axis.step.by == place && index < axis.size;
        source += index * stride;
        stride *= axis.size;
        rest = outer;
    }
    var value = 0u;
    if inside {
        value = x[source];
    }
    out[at] = value;
}
