//! The report on one run.

use std::path::Path;

use super::filters::Filters;
use super::html::{Cell, Inline, Page};
use super::plots;
use super::scores::{self, ScoredLayer};
use super::text::{count, loss, percent, seconds, short_percent};
use crate::results::{EpochRow, LayerResult, Results};
use crate::write_atomically;

/// The report on one run.
#[derive(Clone, Copy, Debug)]
pub struct RunReport<'a> {
    /// The results of the run.
    pub results: &'a Results,
    /// Metrics of each epoch.
    pub history: &'a [EpochRow],
    /// Saliency scores; `None` for a dense network, or if the mask was read from a file.
    pub scores: Option<&'a [ScoredLayer]>,
    /// Filters of the first layer; `None` if they cannot be drawn.
    pub filters: Option<&'a Filters>,
    /// The configuration as TOML.
    pub config_toml: &'a str,
}

impl RunReport<'_> {
    /// Writes `report.html`, `accuracy.png`, `sparsity.png` and, if there are scores and filters, `scores.png` and
    /// `filters.png` into an existing folder.
    ///
    /// # Errors
    /// If a file cannot be written, or the filters' values do not fit their shape.
    pub fn write(&self, dir: &Path) -> anyhow::Result<()> {
        let results = self.results;
        let mut page = Page::new(&title(results));
        page.paragraph("verdict", &verdict(results));
        if !results.test_loss.is_finite() || self.history.iter().any(|e| !e.train_loss.is_finite())
        {
            page.paragraph(
                "warning",
                "Training diverged: a loss is not finite. A smaller learning rate often helps.",
            );
        }
        page.facts(&facts(results));

        page.heading("Accuracy");
        page.figure(
            dir,
            "accuracy.png",
            &plots::accuracy(results, self.history),
            Inline::Svg,
            "Fraction of images whose class has the largest output. Training images are counted while the epoch runs, \
             each before the update that it takes part in; test images after the epoch. The ring is the epoch \
             with the best test accuracy.",
        )?;

        page.heading("Sparsity");
        page.figure(
            dir,
            "sparsity.png",
            &plots::layers(&results.layers),
            Inline::Svg,
            "One bar for each prunable layer, first layer on top. The scale is logarithmic: each line is ten times the one \
             before it, and the gap between the ends of the two bars shows how much was removed.",
        )?;
        page.table(
            &["layer", "weights", "kept", "kept, share", "sparsity"],
            &layer_rows(results),
            true,
        );

        if let Some(layers) = self.scores {
            page.heading("Scores");
            let caption = format!(
                "Number of weights by score, both on logarithmic scales. Weights right of the broken line were \
                 kept; a weight left of it was kept only if its layer would have kept too few. Scores more than {} \
                 decades below the highest share the leftmost bar.",
                scores::DECADES
            );
            let picture = scores::scores(layers);
            page.figure(dir, "scores.png", &picture, Inline::Svg, &caption)?;
        }
        if let Some(filters) = self.filters {
            page.heading("First layer");
            let picture = filters.picture()?;
            page.figure(dir, "filters.png", &picture, Inline::Png, filters.caption())?;
        }
        page.details("Configuration", self.config_toml);
        let html = page.html(&results.version);
        Ok(write_atomically(&dir.join("report.html"), html.as_bytes())?)
    }
}

fn title(results: &Results) -> String {
    let Results { pruner, model, data, .. } = results;
    if results.weights_kept == results.weights {
        format!("{pruner}: {model} on {data}")
    } else {
        let sparsity = short_percent(results.sparsity_requested);
        let check = results.check.map(|check| format!(", {}", check.title()));
        let check = check.unwrap_or_default();
        format!("{pruner} at {sparsity}{check}: {model} on {data}")
    }
}

fn verdict(results: &Results) -> String {
    let accuracy = percent(results.test_top1);
    let weights = count(results.weights);
    if results.weights_kept == results.weights {
        return format!(
            "{accuracy} of the test images are classified correctly, with all {weights} prunable weights."
        );
    }
    format!(
        "{accuracy} of the test images are classified correctly, with {} of {weights} prunable weights: {} were removed \
         before training.",
        count(results.weights_kept),
        percent(results.sparsity)
    )
}

fn facts(results: &Results) -> Vec<(&'static str, String)> {
    let of = |kept, all| format!("{} of {}", count(kept), count(all));
    let share = |share: Option<f64>| share.map_or("–".into(), percent);
    vec![
        ("Network", results.model.clone()),
        ("Data", results.data.clone()),
        ("Pruner", results.pruner.clone()),
        ("Seed", results.seed.to_string()),
        (
            "Sparsity",
            format!(
                "{} ({} requested)",
                percent(results.sparsity),
                short_percent(results.sparsity_requested)
            ),
        ),
        ("Effective sparsity", share(results.effective_sparsity)),
        ("FLOPs kept", share(results.flops_kept)),
        ("Prunable weights", of(results.weights_kept, results.weights)),
        ("All parameters", of(results.params_kept, results.params)),
        ("Test top-1", percent(results.test_top1)),
        ("Test top-5", percent(results.test_top5)),
        ("Test loss", loss(results.test_loss)),
        (
            "Best test top-1",
            format!(
                "{} after epoch {} of {}",
                percent(results.best_test_top1),
                results.best_epoch,
                results.epochs
            ),
        ),
        ("Pruning", seconds(results.prune_seconds)),
        ("Training and testing", seconds(results.train_seconds)),
        ("Device", results.device.clone()),
    ]
}

fn layer_rows(results: &Results) -> Vec<Vec<Cell>> {
    let row = |layer: &LayerResult| -> Vec<Cell> {
        vec![
            layer.name.as_str().into(),
            count(layer.weights).into(),
            count(layer.kept).into(),
            percent(plots::share(layer)).into(),
            percent(layer.sparsity).into(),
        ]
    };
    let all = LayerResult {
        name: "all layers".into(),
        weights: results.weights,
        kept: results.weights_kept,
        sparsity: results.sparsity,
    };
    results.layers.iter().chain([&all]).map(row).collect()
}
