
// Layout of the output of a product or convolution: the first offset, and strides.
struct OutLayout {
    base: u32,
    group: u32,
    image: u32,
    row: u32,
    line: u32,
    column: u32,
}
