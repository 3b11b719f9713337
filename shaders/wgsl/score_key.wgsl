
// Returns the key of a score from its bits: an unsigned number, with key(a) > key(b) exactly if a ranks before b. −0
// is less than +0, and NaN less than every number.
fn key(bits: u32) -> u32 {
    if (bits & 0x7fffffffu) > 0x7f800000u {
        return 0u;
    }
    return select(bits | 0x80000000u, ~bits, bits >> 31u == 1u);
}
