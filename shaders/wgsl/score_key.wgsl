
// Unsigned number in the order of the scores, from the bits of a score: key(a) > key(b) iff a ranks before b. −0 is less
// than +0, and NaN less than every number.
fn key(bits: u32) -> u32 {
    if (bits & 0x7fffffffu) > 0x7f800000u {
        return 0u;
    }
    return select(bits | 0x80000000u, ~bits, bits >> 31u == 1u);
}
