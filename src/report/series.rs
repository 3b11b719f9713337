//! Series of points in a chart and the marks with which they are drawn.

use plotters::element::{DashedPathElement, DynElement, IntoDynElement};
use plotters::prelude::{Circle, Color, DrawingBackend, PathElement, RGBColor, Rectangle};

use super::colors::{INK, PAPER};
use super::picture::pixels;

/// Points with the same colour and mark. Points that are not finite are not drawn.
pub struct Series {
    pub label: String,
    pub color: RGBColor,
    pub mark: Mark,
    pub points: Vec<(f64, f64)>,
}

/// Shape in which points are drawn.
#[derive(Clone, Copy)]
pub enum Mark {
    /// A line through the points with this width in CSS pixels; a single point is a dot.
    Line(f64),
    /// A broken line through the points.
    Dashes,
    /// A rectangle for each pair of opposite corners.
    Bar,
    Dot,
    Ring,
    /// No drawing in the plot; the label is a remark in the legend.
    Remark,
}

impl Series {
    /// A series of points with its label in the legend; with an empty label, it is not in the legend.
    pub fn new(
        label: impl Into<String>,
        color: RGBColor,
        mark: Mark,
        points: impl IntoIterator<Item = (f64, f64)>,
    ) -> Series {
        Series { label: label.into(), color, mark, points: points.into_iter().collect() }
    }

    /// Makes a remark in the legend, a series without points.
    pub fn remark(label: impl Into<String>) -> Series {
        Series::new(label, INK, Mark::Remark, [])
    }
}

impl Mark {
    /// Makes the shapes that draw points with this mark. The points of a series are in the coordinates of the data,
    /// those of a legend's key in pixels.
    pub fn shapes<B: DrawingBackend, C: Clone + 'static>(
        self,
        color: RGBColor,
        points: &[C],
    ) -> Vec<DynElement<'static, B, C>> {
        let dot = |radius: f64, color: RGBColor| {
            let at = points.iter().cloned();
            at.map(move |at| Circle::new(at, pixels(radius), color.filled()).into_dyn())
        };
        match self {
            Mark::Line(_) if points.len() == 1 => dot(5.0, color).collect(),
            Mark::Line(width) => {
                let style = color.stroke_width(pixels(width));
                // Separate lines with round joints, because plotters' bitmaps have gaps where a path turns sharply.
                let lines = points.windows(2);
                let lines = lines.map(|line| PathElement::new(line, style).into_dyn());
                lines.chain(dot(width / 2.0 - 0.25, color)).collect()
            }
            Mark::Dashes => {
                let style = color.stroke_width(pixels(1.5));
                let line = DashedPathElement::new(points.to_vec(), pixels(4.0), pixels(3.0), style);
                vec![line.into_dyn()]
            }
            Mark::Bar => {
                let corners = points.as_chunks().0.iter().cloned();
                let bars = corners.map(|corners| Rectangle::new(corners, color.filled()));
                bars.map(Rectangle::into_dyn).collect()
            }
            Mark::Dot => dot(4.5, color).collect(),
            Mark::Ring => dot(5.0, color).chain(dot(3.0, PAPER)).collect(),
            Mark::Remark => Vec::new(),
        }
    }

    /// Points and width of a legend's key that begins at a position; both in CSS pixels.
    pub fn key(self, (x, y): (f64, f64)) -> (Vec<(f64, f64)>, f64) {
        match self {
            Mark::Line(_) | Mark::Dashes => (vec![(x, y), (x + 20.0, y)], 26.0),
            Mark::Bar => (vec![(x, y - 6.0), (x + 12.0, y + 6.0)], 18.0),
            Mark::Dot | Mark::Ring => (vec![(x + 6.0, y)], 18.0),
            Mark::Remark => (vec![], 0.0),
        }
    }
}
