//! Random generator Threefry-2x32 with 20 rounds, on the host (Salmon et al., SC 2011).

/// Random numbers: a key and a distribution.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Draw {
    /// Key of the generator.
    pub key: [u32; 2],
    /// Distribution.
    pub law: Law,
}

/// The distribution of a draw.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Law {
    /// Uniform on `[0, 1)`, multiples of 2⁻²⁴.
    Uniform,
    /// Mean 0, variance 1.
    Normal,
}

// Purpose of a block: the counter's second word, so that no two purposes use the same block.
pub(crate) const VALUES: u32 = 0;
pub(crate) const SPLIT: u32 = 1;
pub(crate) const FOLD: u32 = 2;

/// Computes one block: 20 rounds of Threefry-2x32.
pub(crate) fn threefry(key: [u32; 2], counter: [u32; 2]) -> [u32; 2] {
    const ROTATIONS: [[u32; 4]; 2] = [[13, 15, 26, 6], [17, 29, 16, 24]];
    let keys = [key[0], key[1], key[0] ^ key[1] ^ 0x1BD1_1BDA];
    let mut x = [counter[0].wrapping_add(keys[0]), counter[1].wrapping_add(keys[1])];
    for round in 0..5 {
        for rotation in ROTATIONS[round % 2] {
            x[0] = x[0].wrapping_add(x[1]);
            x[1] = x[1].rotate_left(rotation) ^ x[0];
        }
        x[0] = x[0].wrapping_add(keys[(round + 1) % 3]);
        x[1] = x[1].wrapping_add(keys[(round + 2) % 3]).wrapping_add(round as u32 + 1);
    }
    x
}

/// Computes the values of a draw on the host.
pub(crate) fn values(draw: Draw, count: usize) -> Vec<f32> {
    let mut out = Vec::with_capacity(count + 1);
    for block in 0..count.div_ceil(2) {
        let bits = threefry(draw.key, [block as u32, VALUES]);
        out.extend(match draw.law {
            Law::Uniform => bits.map(unit),
            Law::Normal => box_muller(bits),
        });
    }
    out.truncate(count);
    out
}

/// Returns the upper 24 bits as a number in [0, 1), a multiple of 2⁻²⁴.
fn unit(bits: u32) -> f32 {
    (bits >> 8) as f32 / (1 << 24) as f32
}

/// Returns two standard normals from two words. `libm` computes the same on every platform.
fn box_muller(bits: [u32; 2]) -> [f32; 2] {
    let radius = libm::sqrt(-2.0 * libm::log(1.0 - f64::from(unit(bits[0]))));
    let angle = std::f64::consts::TAU * f64::from(unit(bits[1]));
    [(radius * libm::cos(angle)) as f32, (radius * libm::sin(angle)) as f32]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threefry_gives_the_published_words() {
        // Known answers distributed with the authors' Random123 library.
        assert_eq!(threefry([0, 0], [0, 0]), [0x6b20_0159, 0x99ba_4efe]);
        assert_eq!(threefry([!0, !0], [!0, !0]), [0x1cb9_96fc, 0xbb00_2be7]);
        assert_eq!(
            threefry([0x1319_8a2e, 0x0370_7344], [0x243f_6a88, 0x85a3_08d3]),
            [0xc492_3a9c, 0x483d_f7a0]
        );
    }

    #[test]
    fn moments_are_right() {
        let n = 100_000;
        let normal = values(Draw { key: [1, 2], law: Law::Normal }, n);
        let mean = normal.iter().map(|&v| f64::from(v)).sum::<f64>() / n as f64;
        let var = normal.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>() / n as f64;
        assert!(mean.abs() < 0.01 && (var - 1.0).abs() < 0.02, "mean {mean}, variance {var}");
        let uniform = values(Draw { key: [1, 2], law: Law::Uniform }, n);
        let mean = uniform.iter().map(|&v| f64::from(v)).sum::<f64>() / n as f64;
        assert!((mean - 0.5).abs() < 0.005 && uniform.iter().all(|&v| (0.0..1.0).contains(&v)));
    }
}
