// Images of bytes, moved, mirrored and normalised.
//
//   out[n, c, h, w] = table[c, bytes[n, h + down(n), w' + right(n), c]], with w' = w, or width − 1 − w if mirrored(n);
//   a byte from outside is 0
//
// bindings   0 bytes: u32[⌈images·height·width·channels / 4⌉], the first byte lowest   1 moves: Motion[images]
//            2 table: f32[channels, 256]   3 out: f32[images, channels, height, width]   4 params
// workgroup  64 × 1 × 1, one output an invocation
// dispatch   x · y workgroups of which x·y·64 ≥ images·channels·height·width; rows are x workgroups long
// limits     sizes below 2³¹
// reference  Moves::write in images.rs; equal to it bit for bit, as values are looked up

struct Params {
    len: u32,
    image: Divisor,
    plane: Divisor,
    row: Divisor,
    channels: u32,
    height: u32,
}

struct Motion {
    down: i32,
    right: i32,
    mirrored: u32,
}

@group(0) @binding(0) var<storage, read_write> bytes: array<u32>;
@group(0) @binding(1) var<storage, read_write> moves: array<Motion>;
@group(0) @binding(2) var<storage, read_write> table: array<f32>;
@group(0) @binding(3) var<storage, read_write> out: array<f32>;
@group(0) @binding(4) var<storage, read_write> params: Params;

@compute @workgroup_size(64, 1, 1)
fn main(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
) {
    let at = id.y * groups.x * 64u + id.x;
    if at >= params.len {
        return;
    }
    let image = quotient(at, params.image);
    let inside = at - image * params.image.by;
    let channel = quotient(inside, params.plane);
    let place = inside - channel * params.plane.by;
    let row = quotient(place, params.row);
    let width = params.row.by;
    var column = place - row * width;
    let motion = moves[image];
    if motion.mirrored == 1u {
        column = width - 1u - column;
    }
    let h = i32(row) + motion.down;
    let w = i32(column) + motion.right;
    var byte = 0u;
    if h >= 0 && h < i32(params.height) && w >= 0 && w < i32(width) {
        let pixel = (image * params.height + u32(h)) * width + u32(w);
        let at_byte = pixel * params.channels + channel;
        byte = (bytes[at_byte / 4u] >> (at_byte % 4u * 8u)) & 255u;
    }
    out[at] = table[channel * 256u + byte];
}
