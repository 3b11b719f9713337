//! Batches of images from bytes, shifted, mirrored and normalised on the device of the network.

use rayon::prelude::*;

pub use crate::ir::images::{Batch, Moves};
use crate::runtime;
use crate::{DType, Device, Error, Result, Tensor};

impl Batch<'_> {
    /// Returns the images as an F32 tensor `[images, channels, height, width]` with the same bits on every device. A
    /// GPU receives bytes and converts them itself.
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
            false => Err(Error::Length { shape: shape.to_vec(), expected, found }),
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
        for (seed, [n, c, h, w]) in
            [[1, 1, 1, 1], [3, 1, 5, 7], [5, 3, 32, 32], [2, 4, 9, 6]].into_iter().enumerate()
        {
            let draws = |seed, count| Key::new(seed).uniforms(count);
            let bytes: Vec<u8> =
                draws(seed as u64, n * c * h * w).iter().map(|u| (u * 256.0) as u8).collect();
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
            let batch = Batch { pixels: &bytes, shape: [c, h, w], moves: &moves, tables: &tables };
            let read = |device: &Device| batch.to_tensor(device).unwrap().to_bytes().unwrap();
            let cpu = read(&Device::cpu());
            assert_eq!(cpu, read(&Device::gpu().unwrap()), "{c} × {h} × {w}");
            // Returns an element by the definition.
            let (cpu, at) = (bytemuck::pod_collect_to_vec::<u8, f32>(&cpu), |i: usize| {
                let (image, channel, row, column) =
                    (i / (c * h * w), i / (h * w) % c, i / w % h, i % w);
                let moves = moves[image];
                let column = if moves.mirrored { w - 1 - column } else { column };
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
