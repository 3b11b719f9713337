//! Pictures, drawn by plotters as SVG and as PNG.

use std::ffi::OsStr;
use std::path::Path;
use std::sync::Once;

use anyhow::Context;
use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::{ExtendedColorType, ImageEncoder, RgbImage, imageops};
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::register_font;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::colors::INK;
use super::text::escape;
use crate::write_atomically;

/// Width of every picture in CSS pixels.
pub const WIDTH: f64 = 760.0;
/// Usual font size in CSS pixels.
pub const TEXT: f64 = 13.0;

/// Backend pixels per CSS pixel. Backends accept only whole pixels; at this scale the rounding is invisible.
const SCALE: f64 = 4.0;
/// Factor by which bitmaps are reduced by averaging. This smooths edges and leaves two pixels per CSS pixel.
const OVERSAMPLING: u32 = 2;

/// A drawing backend of plotters.
pub trait Backend: DrawingBackend<ErrorType: 'static> {}

impl<B: DrawingBackend<ErrorType: 'static>> Backend for B {}

/// A drawing of [`WIDTH`] that can become SVG or PNG.
pub trait Picture {
    /// Height in CSS pixels.
    fn height(&self) -> f64;

    /// Description for readers who cannot see the picture.
    fn alt(&self) -> String;

    /// Draws everything on empty paper.
    fn draw<B: Backend>(&self, paper: &Paper<B>) -> anyhow::Result<()>;

    /// An `svg` element that fills the available width.
    fn svg(&self) -> anyhow::Result<String> {
        let (width, height) = (pixels(WIDTH), pixels(self.height()));
        let mut svg = String::new();
        let area = SVGBackend::with_string(&mut svg, (width, height)).into_drawing_area();
        self.draw(&Paper { area, lower: 0.09 })?;
        let body = svg.split_once('\n').map_or("", |(_, body)| body);
        let alt = escape(&self.alt());
        Ok(format!(
            "<svg viewBox=\"0 0 {width} {height}\" role=\"img\" aria-label=\"{alt}\">\n{body}"
        ))
    }

    /// A PNG file with two pixels per CSS pixel.
    fn png(&self) -> anyhow::Result<Vec<u8>> {
        let (width, height) = (pixels(WIDTH), pixels(self.height()));
        let mut buffer = vec![255; 3 * width as usize * height as usize];
        let backend = BitMapBackend::with_buffer(&mut buffer, (width, height));
        let area = backend.into_drawing_area();
        self.draw(&Paper { area, lower: 0.24 })?;
        let large = RgbImage::from_raw(width, height, buffer).context("the bitmap's size")?;
        let (width, height) = (width / OVERSAMPLING, height / OVERSAMPLING);
        let small = imageops::thumbnail(&large, width, height);
        let mut png = Vec::new();
        PngEncoder::new_with_quality(&mut png, CompressionType::Best, FilterType::Adaptive)
            .write_image(&small, width, height, ExtendedColorType::Rgb8)?;
        Ok(png)
    }

    /// Writes an SVG or a PNG file, chosen by the extension of the path.
    ///
    /// # Errors
    /// If the extension is another one, or the file cannot be written.
    fn write(&self, path: &Path) -> anyhow::Result<()> {
        let ending = path.extension().and_then(OsStr::to_str).unwrap_or_default();
        let bytes = match ending.to_ascii_lowercase().as_str() {
            "svg" => {
                let own = "<svg xmlns=\"http://www.w3.org/2000/svg\"";
                self.svg()?.replacen("<svg", own, 1).into_bytes()
            }
            "png" => self.png()?,
            _ => anyhow::bail!(
                "{} is not the name of a picture; let it end in .svg or .png",
                path.display()
            ),
        };
        Ok(write_atomically(path, &bytes)?)
    }
}

/// A drawing area of plotters, with positions in CSS pixels.
pub struct Paper<B: Backend> {
    /// The whole area, in backend pixels.
    pub area: DrawingArea<B, Shift>,
    /// Distance in em by which this backend draws vertically centred text too high.
    lower: f64,
}

impl<B: Backend> Paper<B> {
    /// Draws a text; the position is the middle of its height and the left end, middle or right end of its width.
    pub fn text(
        &self,
        (x, y): (f64, f64),
        align: HPos,
        style: TextStyle<'_>,
        text: &str,
    ) -> anyhow::Result<()> {
        let at = point((x, y));
        let style = style.pos(Pos::new(align, VPos::Center));
        let lower = self.lower(&style);
        Ok(self.area.draw_text(text, &style, (at.0, at.1 + lower))?)
    }

    /// Backend pixels by which a vertically centred text has to be moved down.
    pub fn lower(&self, style: &TextStyle<'_>) -> i32 {
        (self.lower * style.font.get_size() / LINE).round() as i32
    }

    /// Draws a filled rectangle between two corners.
    pub fn rect(&self, from: (f64, f64), to: (f64, f64), color: RGBColor) -> anyhow::Result<()> {
        let corners = [point(from), point(to)];
        Ok(self.area.draw(&Rectangle::new(corners, color.filled()))?)
    }
}

/// A length in CSS pixels as whole backend pixels.
pub fn pixels(length: f64) -> u32 {
    (length * SCALE).round() as u32
}

/// A position in CSS pixels as whole backend pixels.
pub fn point((x, y): (f64, f64)) -> (i32, i32) {
    ((x * SCALE).round() as i32, (y * SCALE).round() as i32)
}

/// Height of a line in em; plotters takes it as the font size.
const LINE: f64 = 1.24;

/// Style of a text in the embedded font, with its size in CSS pixels.
pub fn font(size: f64, color: RGBColor) -> TextStyle<'static> {
    static REGISTERED: Once = Once::new();
    REGISTERED.call_once(|| {
        let font = dejavu::sans::regular();
        let registered = register_font("sans-serif", FontStyle::Normal, font).is_ok();
        assert!(registered, "the embedded font is an OpenType font");
    });
    ("sans-serif", size * LINE * SCALE).into_font().color(&color)
}

/// Width of a text in CSS pixels in the embedded font; the fonts of browsers are rarely wider.
pub fn text_width(text: &str, size: f64) -> f64 {
    let size = font(size, INK).font.box_size(text);
    f64::from(size.expect("the embedded font is registered").0) / SCALE
}

/// Width of the widest of several texts.
pub fn widest<'a>(texts: impl IntoIterator<Item = &'a String>, size: f64) -> f64 {
    let widths = texts.into_iter().map(|text| text_width(text, size));
    widths.fold(0.0, f64::max)
}

/// Returns the text, with its middle replaced by `\u2026` if it is wider than `width`.
pub fn shortened(text: &str, size: f64, width: f64) -> String {
    let letters: Vec<char> = text.chars().collect();
    let mut short = text.to_string();
    let mut left = letters.len();
    while text_width(&short, size) > width && left > 2 {
        left -= 1;
        let head: String = letters[..left.div_ceil(2)].iter().collect();
        let tail: String = letters[letters.len() - left / 2..].iter().collect();
        short = format!("{head}…{tail}");
    }
    short
}
