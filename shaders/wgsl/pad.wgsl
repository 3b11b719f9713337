// Zeros around and between elements of four bytes, whatever these mean.
//
//   out[l + i · s] = x[i], elsewhere 0, with l and s for each axis
//
// bindings   0 x: u32[…]   1 out: u32[len]   2 params
// workgroup  64 × 1 × 1, eight outputs an invocation
// dispatch   x · y workgroups of which x·y·512 ≥ len; rows are x workgroups long
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

fn element(at: u32, p: Params) {
    if at >= p.len {
        return;
    }
    var axes = p.axes;
    var rest = at;
    var source = 0u;
    var stride = 1u;
    var inside = true;
    for (var n = 0u; n < p.rank; n++) {
        let axis = axes[n];
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

@compute @workgroup_size(64, 1, 1)
fn main(
    @builtin(local_invocation_index) lane: u32,
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
) {
    // Read once for eight outputs: software rasterizers read uniforms one by one.
    let uniforms = params;
    let first = (group.y * groups.x + group.x) * 512u + lane;
    for (var i = 0u; i < 8u; i++) {
        element(first + i * 64u, uniforms);
    }
}
