//! Reports: one self-contained HTML page for a run or comparison, with its pictures as PNG files in the same folder.
//!
//! A page needs no network and no scripts. The same input gives the same bytes.

mod axis;
mod chart;
mod colors;
mod comparison;
mod comparison_plots;
mod dots;
mod filters;
mod groups;
mod html;
mod picture;
mod plots;
mod run;
#[cfg(test)]
mod sample;
mod scores;
mod series;
mod table;
#[cfg(test)]
mod tests;
mod text;

pub use comparison::ComparisonReport;
pub use dots::{LayerValues, write_norms, write_shares};
pub use filters::Filters;
pub use groups::ComparedRun;
pub use run::RunReport;
pub use scores::ScoredLayer;
pub use table::Table;
