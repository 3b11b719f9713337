//! Charts: series of data between two axes, with a title and a legend.

use plotters::element::{DashedPathElement, DynElement, IntoDynElement};
use plotters::prelude::*;
use plotters::style::text_anchor::HPos;

use super::axis::Axis;
use super::colors::{AXIS, GRID, INK, MUTED, PAPER};
use super::picture::{
    Backend, Paper, Picture, TEXT, WIDTH, font, pixels, point, text_width, widest,
};

/// A chart of data.
pub struct Chart {
    pub title: &'static str,
    pub alt: String,
    /// Height of the plot without title, legend and labels, in CSS pixels.
    pub height: f64,
    pub x: Axis,
    pub y: Axis,
    /// Drawn in this order; those with a label are in the legend.
    pub series: Vec<Series>,
    /// Columns of text on the right, with an entry for each tick of the vertical axis.
    pub columns: Vec<Vec<String>>,
}

/// Data that are drawn alike. Points that are not finite are left out.
pub struct Series {
    pub label: String,
    pub color: RGBColor,
    pub mark: Mark,
    pub points: Vec<(f64, f64)>,
}

/// How points are drawn.
#[derive(Clone, Copy)]
pub enum Mark {
    /// A line through them, this many CSS pixels wide; a point alone is a dot.
    Line(f64),
    /// A broken line through them.
    Dashes,
    /// A rectangle for each pair of opposite corners.
    Bar,
    Dot,
    Ring,
    /// Nothing: the label is a remark in the legend.
    Remark,
}

const MARGIN: f64 = 16.0;

impl Chart {
    /// A chart without ticks and columns.
    pub fn new(title: &'static str, alt: String, height: f64, series: Vec<Series>) -> Chart {
        Chart {
            title,
            alt,
            height,
            x: Axis::new("", (0.0, 1.0), Vec::new()),
            y: Axis::new("", (0.0, 1.0), Vec::new()),
            series,
            columns: Vec::new(),
        }
    }

    /// A chart with a row for each name, the first on top; row `i` has its middle at `y = i + 0.5`.
    pub fn of_rows<'a>(
        title: &'static str,
        alt: String,
        names: impl Iterator<Item = &'a str>,
        series: Vec<Series>,
    ) -> Chart {
        let y = Axis::rows(names);
        let row = if y.text < TEXT { 17.0 } else { 24.0 };
        let height = row * y.range.0;
        Chart {
            y,
            ..Chart::new(title, alt, height, series)
        }
    }
}

impl Series {
    /// Points that are drawn alike.
    pub fn new(
        label: impl Into<String>,
        color: RGBColor,
        mark: Mark,
        points: impl IntoIterator<Item = (f64, f64)>,
    ) -> Series {
        Series {
            label: label.into(),
            color,
            mark,
            points: points.into_iter().collect(),
        }
    }

    /// A remark in the legend.
    pub fn remark(label: impl Into<String>) -> Series {
        Series::new(label, INK, Mark::Remark, [])
    }
}

impl Mark {
    /// The shapes of a series in the data's coordinates, or of a legend's key in backend pixels.
    fn shapes<B: DrawingBackend, C: Clone + 'static>(
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
                // Lines one by one and round joints: plotters' bitmaps have gaps where a path turns sharply.
                let lines = points.windows(2);
                lines
                    .map(|line| PathElement::new(line, style).into_dyn())
                    .chain(dot(width / 2.0 - 0.25, color))
                    .collect()
            }
            Mark::Dashes => {
                let style = color.stroke_width(pixels(1.5));
                let line = DashedPathElement::new(points.to_vec(), pixels(4.0), pixels(3.0), style);
                vec![line.into_dyn()]
            }
            Mark::Bar => {
                let corners = points.as_chunks::<2>().0.iter().cloned();
                corners
                    .map(|corners| Rectangle::new(corners, color.filled()).into_dyn())
                    .collect()
            }
            Mark::Dot => dot(4.5, color).collect(),
            Mark::Ring => dot(5.0, color).chain(dot(3.0, PAPER)).collect(),
            Mark::Remark => Vec::new(),
        }
    }

    /// A legend's key at the left of a position: its points, and its width.
    fn key(self, (x, y): (f64, f64)) -> (Vec<(f64, f64)>, f64) {
        match self {
            Mark::Line(_) | Mark::Dashes => (vec![(x, y), (x + 20.0, y)], 26.0),
            Mark::Bar => (vec![(x, y - 6.0), (x + 12.0, y + 6.0)], 18.0),
            Mark::Dot | Mark::Ring => (vec![(x + 6.0, y)], 18.0),
            Mark::Remark => (vec![], 0.0),
        }
    }
}

impl Chart {
    /// The labelled series with the places of their keys, in as many rows as it takes.
    fn legend<'a>(&'a self) -> Vec<(&'a Series, (f64, f64))> {
        let (mut x, mut y) = (MARGIN, 46.0);
        let labelled = self.series.iter().filter(|s| !s.label.is_empty());
        let place = |series: &'a Series| {
            let Series { label, mark, .. } = series;
            let width = mark.key((x, y)).1 + text_width(label, TEXT);
            if x > MARGIN && x + width > WIDTH - MARGIN {
                (x, y) = (MARGIN, y + 22.0);
            }
            let at = (x, y);
            x += width + 22.0;
            (series, at)
        };
        labelled.map(place).collect()
    }

    /// Height of title and legend.
    fn head(&self) -> f64 {
        self.legend().last().map_or(40.0, |(_, at)| at.1 + 26.0)
    }
}

impl Picture for Chart {
    fn height(&self) -> f64 {
        self.head() + self.height + 50.0
    }

    fn alt(&self) -> String {
        self.alt.clone()
    }

    fn draw<B: Backend>(&self, paper: &Paper<B>) -> anyhow::Result<()> {
        paper.text((MARGIN, 22.0), HPos::Left, font(15.0, INK), self.title)?;
        for (
            Series {
                label, mark, color, ..
            },
            at,
        ) in self.legend()
        {
            let (points, width) = mark.key(at);
            let points: Vec<(i32, i32)> = points.into_iter().map(point).collect();
            for shape in mark.shapes(*color, &points) {
                paper.area.draw(&shape)?;
            }
            paper.text((at.0 + width, at.1), HPos::Left, font(TEXT, INK), label)?;
        }

        let labels = widest(self.y.ticks.iter().map(|tick| &tick.1), self.y.text);
        let widths = self
            .columns
            .iter()
            .map(|column| 18.0 + widest(column, self.y.text));
        let right = 24.0 + widths.clone().sum::<f64>();
        let label = font(TEXT, MUTED);
        let mut chart = ChartBuilder::on(&paper.area)
            .margin_top(pixels(self.head()))
            .margin_bottom(pixels(6.0))
            .margin_left(pixels(MARGIN))
            .margin_right(pixels(right))
            .x_label_area_size(pixels(44.0))
            .y_label_area_size(pixels(labels + 10.0))
            .build_cartesian_2d(&self.x, &self.y)?;
        let row = font(self.y.text, MUTED);
        chart
            .configure_mesh()
            .bold_line_style(GRID.stroke_width(pixels(1.0)))
            .axis_style(AXIS.stroke_width(pixels(1.0)))
            .set_all_tick_mark_size(pixels(4.0))
            .x_label_style(label)
            .y_label_offset(paper.lower(&row))
            .y_label_style(row)
            .x_desc(self.x.name)
            .draw()?;
        for Series {
            color,
            mark,
            points,
            ..
        } in &self.series
        {
            for part in points.split(|(x, y)| !(x.is_finite() && y.is_finite())) {
                chart.draw_series(mark.shapes(*color, part))?;
            }
        }
        let mut end = WIDTH - right;
        for (column, width) in self.columns.iter().zip(widths) {
            end += width;
            for ((y, _), text) in self.y.ticks.iter().zip(column) {
                let (_, y) = chart.backend_coord(&(self.x.range.1, *y));
                let y = f64::from(y) / f64::from(pixels(1.0));
                paper.text((end, y), HPos::Right, font(self.y.text, MUTED), text)?;
            }
        }
        Ok(())
    }
}
