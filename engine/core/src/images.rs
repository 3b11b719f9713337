//! Batches of images from bytes: moved, mirrored and normalised where the network runs.

use rayon::prelude::*;

use crate::runtime;
use crate::{DType, Device, Error, Result, Tensor};

/// Where the pixels of an image go. Pixels that come from outside are zero bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moves {
    /// The row of the image that the first row shows; it may be negative.
    pub down: i32,
    /// The column of the image that the first column shows; it may be negative.
    pub right: i32,
    /// Whether the result is mirrored left to right.
    pub mirrored: bool,
}

impl Moves {
    /// Writes an image of bytes `[height, width, channels]` as `[channels, height, width]`, each byte as its channel's
    /// table has it.
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
    /// Where the pixels of each image go.
    pub moves: &'a [Moves],
    /// What each byte of a channel becomes.
    pub tables: &'a [[f32; 256]],
}

impl Batch<'_> {
    /// The images as an F32 tensor `[images, channels, height, width]`: the same bits on every device. To a GPU go the
    /// bytes.
    ///
    /// ```
    /// use prospr_engine::Device;
    /// use prospr_engine::images::{Batch, Moves};
    /// let moves = Moves { right: 1, mirrored: true, ..Moves::default() };
    /// let batch = Batch {
    ///     pixels: &[1, 2, 3, 4, 5, 6],
    ///     shape: [1, 2, 3],
    ///     moves: &[moves],
    ///     tables: &[std::array::from_fn(|byte| byte as f32 / 2.0)],
    /// };
    /// let images = batch.to_tensor(&Device::cpu())?;
    /// assert_eq!(images.to_vec::<f32>()?, [0.0, 1.5, 1.0, 0.0, 3.0, 2.5]);
    /// # Ok::<(), prospr_engine::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Length`] if the bytes do not fill the images or a channel has no table; [`Error::Device`] if the device
    /// fails.
    pub fn to_tensor(&self, device: &Device) -> Result<Tensor> {
        let [c, h, w] = self.shape;
        let shape = [self.moves.len(), c, h, w];
        let length = |expected: usize, found: usize| match expected == found {
            true => Ok(()),
            false => Err(Error::Length {
                shape: shape.to_vec(),
                expected,
                found,
            }),
        };
        let size = c * h * w;
        length(self.moves.len() * size, self.pixels.len())?;
        length(c, self.tables.len())?;
        if self.pixels.is_empty() {
            return Ok(Tensor::zeros(&shape, DType::F32, device));
        }
        if let Some(buffer) = runtime::place_images(self, device) {
            return Ok(Tensor::from_buffer(buffer, &shape, DType::F32, device));
        }
        let mut values = vec![0.0; self.pixels.len()];
        values
            .par_chunks_exact_mut(size)
            .zip(self.pixels.par_chunks_exact(size))
            .zip(self.moves)
            .for_each(|((out, pixels), moves)| {
                moves.write(pixels, self.shape, self.tables, out);
            });
        Tensor::new(&values, &shape, device)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Key;

    #[test]
    fn every_device_gives_the_same_bits() {
        for (seed, [n, c, h, w]) in [[1, 1, 1, 1], [3, 1, 5, 7], [5, 3, 32, 32], [2, 4, 9, 6]]
            .into_iter()
            .enumerate()
        {
            let draws = |seed, count| Key::new(seed).uniforms(count);
            let bytes: Vec<u8> = draws(seed as u64, n * c * h * w)
                .iter()
                .map(|u| (u * 256.0) as u8)
                .collect();
            let moves: Vec<Moves> = draws(9, 3 * n)
                .chunks(3)
                .map(|u| Moves {
                    down: (u[0] * 14.0) as i32 - 7,
                    right: (u[1] * 14.0) as i32 - 7,
                    mirrored: u[2] < 0.5,
                })
                .collect();
            let tables: Vec<[f32; 256]> = (0..c)
                .map(|c| std::array::from_fn(|byte| byte as f32 * 0.017 - 0.3 * c as f32 - 1.1))
                .collect();
            let batch = Batch {
                pixels: &bytes,
                shape: [c, h, w],
                moves: &moves,
                tables: &tables,
            };
            let read = |device: &Device| batch.to_tensor(device).unwrap().to_bytes().unwrap();
            let cpu = read(&Device::cpu());
            assert_eq!(cpu, read(&Device::gpu().unwrap()), "{c} × {h} × {w}");
            // By the definition.
            let (cpu, at) = (bytemuck::pod_collect_to_vec::<u8, f32>(&cpu), |i: usize| {
                let (image, channel, row, column) =
                    (i / (c * h * w), i / (h * w) % c, i / w % h, i % w);
                let moves = moves[image];
                let column = if moves.mirrored {
                    w - 1 - column
                } else {
                    column
                };
                let (row, column) = (row as i32 + moves.down, column as i32 + moves.right);
                let inside = (0..h as i32).contains(&row) && (0..w as i32).contains(&column);
                let place = (image as i32 * h as i32 + row) * w as i32 + column;
                let byte = inside.then(|| bytes[place as usize * c + channel]);
                tables[channel][usize::from(byte.unwrap_or(0))]
            });
            for (i, &value) in cpu.iter().enumerate() {
                assert_eq!(value, at(i), "{i} of {c} × {h} × {w}");
            }
        }
        let wrong = Batch {
            pixels: &[0; 5],
            shape: [1, 2, 3],
            moves: &[Moves::default()],
            tables: &[[0.0; 256]],
        };
        assert!(wrong.to_tensor(&Device::cpu()).is_err());
    }
}
