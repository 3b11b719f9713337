//! Pictures of the first layer's filters.

use anyhow::ensure;
use plotters::style::RGBColor;
use plotters::style::text_anchor::HPos;

use super::colors::{GRID, INK, MUTED, PAPER, mixed};
use super::picture::{Backend, Paper, Picture, TEXT, WIDTH, font, text_width};
use super::text::scientific;

/// The filters of a network's first layer, before and after training. All three lists are in the order of the
/// weight's elements.
#[derive(Clone, Debug, PartialEq)]
pub struct Filters {
    /// Name of the weight tensor.
    pub layer: String,
    /// Filters, channels, height, width: see [`Filters::shape_of`].
    pub shape: [usize; 4],
    /// Weights at initialization.
    pub initial: Vec<f32>,
    /// The mask: true for weights that are kept.
    pub kept: Vec<bool>,
    /// Weights after training.
    pub trained: Vec<f32>,
}

/// Largest number of filters in the picture of one run.
const MOST: usize = 64;
/// Colour of removed weights in pictures in which white is zero.
const REMOVED: RGBColor = RGBColor(0xB0, 0xB6, 0xBD);
/// Margin in CSS pixels.
const MARGIN: f64 = 16.0;
/// Space between two filters in CSS pixels.
const GAP: f64 = 6.0;
/// Heights of the space above the first panel and of each panel's title, in CSS pixels.
const HEAD: (f64, f64) = (40.0, 34.0);
/// Side, in CSS pixels, to which small filters are enlarged at least, approximately.
const SIDE: usize = 48;

impl Filters {
    /// Shape in which a first layer's weight is shown: the weight's own shape for a convolution; for a linear
    /// layer, one
    /// image (channels, height, width) per row, or `None` if the number of features differs from the image's size.
    pub fn shape_of(weight: &[usize], image: [usize; 3]) -> Option<[usize; 4]> {
        match *weight {
            [filters, channels, height, width] => Some([filters, channels, height, width]),
            [filters, features] if features == image.iter().product::<usize>() => {
                Some([filters, image[0], image[1], image[2]])
            }
            _ => None,
        }
    }

    /// Returns an error if the length of a list does not fit the shape.
    fn check(&self) -> anyhow::Result<()> {
        let numel: usize = self.shape.iter().product();
        let lengths = [self.initial.len(), self.kept.len(), self.trained.len()];
        ensure!(
            numel > 0 && lengths == [numel; 3],
            "the filters of {} have shape {:?}, {numel} values, but {lengths:?} initial, kept and trained ones were given",
            self.layer,
            self.shape
        );
        Ok(())
    }

    /// Explanation of the colours.
    pub(super) fn caption(&self) -> &'static str {
        match self.shape[1] {
            1 => {
                "Each square is a filter. Blue is negative, white zero, red positive, in the range that stands beside \
                 each group; removed weights are grey."
            }
            3 => {
                "Each square is a filter; its three channels are red, green and blue, and medium grey is zero. Where \
                 all three channels were removed it is white."
            }
            _ => {
                "Each square is a filter, averaged over its channels. Blue is negative, white zero, red positive, in \
                 the range that stands beside each group; it is grey where the weights of all channels were removed."
            }
        }
    }

    /// Makes the picture of one run: panels of the initial, the pruned and the trained filters.
    pub(super) fn picture(&self) -> anyhow::Result<Panels<'_>> {
        let mut panels = vec![Panel::initial(self)];
        if !self.kept.iter().all(|&kept| kept) {
            let title = "initial weights that stay";
            panels.push(Panel::new(title, self, &self.initial, true));
        }
        panels.push(Panel::trained("after training", self));
        Panels::new(&self.layer, panels, MOST)
    }
}

/// A panel: the filters of a layer under one title, with initial or trained weights.
pub struct Panel<'a> {
    title: String,
    filters: &'a Filters,
    values: &'a [f32],
    /// True if removed weights are marked.
    pruned: bool,
}

impl<'a> Panel<'a> {
    fn new(title: &str, filters: &'a Filters, values: &'a [f32], pruned: bool) -> Panel<'a> {
        let title = title.into();
        Panel { title, filters, values, pruned }
    }

    /// Makes the panel of all weights at initialization.
    pub fn initial(filters: &'a Filters) -> Panel<'a> {
        Panel::new("initial weights", filters, &filters.initial, false)
    }

    /// Makes the panel of the weights after training, with removed weights marked.
    pub fn trained(title: &str, filters: &'a Filters) -> Panel<'a> {
        Panel::new(title, filters, &filters.trained, true)
    }

    /// Returns the arrangement of at most `most` filters.
    fn grid(&self, most: usize) -> Grid {
        let [filters, _, height, width] = self.filters.shape;
        let shown = filters.min(most);
        let zoom = ((SIDE as f64 / height.max(width) as f64).round()).max(1.0);
        let room = WIDTH - 2.0 * MARGIN + GAP;
        let fits = (room / (GAP + zoom * width as f64)).floor().max(1.0) as usize;
        let rows = shown.div_ceil(fits);
        let columns = shown.div_ceil(rows);
        // Filters are enlarged to fill the rest of the width.
        let fit = ((room / columns as f64 - GAP) / width as f64).floor();
        let zoom = fit.clamp(zoom, 2.0 * zoom);
        let height = rows as f64 * (GAP + zoom * height as f64);
        Grid { shown, zoom, columns, height }
    }

    /// Largest finite absolute weight, which gets full colour.
    fn scale(&self) -> f32 {
        let sizes = self.values.iter().map(|v| v.abs());
        sizes.filter(|v| v.is_finite()).fold(0.0, f32::max)
    }

    /// Colour of one position of a filter, computed from the weights of all its channels.
    fn color(&self, filter: usize, at: usize, scale: f32) -> RGBColor {
        let [_, channels, height, width] = self.filters.shape;
        let index = |c: usize| (filter * channels + c) * height * width + at;
        let stays = |c: usize| !self.pruned || self.filters.kept[index(c)];
        let value = |c: usize| {
            let value = if stays(c) { self.values[index(c)] } else { 0.0 };
            f64::from(value) / f64::from(scale.max(f32::MIN_POSITIVE))
        };
        if !(0..channels).all(|c| value(c).is_finite()) {
            return INK;
        }
        let removed = !(0..channels).any(stays);
        match channels {
            3 if removed => PAPER,
            3 => {
                let level = |c| (127.5 + 127.5 * value(c)).round() as u8;
                RGBColor(level(0), level(1), level(2))
            }
            _ if removed => REMOVED,
            _ => diverging((0..channels).map(value).sum::<f64>() / channels as f64),
        }
    }
}

/// Arrangement of a panel's filters; lengths are in CSS pixels.
struct Grid {
    /// Number of filters drawn.
    shown: usize,
    /// Side of the square of a weight.
    zoom: f64,
    columns: usize,
    height: f64,
}

/// Colour of a value: blue for −1, white for 0, red for 1.
fn diverging(value: f64) -> RGBColor {
    let end = if value < 0.0 { RGBColor(0x21, 0x66, 0xAC) } else { RGBColor(0xB2, 0x18, 0x2B) };
    mixed(RGBColor(0xFF, 0xFF, 0xFF), end, value.abs().min(1.0))
}

/// A picture of panels below each other, each with its own range of colours.
pub struct Panels<'a> {
    layer: &'a str,
    panels: Vec<(Panel<'a>, Grid)>,
}

impl<'a> Panels<'a> {
    /// Creates a picture of panels with at most `most` filters each.
    ///
    /// # Errors
    /// If the number of values does not fit the shape.
    pub fn new(layer: &'a str, panels: Vec<Panel<'a>>, most: usize) -> anyhow::Result<Panels<'a>> {
        let panels = panels.into_iter().map(|panel| {
            panel.filters.check()?;
            let grid = panel.grid(most);
            Ok((panel, grid))
        });
        let panels = panels.collect::<anyhow::Result<_>>()?;
        Ok(Panels { layer, panels })
    }
}

impl Picture for Panels<'_> {
    fn height(&self) -> f64 {
        let panels = self.panels.iter();
        HEAD.0 + panels.map(|(_, grid)| HEAD.1 + grid.height + 12.0).sum::<f64>()
    }

    fn alt(&self) -> String {
        let titles = self.panels.iter().map(|(panel, _)| &panel.title[..]);
        let titles: Vec<&str> = titles.collect();
        format!("Filters of {}: {}.", self.layer, titles.join("; "))
    }

    fn draw<B: Backend>(&self, paper: &Paper<B>) -> anyhow::Result<()> {
        let title = format!("Filters of {}", self.layer);
        paper.text((MARGIN, 22.0), HPos::Left, font(15.0, INK), &title)?;
        let mut top = HEAD.0;
        for (panel, grid) in &self.panels {
            let (shown, filters) = (grid.shown, panel.filters.shape[0]);
            let title = match shown < filters {
                true => format!("{} (the first {shown} of {filters})", panel.title),
                false => panel.title.clone(),
            };
            let middle = top + 15.5;
            paper.text((MARGIN, middle), HPos::Left, font(TEXT, INK), &title)?;
            panel.draw_range(paper, middle)?;
            panel.draw_grid(paper, grid, top + HEAD.1)?;
            top += HEAD.1 + grid.height + 12.0;
        }
        Ok(())
    }
}

impl Panel<'_> {
    /// Draws the range of the colours at the right border.
    fn draw_range<B: Backend>(&self, paper: &Paper<B>, middle: f64) -> anyhow::Result<()> {
        let text = |x, text: &str| paper.text((x, middle), HPos::Right, font(TEXT, MUTED), text);
        let right = WIDTH - MARGIN;
        let limit = match self.scale() {
            0.0 => "0".into(),
            scale => scientific(f64::from(scale)),
        };
        if self.filters.shape[1] == 3 {
            return text(right, &format!("channels from −{limit} to {limit}"));
        }
        text(right, &limit)?;
        let left = right - text_width(&limit, TEXT) - 106.0;
        text(left - 6.0, &format!("−{limit}"))?;
        let bar = |from: f64, to: f64, half: f64, color| {
            let corner = (left + from, middle - half);
            paper.rect(corner, (left + to, middle + half), color)
        };
        bar(-1.0, 101.0, 6.0, GRID)?;
        (0..50).map(f64::from).try_for_each(|i| {
            let color = diverging((i - 24.5) / 24.5);
            bar(2.0 * i, 2.0 * i + 2.0, 5.0, color)
        })
    }

    /// Draws the filters in rows, each weight as a square.
    fn draw_grid<B: Backend>(&self, paper: &Paper<B>, grid: &Grid, top: f64) -> anyhow::Result<()> {
        let [_, _, height, width] = self.filters.shape;
        let (scale, zoom) = (self.scale(), grid.zoom);
        for filter in 0..grid.shown {
            let (row, column) = (filter / grid.columns, filter % grid.columns);
            let left = MARGIN + (GAP + zoom * width as f64) * column as f64;
            let top = top + (GAP + zoom * height as f64) * row as f64;
            let at = |x: usize, y: usize| (left + zoom * x as f64, top + zoom * y as f64);
            let (right, bottom) = at(width, height);
            paper.rect((left - 1.0, top - 1.0), (right + 1.0, bottom + 1.0), GRID)?;
            for i in 0..height * width {
                let (x, y) = (i % width, i / width);
                paper.rect(at(x, y), at(x + 1, y + 1), self.color(filter, i, scale))?;
            }
        }
        Ok(())
    }
}
