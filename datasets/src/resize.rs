//! Image resizing as in Pillow (and torchvision): bilinear, with a triangle filter that widens when the image shrinks,
//! so that every pixel contributes.

use std::ops::Range;

use crate::Image;

/// A rectangle in an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Window {
    pub top: usize,
    pub left: usize,
    pub height: usize,
    pub width: usize,
}

impl Window {
    /// The rectangle of a whole image.
    pub fn whole(image: &Image) -> Window {
        Window { top: 0, left: 0, height: image.height, width: image.width }
    }
}

/// Resampling weights along one axis from `from` to `to` pixels. For each output pixel in `some`: the index
/// of the first
/// input pixel that contributes, and the weights of this pixel and its successors.
fn weights(from: usize, to: usize, some: Range<usize>) -> Vec<(usize, Vec<f32>)> {
    let scale = from as f64 / to as f64;
    let reach = scale.max(1.0);
    let line = |at: usize| {
        let center = (at as f64 + 0.5) * scale;
        let first = (center - reach + 0.5).max(0.0) as usize;
        let end = ((center + reach + 0.5) as usize).min(from);
        let weight = |i: usize| (1.0 - ((i as f64 + 0.5 - center) / reach).abs()).max(0.0);
        let sum: f64 = (first..end).map(weight).sum();
        let weights = (first..end).map(|i| (weight(i) / sum) as f32).collect();
        (first, weights)
    };
    some.map(line).collect()
}

/// Resizes a part of an image by bilinear interpolation.
pub(crate) fn bilinear(image: &Image, part: Window, [height, width]: [usize; 2]) -> Image<'static> {
    let all = Window { top: 0, left: 0, height, width };
    bilinear_part(image, part, [height, width], all)
}

/// Computes only the rectangle `wanted` of the result of [`bilinear`].
pub(crate) fn bilinear_part(
    image: &Image,
    part: Window,
    size: [usize; 2],
    wanted: Window,
) -> Image<'static> {
    match image.channels {
        1 => bilinear_of::<1>(image, part, size, wanted),
        _ => bilinear_of::<3>(image, part, size, wanted),
    }
}

fn bilinear_of<const C: usize>(
    image: &Image,
    part: Window,
    size: [usize; 2],
    wanted: Window,
) -> Image<'static> {
    let (height, width) = (wanted.height, wanted.width);
    let rows = weights(part.height, size[0], wanted.top..wanted.top + height);
    let columns = weights(part.width, size[1], wanted.left..wanted.left + width);
    let mut narrow = vec![0f32; part.height * width * C];
    for (row, out) in narrow.chunks_exact_mut(width * C).enumerate() {
        let start = ((part.top + row) * image.width + part.left) * C;
        let pixels = &image.pixels[start..start + part.width * C];
        for ((first, weights), out) in columns.iter().zip(out.chunks_exact_mut(C)) {
            let mut sum = [0f32; C];
            for (pixel, weight) in pixels[first * C..].chunks_exact(C).zip(weights) {
                for c in 0..C {
                    sum[c] += weight * f32::from(pixel[c]);
                }
            }
            out.copy_from_slice(&sum);
        }
    }
    let mut pixels = Vec::with_capacity(height * width * C);
    let mut sum = vec![0f32; width * C];
    for (first, weights) in rows {
        sum.fill(0.5); // so that the conversion to u8 rounds
        for (row, weight) in narrow[first * width * C..].chunks_exact(width * C).zip(weights) {
            for (sum, value) in sum.iter_mut().zip(row) {
                *sum += weight * value;
            }
        }
        pixels.extend(sum.iter().map(|&value| value as u8));
    }
    Image { pixels: pixels.into(), height, width, channels: C }
}

/// Resizes an image of one channel by nearest neighbour.
pub(crate) fn nearest(image: &Image, [height, width]: [usize; 2]) -> Image<'static> {
    let place = |at: usize, from: usize, to: usize| (2 * at + 1) * from / (2 * to);
    let mut pixels = Vec::with_capacity(height * width);
    for row in 0..height {
        let start = place(row, image.height, height) * image.width;
        pixels.extend(
            (0..width).map(|column| image.pixels[start + place(column, image.width, width)]),
        );
    }
    Image { pixels: pixels.into(), height, width, channels: 1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(height: usize, width: usize, channels: usize) -> Image<'static> {
        let byte = |i: usize| ((i * 37 + i * i % 101) % 256) as u8;
        Image {
            pixels: (0..height * width * channels).map(byte).collect(),
            height,
            width,
            channels,
        }
    }

    /// Values computed by Pillow 13.0. It also rounds between the two passes, hence the tolerance.
    #[test]
    fn resizes_as_pillow_does() {
        let close = |found: &Image, expected: &[u8]| {
            assert_eq!(found.pixels.len(), expected.len());
            for (a, b) in found.pixels.iter().zip(expected) {
                assert!(a.abs_diff(*b) <= 1, "{a} against {b}");
            }
        };
        let source = image(6, 7, 3);
        let smaller = [
            86, 110, 96, 139, 123, 123, 125, 102, 118, 142, 126, 124, 107, 121, 92, 109, 136, 140,
            94, 110, 127, 116, 95, 135, 140, 126, 99, 122, 143, 143, 137, 126, 132, 103, 130, 104,
        ];
        close(&bilinear(&source, Window::whole(&source), [3, 4]), &smaller);
        let part = Window { top: 1, left: 2, height: 3, width: 4 };
        let larger = [
            253, 89, 82, 200, 149, 146, 99, 99, 101, 55, 60, 66, 136, 145, 156, 136, 95, 115, 163,
            167, 190, 103, 129, 125, 52, 83, 72, 100, 135, 172, 44, 93, 143, 124, 177, 206, 97,
            136, 145, 49, 86, 95, 84, 151, 182, 7, 82, 159, 98, 177, 188, 83, 117, 152, 48, 67,
            127, 94, 187, 181,
        ];
        close(&bilinear(&source, part, [4, 5]), &larger);
        let mask = nearest(&image(5, 7, 1), [3, 4]);
        assert_eq!(*mask.pixels, [0, 78, 164, 2, 101, 134, 175, 69, 89, 178, 174, 23]);
        // A part of the result equals that part of the whole result.
        let wanted = Window { top: 1, left: 2, height: 2, width: 3 };
        let whole = bilinear(&source, part, [4, 5]);
        let some = bilinear_part(&source, part, [4, 5], wanted);
        for row in 0..2 {
            let start = ((row + 1) * 5 + 2) * 3;
            assert_eq!(some.pixels[row * 9..][..9], whole.pixels[start..][..9]);
        }
    }
}
