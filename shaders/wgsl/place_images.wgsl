// Shifts, mirrors and normalises images of bytes.
//
//   out[n, c, h, w] = table[c, bytes[n, h + down(n), w' + right(n), c]], with w' = w, or width − 1 − w if mirrored(n);
//   bytes outside the image count as 0
//
// bindings   0 bytes: u32[⌈images·height·width·channels / 4⌉], the first byte lowest   1 moves: Motion[images]
//            2 table: f32[channels, 256]   3 out: f32[images, channels, height, width]   4 params
// workgroup  64 × 1 × 1, eight outputs per invocation
// dispatch   x · y workgroups with x·y·512 ≥ images·channels·height·width, numbered row by row
// limits     sizes below 2³¹
// reference  Moves::write in ir/images.rs; equal to it bit for bit, because both read the same table

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

fn element(at: u32, p: Params) {
    let image = quotient(at, p.image);
    let inside = at - image * p.image.by;
    let channel = quotient(inside, p.plane);
    let place = inside - channel * p.plane.by;
    let row = quotient(place, p.row);
    let width = p.row.by;
    var column = place - row * width;
    let motion = moves[image];
    if motion.mirrored == 1u {
        column = width - 1u - column;
    }
    let h = i32(row) + motion.down;
    let w = i32(column) + motion.right;
    var byte = 0u;
    if h >= 0 && h < i32(p.height) && w >= 0 && w < i32(width) {
        let pixel = (image * p.height + u32(h)) * width + u32(w);
        let at_byte = pixel * p.channels + channel;
        byte = (bytes[at_byte / 4u] >> (at_byte % 4u * 8u)) & 255u;
    }
    out[at] = table[channel * 256u + byte];
}
