//! Charts: series of data between two axes, with a title and a legend.

use plotters::prelude::{ChartBuilder, Color};
use plotters::style::text_anchor::HPos;

use super::axis::Axis;
use super::colors::{AXIS, GRID, INK, MUTED};
use super::picture::{
    Backend, Paper, Picture, TEXT, WIDTH, font, pixels, point, text_width, widest,
};
use super::series::Series;

/// A chart of data.
pub struct Chart {
    pub title: &'static str,
    pub alt: String,
    /// Height of the plot without title, legend and labels, in CSS pixels.
    pub height: f64,
    pub x: Axis,
    pub y: Axis,
    /// The data, drawn in this order; series with a label are in the legend.
    pub series: Vec<Series>,
    /// Columns of text on the right, with an entry for each tick of the vertical axis.
    pub columns: Vec<Vec<String>>,
}

/// Margin in CSS pixels.
const MARGIN: f64 = 16.0;

impl Chart {
    /// Makes a chart whose axes have the range 0 to 1 and no ticks, and which has no columns.
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

    /// Makes a chart with a row for each name, the first on top. The middle of row `i` is at `y = i + 0.5`.
    pub fn of_rows<'a>(
        title: &'static str,
        alt: String,
        names: impl Iterator<Item = &'a str>,
        series: Vec<Series>,
    ) -> Chart {
        let y = Axis::rows(names);
        let row = if y.text < TEXT { 17.0 } else { 24.0 };
        let height = row * y.range.0;
        Chart { y, ..Chart::new(title, alt, height, series) }
    }

    /// Returns the labelled series with the positions of their legend keys, in as many rows as needed.
    /// Plotters' own legend
    /// is not used, because it is a box inside the plot that would hide data.
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
        for (series, at) in self.legend() {
            let (points, width) = series.mark.key(at);
            let points: Vec<(i32, i32)> = points.into_iter().map(point).collect();
            for shape in series.mark.shapes(series.color, &points) {
                paper.area.draw(&shape)?;
            }
            let start = (at.0 + width, at.1);
            paper.text(start, HPos::Left, font(TEXT, INK), &series.label)?;
        }

        let labels = widest(self.y.ticks.iter().map(|tick| &tick.1), self.y.text);
        let columns = self.columns.iter();
        let widths = columns.map(|column| 18.0 + widest(column, self.y.text));
        let right = 24.0 + widths.clone().sum::<f64>();
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
            .x_label_style(font(TEXT, MUTED))
            .y_label_offset(paper.lower(&row))
            .y_label_style(row)
            .x_desc(self.x.name)
            .draw()?;
        for series in &self.series {
            let parts = series.points.split(|(x, y)| !(x.is_finite() && y.is_finite()));
            for part in parts {
                chart.draw_series(series.mark.shapes(series.color, part))?;
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
