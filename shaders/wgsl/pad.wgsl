// Padding with zeros around and between elements, for every type of four bytes.
//
//   out[l + i · s] = x[i], elsewhere 0, with l and s for each axis
//
// bindings   0 x: u32[…]   1 out: u32[len]   2 params
// workgroup  64 × 1 × 1, eight outputs per invocation
// dispatch   x · y workgroups with x·y·512 ≥ len, numbered row by row
// limits     6 axes
// reference  the CPU's pad

// One axis: size of the output, distance between elements there, size of the input, and zeros before its first
// element.
struct PaddedAxis {
    out_size: Divisor,
    step: Divisor,
    size: u32,
    low: u32,
}

struct Params {
    len: u32,
    rank: u32,
    // From the last axis to the first. Not an array, because software rasterizers index arrays slowly.
    axis0: PaddedAxis,
    axis1: PaddedAxis,
    axis2: PaddedAxis,
    axis3: PaddedAxis,
    axis4: PaddedAxis,
    axis5: PaddedAxis,
}

// State of the mapping from an output to its input, axis by axis: the rest of the output's index, the input's index so
// far, the input's stride along the next axis, and false if the output is padding.
struct Way {
    rest: u32,
    source: u32,
    stride: u32,
    inside: bool,
}

fn along(axis: PaddedAxis, way: Way) -> Way {
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
