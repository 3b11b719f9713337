//! Pictures as lists of shapes, drawn alike into SVG for the page and PNG for the file beside it.

use std::ffi::OsStr;
use std::path::Path;
use std::sync::Once;

use anyhow::Context;
use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::{ExtendedColorType, ImageEncoder, RgbImage, imageops};
use plotters::prelude::{BitMapBackend, DrawingBackend, SVGBackend};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{Color, FontDesc, FontFamily, FontStyle, RGBColor, TextStyle, register_font};

use super::html::escape;
use crate::write_atomically;

/// Text and marks.
pub const INK: RGBColor = RGBColor(0x1F, 0x23, 0x28);
/// Labels of axes.
pub const MUTED: RGBColor = RGBColor(0x59, 0x63, 0x6E);
/// Lines behind the data.
pub const GRID: RGBColor = RGBColor(0xE1, 0xE4, 0xE8);
/// What is under everything.
pub const PAPER: RGBColor = RGBColor(0xFF, 0xFF, 0xFF);
/// The line that data stand on.
pub const AXIS: RGBColor = RGBColor(0x9A, 0xA3, 0xAC);
/// What was removed.
pub const GREY: RGBColor = RGBColor(0x8B, 0x93, 0x9C);
/// What there was, behind what stayed.
pub const FAINT: RGBColor = RGBColor(0xC7, 0xE0, 0xEE);
/// Okabe and Ito's colours without black and yellow, which stay apart for colour-blind eyes, then two more; all
/// of them stand out from light and dark paper.
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

/// The width of every picture, in CSS pixels.
pub const WIDTH: f64 = 760.0;
/// The usual size of text.
pub const TEXT: f64 = 13.0;

/// Backends count in whole pixels; shapes are drawn this many times larger so that nothing is rounded visibly.
const SCALE: f64 = 4.0;
/// Bitmaps are averaged down by this factor, which smooths edges and leaves two pixels for each CSS pixel.
const OVERSAMPLING: u32 = 2;
/// Plotters' font size is a line's height, 1.24 em.
const LINE: f64 = 1.24;

/// A point in CSS pixels from the upper left corner.
pub type Point = (f64, f64);

/// Shapes on paper, later ones over earlier ones.
pub struct Picture {
    height: f64,
    /// What the picture shows, for those who cannot see it.
    alt: String,
    shapes: Vec<Shape>,
}

enum Shape {
    Rect(Point, Point, RGBColor),
    Path(Vec<Point>, f64, RGBColor),
    Circle(Point, f64, RGBColor),
    Text(Point, HPos, f64, RGBColor, String),
}

/// Where plotters' backends differ.
struct Medium {
    /// From the given place of a text down to its baseline, as a share of the font size.
    baseline: f64,
    /// Whether the backend joins the segments of a path by itself, at any angle.
    joins: bool,
}

impl Picture {
    /// An empty picture of the usual width.
    pub fn new(height: f64, alt: impl Into<String>) -> Picture {
        Picture {
            height,
            alt: alt.into(),
            shapes: Vec::new(),
        }
    }

    /// A filled rectangle between two corners.
    pub fn rect(&mut self, from: Point, to: Point, color: RGBColor) {
        self.shapes.push(Shape::Rect(from, to, color));
    }

    /// A line through points.
    pub fn path(&mut self, points: Vec<Point>, width: f64, color: RGBColor) {
        if points.len() > 1 {
            self.shapes.push(Shape::Path(points, width, color));
        }
    }

    /// A broken straight line, horizontal or vertical.
    pub fn dashes(&mut self, from: Point, to: Point, width: f64, color: RGBColor) {
        let length = (to.0 - from.0).hypot(to.1 - from.1);
        let at = |distance: f64| {
            let t = distance.min(length) / length;
            (from.0 + t * (to.0 - from.0), from.1 + t * (to.1 - from.1))
        };
        for i in 0..(length / 7.0).ceil() as usize {
            let start = 7.0 * i as f64;
            self.path(vec![at(start), at(start + 4.0)], width, color);
        }
    }

    /// A filled circle.
    pub fn circle(&mut self, center: Point, radius: f64, color: RGBColor) {
        self.shapes.push(Shape::Circle(center, radius, color));
    }

    /// A ring on paper.
    pub fn ring(&mut self, center: Point, radius: f64, color: RGBColor) {
        self.circle(center, radius, color);
        self.circle(center, radius - 2.0, PAPER);
    }

    /// Text whose baseline starts, ends or has its middle at a point.
    pub fn text(
        &mut self,
        at: Point,
        anchor: HPos,
        size: f64,
        color: RGBColor,
        text: impl Into<String>,
    ) {
        self.shapes
            .push(Shape::Text(at, anchor, size, color, text.into()));
    }

    /// The picture as an `svg` element that fills the width that it is given.
    pub fn svg(&self) -> anyhow::Result<String> {
        let mut svg = String::new();
        let medium = Medium {
            baseline: 0.76 / LINE,
            joins: true,
        };
        self.draw(SVGBackend::with_string(&mut svg, self.size()), &medium)?;
        let (width, height) = self.size();
        let body = svg.split_once('\n').map_or("", |(_, body)| body);
        let alt = escape(&self.alt);
        Ok(format!(
            "<svg viewBox=\"0 0 {width} {height}\" role=\"img\" aria-label=\"{alt}\">\n{body}"
        ))
    }

    /// The picture as a PNG file, two pixels for each CSS pixel.
    pub fn png(&self) -> anyhow::Result<Vec<u8>> {
        let (width, height) = self.size();
        let mut pixels = vec![255; 3 * width as usize * height as usize];
        let medium = Medium {
            baseline: 0.5,
            joins: false,
        };
        let backend = BitMapBackend::with_buffer(&mut pixels, (width, height));
        self.draw(backend, &medium)?;
        let large = RgbImage::from_raw(width, height, pixels).context("the bitmap's size")?;
        let small = imageops::thumbnail(&large, width / OVERSAMPLING, height / OVERSAMPLING);
        let mut png = Vec::new();
        PngEncoder::new_with_quality(&mut png, CompressionType::Best, FilterType::Adaptive)
            .write_image(
                &small,
                small.width(),
                small.height(),
                ExtendedColorType::Rgb8,
            )?;
        Ok(png)
    }

    /// Writes the picture as an SVG or a PNG file, as the file's name ends.
    ///
    /// # Errors
    /// If the name ends otherwise, or the file cannot be written.
    pub fn write(&self, path: &Path) -> anyhow::Result<()> {
        let ending = path.extension().and_then(OsStr::to_str).unwrap_or_default();
        let bytes = match ending.to_ascii_lowercase().as_str() {
            "svg" => {
                let svg = self.svg()?;
                let own = "<svg xmlns=\"http://www.w3.org/2000/svg\"";
                svg.replacen("<svg", own, 1).into_bytes()
            }
            "png" => self.png()?,
            _ => anyhow::bail!(
                "{} is no name of a picture; let it end in .svg or .png",
                path.display()
            ),
        };
        Ok(write_atomically(path, &bytes)?)
    }

    /// Its height in CSS pixels.
    pub fn height(&self) -> f64 {
        self.height
    }

    /// What the picture shows.
    pub fn alt(&self) -> &str {
        &self.alt
    }

    fn size(&self) -> (u32, u32) {
        let (width, height) = scaled((WIDTH, self.height));
        (width as u32, height as u32)
    }

    fn draw<B>(&self, mut backend: B, medium: &Medium) -> anyhow::Result<()>
    where
        B: DrawingBackend,
        B::ErrorType: 'static,
    {
        for shape in &self.shapes {
            match shape {
                Shape::Rect(from, to, color) => {
                    backend.draw_rect(scaled(*from), scaled(*to), color, true)?;
                }
                Shape::Path(points, width, color) => {
                    let style = color.stroke_width((width * SCALE).round() as u32);
                    let points: Vec<(i32, i32)> = points.iter().map(|&p| scaled(p)).collect();
                    if medium.joins {
                        backend.draw_path(points, &style)?;
                        continue;
                    }
                    for segment in points.windows(2) {
                        backend.draw_line(segment[0], segment[1], &style)?;
                    }
                    for &joint in &points[1..points.len() - 1] {
                        backend.draw_circle(joint, style.stroke_width / 2 - 1, color, true)?;
                    }
                }
                Shape::Circle(center, radius, color) => {
                    let radius = (radius * SCALE).round() as u32;
                    backend.draw_circle(scaled(*center), radius, color, true)?;
                }
                Shape::Text(at, anchor, size, color, text) => {
                    let font = font(*size);
                    let (x, y) = scaled(*at);
                    let y = y - (medium.baseline * font.get_size()).round() as i32;
                    let style = TextStyle::from(font)
                        .color(color)
                        .pos(Pos::new(*anchor, VPos::Top));
                    backend.draw_text(text, &style, (x, y))?;
                }
            }
        }
        backend.present()?;
        Ok(())
    }
}

fn scaled((x, y): Point) -> (i32, i32) {
    ((x * SCALE).round() as i32, (y * SCALE).round() as i32)
}

/// The embedded font, on the backends' scale.
fn font(size: f64) -> FontDesc<'static> {
    static REGISTERED: Once = Once::new();
    REGISTERED.call_once(|| {
        let registered =
            register_font("sans-serif", FontStyle::Normal, dejavu::sans::regular()).is_ok();
        assert!(registered, "the embedded font is an OpenType font");
    });
    FontDesc::new(
        FontFamily::SansSerif,
        size * LINE * SCALE,
        FontStyle::Normal,
    )
}

/// How wide a text is in the embedded font; browsers' own are rarely wider.
pub fn text_width(text: &str, size: f64) -> f64 {
    let (width, _) = font(size)
        .box_size(text)
        .expect("the embedded font is registered");
    f64::from(width) / SCALE
}

/// The text, with its middle left out if it would be wider than `width`.
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

/// A colour between two.
pub fn mixed(from: RGBColor, to: RGBColor, t: f64) -> RGBColor {
    let mix = |a: u8, b: u8| (f64::from(a) + t * (f64::from(b) - f64::from(a))).round() as u8;
    RGBColor(mix(from.0, to.0), mix(from.1, to.1), mix(from.2, to.2))
}
