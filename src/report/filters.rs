//! The first layer's filters as pictures.

use anyhow::ensure;
use plotters::style::RGBColor;
use plotters::style::text_anchor::HPos;

use super::axes::scientific;
use super::picture::{GRID, INK, MUTED, PAPER, Picture, TEXT, WIDTH, mixed, text_width};

/// The filters of a network's first layer, before and after training. All three lists are in the order of the
/// weight's elements.
#[derive(Clone, Debug, PartialEq)]
pub struct Filters {
    /// The weight's name.
    pub layer: String,
    /// Filters, channels, height, width: see [`Filters::shape_of`].
    pub shape: [usize; 4],
    /// At initialization.
    pub initial: Vec<f32>,
    /// Whether each weight stayed.
    pub kept: Vec<bool>,
    /// After training.
    pub trained: Vec<f32>,
}

/// More of a run's filters than these are not shown.
const MOST: usize = 64;
/// A removed weight, where white is zero.
const REMOVED: RGBColor = RGBColor(0xB0, 0xB6, 0xBD);
const MARGIN: f64 = 16.0;
const GAP: f64 = 6.0;
/// What small filters are enlarged to, about.
const SIDE: usize = 48;

impl Filters {
    /// The shape in which a first layer's weight is shown: a convolution's own; for a linear layer, rows in the
    /// shape of the images (channels, height, width); none if that does not fit.
    pub fn shape_of(weight: &[usize], image: [usize; 3]) -> Option<[usize; 4]> {
        match *weight {
            [filters, channels, height, width] => Some([filters, channels, height, width]),
            [filters, features] if features == image.iter().product::<usize>() => {
                Some([filters, image[0], image[1], image[2]])
            }
            _ => None,
        }
    }

    pub(super) fn check(&self) -> anyhow::Result<()> {
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

    /// How to read the pictures.
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

    /// Initial, pruned and trained filters of one run.
    pub(super) fn picture(&self) -> anyhow::Result<Picture> {
        let mut panels = vec![Panel::initial(self)];
        if !self.kept.iter().all(|&kept| kept) {
            panels.push(Panel {
                title: "initial weights that stay".into(),
                values: &self.initial,
                filters: self,
                pruned: true,
            });
        }
        panels.push(Panel::trained("after training".into(), self));
        draw(&self.layer, &panels, MOST)
    }
}

/// Filters under one title.
pub struct Panel<'a> {
    title: String,
    values: &'a [f32],
    filters: &'a Filters,
    /// Whether the mask is shown.
    pruned: bool,
}

impl<'a> Panel<'a> {
    /// All weights at initialization.
    pub fn initial(filters: &'a Filters) -> Panel<'a> {
        Panel {
            title: "initial weights".into(),
            values: &filters.initial,
            filters,
            pruned: false,
        }
    }

    /// Weights after training, without the removed ones.
    pub fn trained(title: String, filters: &'a Filters) -> Panel<'a> {
        Panel {
            title,
            values: &filters.trained,
            filters,
            pruned: true,
        }
    }

    fn grid(&self, most: usize) -> Grid {
        let [filters, _, height, width] = self.filters.shape;
        let shown = filters.min(most);
        let zoom = ((SIDE as f64 / height.max(width) as f64).round()).max(1.0);
        let room = WIDTH - 2.0 * MARGIN + GAP;
        let fits = (room / (GAP + zoom * width as f64)).floor().max(1.0) as usize;
        let rows = shown.div_ceil(fits);
        let columns = shown.div_ceil(rows);
        // What is left of the width makes filters larger.
        let fit = ((room / columns as f64 - GAP) / width as f64).floor();
        let zoom = fit.clamp(zoom, 2.0 * zoom);
        Grid {
            shown,
            zoom,
            across: GAP + zoom * width as f64,
            columns,
            height: rows as f64 * (GAP + zoom * height as f64),
        }
    }

    /// The largest finite weight, which gets full colour.
    fn scale(&self) -> f32 {
        let sizes = self
            .values
            .iter()
            .map(|v| v.abs())
            .filter(|v| v.is_finite());
        sizes.fold(0.0, f32::max)
    }

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

struct Grid {
    shown: usize,
    zoom: f64,
    across: f64,
    columns: usize,
    height: f64,
}

/// Blue, white, red for −1, 0, 1.
fn diverging(value: f64) -> RGBColor {
    let end = if value < 0.0 {
        RGBColor(0x21, 0x66, 0xAC)
    } else {
        RGBColor(0xB2, 0x18, 0x2B)
    };
    mixed(RGBColor(0xFF, 0xFF, 0xFF), end, value.abs().min(1.0))
}

/// Panels below each other with at most so many filters, each panel with its own range of colours.
pub fn draw(layer: &str, panels: &[Panel<'_>], most: usize) -> anyhow::Result<Picture> {
    const HEAD: f64 = 34.0;
    let mut height = 40.0;
    for panel in panels {
        panel.filters.check()?;
        height += HEAD + panel.grid(most).height + 12.0;
    }
    let titles: Vec<&str> = panels.iter().map(|p| p.title.as_str()).collect();
    let alt = format!("Filters of {layer}: {}.", titles.join("; "));
    let mut picture = Picture::new(height, alt);
    picture.text(
        (MARGIN, 26.0),
        HPos::Left,
        15.0,
        INK,
        format!("Filters of {layer}"),
    );
    let mut top = 40.0;
    for panel in panels {
        let layout = panel.grid(most);
        let shown = layout.shown;
        let filters = panel.filters.shape[0];
        let title = if shown < filters {
            format!("{} (the first {shown} of {filters})", panel.title)
        } else {
            panel.title.clone()
        };
        picture.text((MARGIN, top + 20.0), HPos::Left, TEXT, INK, title);
        range(&mut picture, panel, top + 20.0);
        grid(&mut picture, panel, &layout, top + HEAD);
        top += HEAD + layout.height + 12.0;
    }
    Ok(picture)
}

/// Which weights the colours stand for, at the right border.
fn range(picture: &mut Picture, panel: &Panel<'_>, base: f64) {
    let right = WIDTH - MARGIN;
    let limit = match panel.scale() {
        0.0 => "0".into(),
        scale => scientific(f64::from(scale)),
    };
    if panel.filters.shape[1] == 3 {
        let text = format!("channels from −{limit} to {limit}");
        picture.text((right, base), HPos::Right, TEXT, MUTED, text);
        return;
    }
    let right = right - text_width(&limit, TEXT) - 6.0;
    let bar = (right - 100.0, right);
    picture.rect((bar.0 - 1.0, base - 11.0), (bar.1 + 1.0, base + 1.0), GRID);
    for i in 0..50 {
        let (left, value) = (bar.0 + 2.0 * f64::from(i), (f64::from(i) - 24.5) / 24.5);
        picture.rect((left, base - 10.0), (left + 2.0, base), diverging(value));
    }
    let low = (bar.0 - 6.0, base);
    picture.text(low, HPos::Right, TEXT, MUTED, format!("−{limit}"));
    picture.text((bar.1 + 6.0, base), HPos::Left, TEXT, MUTED, limit);
}

fn grid(picture: &mut Picture, panel: &Panel<'_>, grid: &Grid, top: f64) {
    let [_, _, height, width] = panel.filters.shape;
    let scale = panel.scale();
    let zoom = grid.zoom;
    for filter in 0..grid.shown {
        let left = MARGIN + grid.across * (filter % grid.columns) as f64;
        let top = top + (GAP + zoom * height as f64) * (filter / grid.columns) as f64;
        let right = left + zoom * width as f64;
        let bottom = top + zoom * height as f64;
        picture.rect((left - 1.0, top - 1.0), (right + 1.0, bottom + 1.0), GRID);
        for at in 0..height * width {
            let corner = (
                left + zoom * (at % width) as f64,
                top + zoom * (at / width) as f64,
            );
            let opposite = (corner.0 + zoom, corner.1 + zoom);
            picture.rect(corner, opposite, panel.color(filter, at, scale));
        }
    }
}
