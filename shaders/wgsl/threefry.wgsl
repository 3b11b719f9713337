// Uniform random numbers: Threefry-2x32 with 20 rounds.
//
//   out[i] = (word(i mod 2) of threefry(key, (i / 2, 0)) >> 8) · 2⁻²⁴
//
// bindings   0 out: f32[count]      1 params
// workgroup  64 × 1 × 1, one block of two values per invocation
// dispatch   x · y workgroups with x·y·64 ≥ ⌈count / 2⌉, numbered row by row
// limits     those that every WebGPU device supports
// reference  values in ir/random.rs (equal bit for bit: integers, and a product with a power of two)

struct Params {
    key: vec2<u32>,
    count: u32,
    pad: u32,
}

@group(0) @binding(0) var<storage, read_write> out: array<f32>;
@group(0) @binding(1) var<storage, read_write> params: Params;

fn rotate(x: u32, by: u32) -> u32 {
    return (x << by) | (x >> (32u - by));
}

fn mix(x: vec2<u32>, by: u32) -> vec2<u32> {
    let a = x.x + x.y;
    return vec2<u32>(a, rotate(x.y, by) ^ a);
}

fn even_rounds(x: vec2<u32>) -> vec2<u32> {
    return mix(mix(mix(mix(x, 13u), 15u), 26u), 6u);
}

fn odd_rounds(x: vec2<u32>) -> vec2<u32> {
    return mix(mix(mix(mix(x, 17u), 29u), 16u), 24u);
}

fn threefry(key: vec2<u32>, counter: vec2<u32>) -> vec2<u32> {
    let parity = key.x ^ key.y ^ 0x1BD11BDAu;
    var x = counter + key;
    x = even_rounds(x) + vec2<u32>(key.y, parity + 1u);
    x = odd_rounds(x) + vec2<u32>(parity, key.x + 2u);
    x = even_rounds(x) + vec2<u32>(key.x, key.y + 3u);
    x = odd_rounds(x) + vec2<u32>(key.y, parity + 4u);
    x = even_rounds(x) + vec2<u32>(parity, key.x + 5u);
    return x;
}

@compute @workgroup_size(64, 1, 1)
fn main(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
) {
    let block = id.y * groups.x * 64u + id.x;
    let first = block * 2u;
    if first >= params.count {
        return;
    }
    let words = vec2<f32>(threefry(params.key, vec2<u32>(block, 0u)) >> vec2<u32>(8u)) / 16777216.0;
    out[first] = words.x;
    if first + 1u < params.count {
        out[first + 1u] = words.y;
    }
}
