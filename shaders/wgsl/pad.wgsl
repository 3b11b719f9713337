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
    // The last axis first. (No array: software rasterizers are slow at those.)
    axis0: Axis,
    axis1: Axis,
    axis2: Axis,
    axis3: Axis,
    axis4: Axis,
    axis5: Axis,
}

// On the way from an output to its input: what is left of the output's index, the input's index, the distance of
// neighbours along the next axis there, and whether there is such an input.
struct Way {
    rest: u32,
    source: u32,
    stride: u32,
    inside: bool,
}

fn along(axis: Axis, way: Way) -> Way {
    let outer = quotient(way.rest, axis.out_size);
    let coordinate = way.rest - outer * axis.out_size.by;
    let place = max(coordinate, axis.low) - axis.low;
    let index = quotient(place, axis.step);
    let inside = coordinate >= axis.low && index * axis.step.by == place && index < axis.size;
    return Way(outer, way.source + index * way.stride, way.stride * axis.size, way.inside && inside);
}

@group(0) @binding(0) var<storage, read_write> x: array<u32>;
@group(0) @binding(1) var<storage, read_write> out: array<u32>;
@group(0) @binding(2) var<storage, read_write> params: Params;

fn element(at: u32, p: Params) {
    if at >= p.len {
        return;
    }
    var way = along(p.axis0, Way(at, 0u, 1u, true));
    if p.rank > 1u {
        way = along(p.axis1, way);
    }
    if p.rank > 2u {
        way = along(p.axis2, way);
    }
    if p.rank > 3u {
        way = along(p.axis3, way);
    }
    if p.rank > 4u {
        way = along(p.axis4, way);
    }
    if p.rank > 5u {
        way = along(p.axis5, way);
    }
    var value = 0u;
    if way.inside {
        value = x[way.source];
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
