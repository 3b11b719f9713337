//! The table of a comparison, for the terminal, the HTML page and `comparison.md`.

use crate::comparison::{Comparison, Mean, Summary, Tally};

use super::text::{count, mean_percent, percent, seconds};

/// A table whose cells are text.
pub struct Table {
    /// Titles of the columns.
    pub columns: Vec<&'static str>,
    /// Rows, each with one cell for each column.
    pub rows: Vec<Vec<String>>,
}

impl Table {
    /// Makes the table of a comparison: a row for each pruner and sparsity, and a column for each check. Numbers are
    /// means over seeds ± sample standard deviations.
    pub fn of(comparison: &Comparison) -> Table {
        let mut columns = vec!["pruner", "sparsity", "weights kept", "test top-1"];
        columns.extend(comparison.checks().into_iter().map(|check| check.title()));
        columns.extend(["effective sparsity", "FLOPs kept", "pruning", "training", "seeds"]);
        Table { columns, rows: comparison.summaries().iter().map(row).collect() }
    }

    /// Formats the table as plain text with aligned columns: the first is left-aligned, the others right-aligned.
    pub fn text(&self) -> String {
        let length = |text: &str| text.chars().count();
        let width = |at: usize| {
            let cells = self.rows.iter().map(|row| length(&row[at]));
            cells.fold(length(self.columns[at]), usize::max)
        };
        let widths: Vec<usize> = (0..self.columns.len()).map(width).collect();
        let line = |cells: Vec<&str>| {
            let cells = cells.iter().zip(&widths).enumerate();
            let padded = cells.map(|(at, (cell, &width))| match at {
                0 => format!("{cell:<width$}"),
                _ => format!("  {cell:>width$}"),
            });
            padded.collect::<String>() + "\n"
        };
        let rows = self.rows.iter();
        let rows = rows.map(|row| line(row.iter().map(|cell| &cell[..]).collect()));
        line(self.columns.clone()) + &rows.collect::<String>()
    }

    /// Formats the table as Markdown.
    pub fn markdown(&self) -> String {
        let mut text = format!("| {} |\n|---|", self.columns.join(" | "));
        text += &"---:|".repeat(self.columns.len() - 1);
        for row in &self.rows {
            text += &format!("\n| {} |", row.join(" | "));
        }
        text + "\n"
    }
}

/// Formats a summary as a row of the table.
fn row(summary: &Summary<'_>) -> Vec<String> {
    let first = summary.runs.first();
    let mean = |values: Vec<f64>, text: fn(&[f64]) -> String| match values[..] {
        [] => "–".into(),
        _ => text(&values),
    };
    let mean_seconds = |values: &[f64]| seconds(Mean::of(values).mean);
    let mut cells = vec![
        summary.pruner.into(),
        percent(first.map_or(summary.sparsity_requested, |run| run.sparsity)),
        first.map_or("–".into(), |run| {
            format!("{} of {}", count(run.weights_kept), count(run.weights))
        }),
        tally(&summary.tally),
    ];
    cells.extend(summary.checks.iter().map(tally));
    cells.extend([
        mean(summary.values(|run| run.effective_sparsity), mean_percent),
        mean(summary.values(|run| run.flops_kept), mean_percent),
        mean(summary.values(|run| Some(run.prune_seconds)), mean_seconds),
        mean(summary.values(|run| Some(run.train_seconds)), mean_seconds),
        summary.runs.len().to_string(),
    ]);
    cells
}

/// Accuracy over seeds, with the number of collapsed seeds if there are some; the collapsed layer if all
/// seeds collapsed.
fn tally(Tally { test_top1, collapsed }: &Tally) -> String {
    match (&test_top1[..], &collapsed[..]) {
        ([], []) => "–".into(),
        ([], [layer, ..]) => format!("collapsed: {layer}"),
        (values, []) => mean_percent(values),
        (values, others) => format!(
            "{}, {} of {} collapsed",
            mean_percent(values),
            others.len(),
            values.len() + others.len()
        ),
    }
}
