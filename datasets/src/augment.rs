//! Random crops and flips, on the host.

use crate::Split;

/// What is done to a training image, at random.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Augment {
    /// Zeros put around the image before a crop of its own size is taken.
    pub crop_padding: usize,
    /// Whether it is mirrored left to right half of the time.
    pub flip: bool,
}

impl Augment {
    /// Appends one image as floats `(pixel/255 − mean)/std`, moved and mirrored as `dice` (three numbers in
    /// `[0, 1)`) say. Pixels that come from outside are zero bytes.
    pub(crate) fn push(
        self,
        split: &Split,
        index: usize,
        dice: [f32; 3],
        scale: &[(f32, f32)],
        out: &mut Vec<f32>,
    ) {
        let [channels, height, width] = split.shape;
        let pixels = split.image(index);
        let offset = |die: f32| (die * (2 * self.crop_padding + 1) as f32) as usize;
        let (down, right) = (offset(dice[0]), offset(dice[1]));
        let mirrored = self.flip && dice[2] < 0.5;
        for (c, &(factor, shift)) in (0..channels).zip(scale) {
            for y in 0..height {
                let row = (y + down).wrapping_sub(self.crop_padding);
                for x in 0..width {
                    let x = if mirrored { width - 1 - x } else { x };
                    let column = (x + right).wrapping_sub(self.crop_padding);
                    let inside = row < height && column < width;
                    let pixel = if inside {
                        pixels[(c * height + row) * width + column]
                    } else {
                        0
                    };
                    out.push(f32::from(pixel) * factor + shift);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crops_and_flips() {
        let split = Split {
            images: (1..=6).collect(),
            labels: [0].into(),
            shape: [1, 2, 3],
        };
        let run = |augment: Augment, dice: [f32; 3]| {
            let mut out = Vec::new();
            augment.push(&split, 0, dice, &[(1.0, 0.0)], &mut out);
            out
        };
        let still = Augment::default();
        assert_eq!(run(still, [0.9, 0.9, 0.0]), [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        let flip = Augment {
            flip: true,
            ..still
        };
        assert_eq!(run(flip, [0.0, 0.0, 0.4]), [3.0, 2.0, 1.0, 6.0, 5.0, 4.0]);
        assert_eq!(run(flip, [0.0, 0.0, 0.6]), [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        let crop = Augment {
            crop_padding: 1,
            ..still
        };
        assert_eq!(run(crop, [0.0, 0.0, 0.0]), [0.0, 0.0, 0.0, 0.0, 1.0, 2.0]);
        assert_eq!(run(crop, [0.5, 0.5, 0.0]), [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        assert_eq!(run(crop, [0.99, 0.99, 0.0]), [5.0, 6.0, 0.0, 0.0, 0.0, 0.0]);
    }
}
