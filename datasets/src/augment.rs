//! Random parameters of crops and flips of training images; [`prospr_engine::images`] moves the pixels.

use prospr_engine::images::Moves;

use crate::Image;
use crate::resize::Window;

/// Random augmentation of a training image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Augment {
    /// Resized crop: a random part of 8 to 100 % of the image's area, with an aspect ratio of 3:4 to 4:3, is resized to
    /// the served size (torchvision's `RandomResizedCrop`). Images with a label for each pixel are not cropped.
    pub resized_crop: bool,
    /// Width of the zero border that is added before a random crop of the original size.
    pub crop_padding: usize,
    /// If true, the image is mirrored left to right with probability 1/2.
    pub flip: bool,
}

/// Largest number of random parts that are tried until one lies inside the image.
const ATTEMPTS: usize = 10;

impl Augment {
    /// Number of uniform random numbers per image.
    pub(crate) fn draws(self) -> usize {
        3 + if self.resized_crop { 4 * ATTEMPTS } else { 0 }
    }

    /// Offset and mirroring, from the first three of `draws` (in `[0, 1)`).
    pub(crate) fn moves(self, draws: &[f32]) -> Moves {
        let padding = self.crop_padding as i32;
        let offset = |draw: f32| (draw * (2 * padding + 1) as f32) as i32 - padding;
        Moves {
            down: offset(draws[0]),
            right: offset(draws[1]),
            mirrored: self.flip && draws[2] < 0.5,
        }
    }

    /// Part of an image for a resized crop, from the remaining `draws`.
    pub(crate) fn part(self, image: &Image, draws: &[f32]) -> Window {
        let area = (image.height * image.width) as f32;
        for draw in draws[3..].chunks_exact(4) {
            let target = area * (0.08 + 0.92 * draw[0]);
            let ratio = ((2.0 * draw[1] - 1.0) * (4.0f32 / 3.0).ln()).exp();
            let width = (target * ratio).sqrt().round() as usize;
            let height = (target / ratio).sqrt().round() as usize;
            if (1..=image.width).contains(&width) && (1..=image.height).contains(&height) {
                let place =
                    |draw: f32, room: usize| ((draw * (room + 1) as f32) as usize).min(room);
                return Window {
                    top: place(draw[2], image.height - height),
                    left: place(draw[3], image.width - width),
                    height,
                    width,
                };
            }
        }
        // Fallback: the middle of the image, with the nearest allowed aspect ratio.
        let limit = |side: usize| (side as f32 * 4.0 / 3.0).round() as usize;
        let height = image.height.min(limit(image.width));
        let width = image.width.min(limit(image.height));
        Window { top: (image.height - height) / 2, left: (image.width - width) / 2, height, width }
    }
}

#[cfg(test)]
mod tests {
    use prospr_engine::Key;

    use super::*;

    #[test]
    fn crops_and_flips() {
        let image = Image { pixels: (1..=6).collect(), height: 2, width: 3, channels: 1 };
        let table = [std::array::from_fn(|i| i as u8)];
        let run = |augment: Augment, draws: [f32; 3]| {
            let mut out = [99; 6];
            let shape = [1, image.height, image.width];
            augment.moves(&draws).write(&image.pixels, shape, &table, &mut out);
            out
        };
        let still = Augment::default();
        assert_eq!(run(still, [0.9, 0.9, 0.0]), [1, 2, 3, 4, 5, 6]);
        let flip = Augment { flip: true, ..still };
        assert_eq!(run(flip, [0.0, 0.0, 0.4]), [3, 2, 1, 6, 5, 4]);
        assert_eq!(run(flip, [0.0, 0.0, 0.6]), [1, 2, 3, 4, 5, 6]);
        let crop = |crop_padding| Augment { crop_padding, ..still };
        assert_eq!(run(crop(1), [0.0, 0.0, 0.0]), [0, 0, 0, 0, 1, 2]);
        assert_eq!(run(crop(1), [0.5, 0.5, 0.0]), [1, 2, 3, 4, 5, 6]);
        assert_eq!(run(crop(1), [0.99, 0.99, 0.0]), [5, 6, 0, 0, 0, 0]);
        for draws in [[0.5, 0.0, 0.0], [0.5, 0.99, 0.0], [0.0, 0.5, 0.0]] {
            assert_eq!(run(crop(9), draws), [0; 6]);
        }
        let both = Augment { flip: true, ..crop(1) };
        assert_eq!(run(both, [0.5, 0.0, 0.0]), [2, 1, 0, 5, 4, 0]);
    }

    #[test]
    fn channels_are_stored_as_planes() {
        let image = Image { pixels: (0..12).collect(), height: 2, width: 2, channels: 3 };
        let table = std::array::from_fn(|i| i as u8);
        let mut out = [0; 12];
        Moves::default().write(&image.pixels, [3, 2, 2], &[table; 3], &mut out);
        assert_eq!(out, [0, 3, 6, 9, 1, 4, 7, 10, 2, 5, 8, 11]);
    }

    #[test]
    fn parts_have_the_published_areas_and_shapes() {
        let augment = Augment { resized_crop: true, ..Augment::default() };
        let image = |height: usize, width: usize| Image {
            pixels: vec![0; height * width].into(),
            height,
            width,
            channels: 1,
        };
        let photo = image(375, 500);
        let mut areas = 0.0;
        for i in 0..500 {
            let draws = Key::new(3).fold_in(i).uniforms(augment.draws());
            let part = augment.part(&photo, &draws);
            assert!(part.top + part.height <= 375 && part.left + part.width <= 500);
            let area = (part.height * part.width) as f32 / (375.0 * 500.0);
            let ratio = part.width as f32 / part.height as f32;
            assert!((0.079..=1.0).contains(&area), "{area}");
            assert!((0.74..=1.35).contains(&ratio), "{ratio}");
            areas += area / 500.0;
        }
        assert!((0.42..0.58).contains(&areas), "{areas}");
        // Fallback for an image in which no such part fits: its middle.
        let draws = Key::new(4).uniforms(augment.draws());
        let middle = augment.part(&image(2, 100), &draws);
        assert_eq!((middle.height, middle.width, middle.left), (2, 3, 48));
    }
}
