//! Colours of all pictures.

use plotters::style::RGBColor;

/// Colour of titles, legends and dense networks.
pub const INK: RGBColor = RGBColor(0x1F, 0x23, 0x28);
/// Colour of the labels of axes.
pub const MUTED: RGBColor = RGBColor(0x59, 0x63, 0x6E);
/// Colour of grid lines.
pub const GRID: RGBColor = RGBColor(0xE1, 0xE4, 0xE8);
/// Colour of the background.
pub const PAPER: RGBColor = RGBColor(0xFF, 0xFF, 0xFF);
/// Colour of axis lines.
pub const AXIS: RGBColor = RGBColor(0x9A, 0xA3, 0xAC);
/// Colour of removed weights.
pub const GREY: RGBColor = RGBColor(0x8B, 0x93, 0x9C);
/// Colour of all weights, behind the kept ones.
pub const FAINT: RGBColor = RGBColor(0xC7, 0xE0, 0xEE);
/// Colour of kept weights.
pub const KEPT: RGBColor = HUES[0];
/// Colours of series: Okabe and Ito's, which colour-blind readers can distinguish, without black and yellow, then two
/// more. All of them are visible on light and dark backgrounds.
pub const HUES: [RGBColor; 8] = [
    RGBColor(0x00, 0x72, 0xB2),
    RGBColor(0xD5, 0x5E, 0x00),
    RGBColor(0x00, 0x9E, 0x73),
    RGBColor(0xCC, 0x79, 0xA7),
    RGBColor(0xE6, 0x9F, 0x00),
    RGBColor(0x56, 0xB4, 0xE9),
    RGBColor(0x8F, 0x8F, 0x2D),
    RGBColor(0x7B, 0x61, 0xC9),
];

/// Linear interpolation between two colours, for `t` from 0 to 1.
pub fn mixed(from: RGBColor, to: RGBColor, t: f64) -> RGBColor {
    let mix = |a: u8, b: u8| (f64::from(a) + t * (f64::from(b) - f64::from(a))).round() as u8;
    RGBColor(mix(from.0, to.0), mix(from.1, to.1), mix(from.2, to.2))
}
