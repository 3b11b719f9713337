
// Integer division by a number that is known at launch, appended to kernels that need it. Multiplication and shift are
// faster than division, for which processors have no vector instruction.

// A number to divide by: ⌊n / by⌋ = (⌊n · magic / 2³²⌋ + n) >> shift for n < 2³¹.
struct Divisor {
    by: u32,
    magic: u32,
    shift: u32,
}

fn quotient(n: u32, divisor: Divisor) -> u32 {
    let low = vec2<u32>(n & 0xffffu, divisor.magic & 0xffffu);
    let high = vec2<u32>(n >> 16u, divisor.magic >> 16u);
    let first = high.x * low.y + ((low.x * low.y) >> 16u);
    let second = low.x * high.y + (first & 0xffffu);
    return (high.x * high.y + (first >> 16u) + (second >> 16u) + n) >> divisor.shift;
}
