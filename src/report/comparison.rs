//! The report on a comparison of several runs.

use std::path::Path;

use super::comparison_plots as plots;
use super::filters::{Filters, Panel, Panels};
use super::groups::{ComparedRun, Group, groups, sparsities};
use super::html::{Cell, Inline, Page};
use super::table::Table;
use super::text::{percent, seconds, short_percent};
use crate::comparison::Comparison;
use crate::config::Check;
use crate::write_atomically;

/// Largest number of filters shown of each run; the run's own report shows more.
const FILTERS: usize = 24;

/// The report on a comparison. Runs with the same pruner and sparsity form a group, which is averaged over seeds.
#[derive(Clone, Copy, Debug)]
pub struct ComparisonReport<'a> {
    /// One run for each pruner, sparsity, check and seed; groups are shown in the order of their first runs.
    pub runs: &'a [ComparedRun],
    /// The results of these runs, and the runs without a result.
    pub comparison: &'a Comparison,
    /// The configuration as TOML.
    pub config_toml: &'a str,
}

impl ComparisonReport<'_> {
    /// Writes `comparison.md`, `report.html`, `accuracy.png`, `sparsity.png`, `accuracy-by-sparsity.png` if there are
    /// several sparsities, and `filters.png` if there are filters, into an existing folder. Pictures show the runs
    /// without checks; if all of those collapsed, there are no pictures.
    ///
    /// # Errors
    /// If there are no runs, a file cannot be written, or the filters' values do not fit their shape.
    pub fn write(&self, dir: &Path) -> anyhow::Result<()> {
        let table = Table::of(self.comparison);
        anyhow::ensure!(
            !table.rows.is_empty(),
            "a comparison's report needs at least one run, but there is none"
        );
        write_atomically(&dir.join("comparison.md"), table.markdown().as_bytes())?;
        let groups = groups(self.runs);
        let title = match self.runs.first() {
            Some(ComparedRun { results, .. }) => {
                format!("Comparison: {} on {}", results.model, results.data)
            }
            None => "Comparison".into(),
        };
        let mut page = Page::new(&title);
        if !groups.is_empty() {
            page.paragraph("verdict", &verdict(&groups));
        }
        if !self.comparison.collapsed.is_empty() {
            page.paragraph(
                "warning",
                "Layers collapsed: some masks would have kept no weight of a layer, and were not trained.",
            );
        }
        let cells = table.rows.into_iter();
        let cells: Vec<Vec<Cell>> =
            cells.map(|row| row.into_iter().map(Cell::from).collect()).collect();
        page.table(&table.columns, &cells, false);
        page.paragraph(
            "note",
            "Test accuracy after the last epoch; means over seeds ± sample standard deviations. Effective sparsity counts \
             weights that lie on no path from the input to the output as removed.",
        );
        if !groups.is_empty() {
            self.pictures(&mut page, dir, &groups)?;
        }
        page.heading("Runs");
        let rows: Vec<Vec<Cell>> = self.runs.iter().map(run_row).collect();
        page.table(
            &[
                "run",
                "check",
                "seed",
                "sparsity",
                "test top-1",
                "top-5",
                "best top-1",
                "epoch of best",
                "training",
            ],
            &rows,
            false,
        );
        page.details("Configuration", self.config_toml);
        let html = page.html(&self.comparison.version);
        Ok(write_atomically(&dir.join("report.html"), html.as_bytes())?)
    }

    /// Adds the sections with pictures.
    fn pictures(&self, page: &mut Page, dir: &Path, groups: &[Group<'_>]) -> anyhow::Result<()> {
        page.heading("Accuracy");
        page.figure(
            dir,
            "accuracy.png",
            &plots::curves(groups),
            Inline::Svg,
            "Fraction of test images whose class has the largest output, after each epoch; means over seeds. Each pruner \
             has a colour, which is paler at lower sparsities.",
        )?;
        if sparsities(groups).len() > 1 {
            page.figure(
                dir,
                "accuracy-by-sparsity.png",
                &plots::frontier(groups),
                Inline::Svg,
                "Test accuracy after the last epoch against the fraction of weights kept, on a logarithmic scale; means \
                 over seeds, with bars of one standard deviation. The broken line is the dense network.",
            )?;
        }
        page.heading("Sparsity");
        page.figure(
            dir,
            "sparsity.png",
            &plots::layers(groups),
            Inline::Svg,
            "Fraction of weights kept of each layer, first layer on top, on a logarithmic scale; means over seeds, at \
             the highest sparsity that was compared. A ring at the left border is a layer without any kept weight.",
        )?;

        let highest = sparsities(groups).last().copied();
        let pictured: Vec<(&Group<'_>, &Filters)> = groups
            .iter()
            .filter(|group| !group.pruned() || Some(group.sparsity) == highest)
            .filter_map(|group| Some((group, group.runs[0].filters.as_ref()?)))
            .collect();
        if let Some((_, first)) = pictured.first() {
            let mut panels = vec![Panel::initial(first)];
            for (group, filters) in &pictured {
                let title = format!("{} after training", group.name());
                panels.push(Panel::trained(&title, filters));
            }
            page.heading("First layer");
            let picture = Panels::new(&first.layer, panels, FILTERS)?;
            let caption = format!(
                "{} Networks after training with their first seed, at the highest sparsity; each run's own report has more.",
                first.caption()
            );
            page.figure(dir, "filters.png", &picture, Inline::Png, &caption)?;
        }
        Ok(())
    }
}

fn run_row(run: &ComparedRun) -> Vec<Cell> {
    let results = &run.results;
    let name = Cell::Link { to: run.report.clone(), text: results.pruner.clone() };
    vec![
        name,
        results.check.map_or("", Check::title).into(),
        results.seed.to_string().into(),
        percent(results.sparsity).into(),
        percent(results.test_top1).into(),
        percent(results.test_top5).into(),
        percent(results.best_test_top1).into(),
        results.best_epoch.to_string().into(),
        seconds(results.train_seconds).into(),
    ]
}

/// A sentence with the accuracies of all pruners at the highest sparsity, the best first, and of the dense network.
fn verdict(groups: &[Group<'_>]) -> String {
    let result = |group: &Group<'_>| format!("{} {}", group.pruner, percent(group.top1()));
    let dense = groups.iter().find(|group| !group.pruned()).map(result);
    let Some(&highest) = sparsities(groups).last() else {
        return format!("Test accuracy: {}.", dense.unwrap_or_default());
    };
    let mut pruned: Vec<&Group<'_>> =
        groups.iter().filter(|g| g.pruned() && g.sparsity == highest).collect();
    // NaN is sorted last.
    pruned.sort_by(|a, b| b.top1().max(-1.0).total_cmp(&a.top1().max(-1.0)));
    let pruned: Vec<String> = pruned.into_iter().map(result).collect();
    format!(
        "Test accuracy with {} of the weights removed before training: {}.{}",
        short_percent(highest),
        pruned.join(", "),
        dense.map_or_else(String::new, |dense| format!(" Without pruning: {dense}."))
    )
}
