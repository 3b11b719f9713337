//! Tables of measurements, as aligned text or Markdown, with an optional column of another program's times.

use std::path::Path;

use anyhow::Context;
use serde::Deserialize;

use super::Row;

/// Measurements of another program.
pub struct Beside {
    name: String,
    rows: Vec<Other>,
}

/// One measurement of another program: the fields that identify its row, its time, and its peak memory if it was
/// measured.
#[derive(Deserialize)]
struct Other {
    name: String,
    #[serde(default)]
    direction: Option<String>,
    #[serde(default)]
    size: String,
    #[serde(default)]
    steps: Option<usize>,
    ms: f64,
    #[serde(default)]
    peak_bytes: Option<u64>,
}

impl Beside {
    /// Reads a JSON file with a list of rows, as printed by `--json` and `benches/pytorch.py`. The column gets the
    /// file's name.
    ///
    /// # Errors
    /// If the file cannot be read or is not such a list.
    pub fn read(path: &Path) -> anyhow::Result<Beside> {
        let text = std::fs::read(path).with_context(|| format!("reading {}", path.display()))?;
        let rows = serde_json::from_slice(&text).with_context(|| {
            format!(
                "{} is not a list of measurements; make it with `prospr bench … --json` or benches/pytorch.py",
                path.display()
            )
        })?;
        let name = path.file_stem().unwrap_or_default();
        let name = name.to_string_lossy().into_owned();
        Ok(Beside { name, rows })
    }

    /// Finds the other program's measurement of the same row.
    fn of(&self, row: &Row) -> Option<&Other> {
        let same = |other: &&Other| {
            (&other.name, other.direction.as_deref()) == (&row.name, row.direction)
                && (&other.size, other.steps) == (&row.size, row.steps)
        };
        self.rows.iter().find(same)
    }
}

/// Function of a row that gives its text in one column; empty if the column does not apply.
type Cell = Box<dyn Fn(&Row) -> String>;

struct Column {
    title: String,
    width: usize,
    cell: Cell,
}

/// A table that is printed row by row, because measurements take time.
pub struct Table {
    columns: Vec<Column>,
    markdown: bool,
}

impl Table {
    /// Table of single kernels.
    pub fn of_kernels(markdown: bool, beside: Option<Beside>) -> Table {
        let mut table = Table::new(48, markdown);
        table.add("ms", 10, |r| time(r.ms));
        table.rates();
        table.add("Burn ms", 10, |r| r.burn_ms.map(time).unwrap_or_default());
        table.add("vs Burn", 9, |r| times(r.ratio_vs_burn));
        table.finish(beside)
    }

    /// Table of training steps.
    pub fn of_training(markdown: bool, beside: Option<Beside>) -> Table {
        let mut table = Table::new(24, markdown);
        table.add("first ms", 10, |r| r.first_ms.map(time).unwrap_or_default());
        table.add("ms", 10, |r| time(r.ms));
        table.add("images/s", 10, |r| {
            r.images_per_second.map(|n| format!("{n:.0}")).unwrap_or_default()
        });
        table.rates();
        table.finish(beside)
    }

    /// Table of meta-gradients and of pruning methods.
    pub fn of_scores(markdown: bool, beside: Option<Beside>) -> Table {
        let mut table = Table::new(36, markdown);
        table.add("first ms", 10, |r| r.first_ms.map(time).unwrap_or_default());
        table.add("ms", 10, |r| time(r.ms));
        table.finish(beside)
    }

    fn new(width: usize, markdown: bool) -> Table {
        let mut table = Table { columns: Vec::new(), markdown };
        table.add("", width, Row::label);
        table.add("size", 16, |r| r.size.replace('x', "×"));
        table
    }

    fn add(&mut self, title: &str, width: usize, cell: impl Fn(&Row) -> String + 'static) {
        self.columns.push(Column { title: title.into(), width, cell: Box::new(cell) });
    }

    /// Adds the columns of the rate and of its share of the device's limit.
    fn rates(&mut self) {
        self.add("rate", 13, |r| match (r.tflops, r.gbps) {
            (Some(tera), _) if tera < 1.0 => format!("{} GFLOP/s", short(tera * 1e3)),
            (Some(tera), _) => format!("{} TFLOP/s", short(tera)),
            (_, Some(giga)) if giga < 1e3 => format!("{} GB/s", short(giga)),
            (_, Some(giga)) => format!("{} TB/s", short(giga / 1e3)),
            _ => String::new(),
        });
        self.add("of the limit", 14, |r| {
            let share = r.share_of_matmul.or(r.share_of_copy);
            share.map(|s| format!("{:.0} %", 100.0 * s)).unwrap_or_default()
        });
    }

    /// Adds the columns of the other program, then launches and peak memory.
    fn finish(mut self, beside: Option<Beside>) -> Table {
        if let Some(beside) = beside.map(std::sync::Arc::new) {
            let name = beside.name.clone();
            let mut add = |title: String, cell: fn(&Row, &Other) -> String| {
                let beside = beside.clone();
                self.add(&title, title.len() + 3, move |r| {
                    beside.of(r).map(|other| cell(r, other)).unwrap_or_default()
                });
            };
            add(format!("{name} ms"), |_, other| time(other.ms));
            add(format!("vs {name}"), |r, other| times(Some(other.ms / r.ms)));
            if beside.rows.iter().any(|other| other.peak_bytes.is_some()) {
                add(format!("{name} peak"), |_, other| {
                    other.peak_bytes.map(bytes).unwrap_or_default()
                });
            }
        }
        self.add("launches", 10, |r| r.launches.to_string());
        self.add("peak", 11, |r| bytes(r.peak_bytes));
        self
    }

    /// Header lines.
    pub fn head(&self) -> String {
        let titles = self.columns.iter().map(|column| column.title.clone());
        let head = self.line(titles.collect());
        match self.markdown {
            true => format!("{head}\n|---|---|{}", "---:|".repeat(self.columns.len() - 2)),
            false => head,
        }
    }

    /// Formats one row.
    pub fn row(&self, row: &Row) -> String {
        self.line(self.columns.iter().map(|c| (c.cell)(row)).collect())
    }

    /// Joins the cells: the first two columns are left-aligned, the others right-aligned.
    fn line(&self, cells: Vec<String>) -> String {
        if self.markdown {
            return format!("| {} |", cells.join(" | "));
        }
        let cells = cells.iter().zip(&self.columns).enumerate();
        let padded = cells.map(|(at, (cell, Column { width, .. }))| match at {
            0 | 1 => format!("{cell:<width$}"),
            _ => format!("{cell:>width$}"),
        });
        let line: String = padded.collect();
        line.trim_end().into()
    }
}

/// Formats a number with three significant digits.
fn short(value: f64) -> String {
    let digits = match value {
        v if v < 9.995 => 2,
        v if v < 99.95 => 1,
        _ => 0,
    };
    format!("{value:.digits$}")
}

/// Formats a time in milliseconds.
fn time(ms: f64) -> String {
    match ms {
        ms if ms < 0.995 => format!("{ms:.4}"),
        ms => short(ms),
    }
}

/// Formats a ratio, for example `1.50×`; empty without one.
fn times(ratio: Option<f64>) -> String {
    ratio.map(|r| format!("{}×", short(r))).unwrap_or_default()
}

/// Formats a number of bytes in MiB or GiB.
fn bytes(count: u64) -> String {
    match count as f64 / f64::from(1 << 20) {
        mib if mib < 1000.0 => format!("{} MiB", short(mib)),
        mib => format!("{} GiB", short(mib / 1024.0)),
    }
}

#[cfg(test)]
mod tests {
    use super::{Beside, Other, Table};
    use crate::bench::{Bound, Limits, Row};

    fn row() -> Row {
        let row = Row {
            name: "conv".into(),
            direction: Some("input_grad"),
            size: "8x64".into(),
            ms: 2.0,
            burn_ms: Some(3.0),
            ratio_vs_burn: Some(1.5),
            launches: 7,
            peak_bytes: 3 << 20,
            ..Row::default()
        };
        let limits = Limits { copy: 1.0, matmul: 2e12 };
        row.rated(Bound::Flops(3_000_000_000), limits)
    }

    #[test]
    fn tables_are_aligned_or_markdown_and_compare_with_another_program() {
        let other = |direction: &str, ms| Other {
            name: "conv".into(),
            direction: Some(direction.into()),
            size: "8x64".into(),
            steps: None,
            ms,
            peak_bytes: None,
        };
        let beside = || {
            Some(Beside {
                name: "pytorch".into(),
                rows: vec![other("forward", 9.0), other("input_grad", 5.0)],
            })
        };
        let table = Table::of_kernels(true, beside());
        assert_eq!(
            table.row(&row()),
            "| conv, input grad | 8×64 | 2.00 | 1.50 TFLOP/s | 75 % | 3.00 | 1.50× | 5.00 | 2.50× | 7 | 3.00 MiB |"
        );
        assert_eq!(table.head().lines().count(), 2);
        let table = Table::of_kernels(false, beside());
        let (head, line) = (table.head(), table.row(&row()));
        assert_eq!(head.chars().count(), line.chars().count());
        assert!(head.ends_with("peak") && line.ends_with("3.00 MiB"));
    }
}
