//! Images as bytes, and the geometric transformation of their pixels.

/// Geometric transformation of an image: a shift, then a reflection. Pixels from outside the image are zero bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moves {
    /// Row of the image that becomes the first row of the result; it may be negative.
    pub down: i32,
    /// Column of the image that becomes the first column of the result, before mirroring; it may be negative.
    pub right: i32,
    /// True if the result is mirrored left to right.
    pub mirrored: bool,
}

impl Moves {
    /// Writes an image of bytes `[height, width, channels]` as `[channels, height, width]`. Byte `b` of channel `c`
    /// becomes `tables[c][b]`.
    ///
    /// # Panics
    /// If there are fewer tables than channels, or pixels are missing.
    pub fn write<T: Copy>(
        self,
        pixels: &[u8],
        [channels, height, width]: [usize; 3],
        tables: &[[T; 256]],
        out: &mut [T],
    ) {
        let (down, right) = (self.down as isize, self.right as isize);
        let inside = |at: isize| at.clamp(0, width as isize) as usize;
        let from = inside(-right);
        let to = inside(width as isize - right).max(from);
        for (line, out) in out.chunks_exact_mut(width).enumerate() {
            let (channel, row) = (line / height, line % height);
            let table = &tables[channel];
            let row = row as isize + down;
            if !(0..height as isize).contains(&row) || from == to {
                out.fill(table[0]);
                continue;
            }
            let start = (row * width as isize + from as isize + right) as usize * channels;
            let pixels = pixels[start..].chunks_exact(channels);
            out[..from].fill(table[0]);
            out[to..].fill(table[0]);
            for (out, pixel) in out[from..to].iter_mut().zip(pixels) {
                *out = table[usize::from(pixel[channel])];
            }
            if self.mirrored {
                out.reverse();
            }
        }
    }
}

/// Images of one size, as bytes.
#[derive(Clone, Copy, Debug)]
pub struct Batch<'a> {
    /// Bytes of `[images, height, width, channels]`.
    pub pixels: &'a [u8],
    /// Channels, height and width.
    pub shape: [usize; 3],
    /// Geometric transformation of each image.
    pub moves: &'a [Moves],
    /// F32 value of each byte, one table for each channel.
    pub tables: &'a [[f32; 256]],
}
