//! Looks at every file of a data set.

use std::path::Path;

use rayon::prelude::*;

use crate::catalog::{Findings, open};
use crate::{Result, Split, fetch};

/// What a check has found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// How many images there are.
    pub images: usize,
    /// What must be mended, with the files' names.
    pub problems: Vec<String>,
    /// What is unusual but can be used: grey and CMYK images, which are converted.
    pub remarks: Vec<String>,
}

/// Reads all files of a data set and decodes all of its images, on all cores, and compares its archives, where they lie
/// beside, with the published checksums; everything that is wrong comes at once.
///
/// # Errors
/// [`crate::Error::Unknown`] and [`crate::Error::NoFolder`]. What is wrong with files is in the report.
pub fn check(name: &str, folder: Option<&Path>) -> Result<Report> {
    let mut findings = Findings::default();
    let set = open(name, folder, &mut findings)?;
    if let Some(folder) = folder {
        findings
            .problems
            .extend(fetch::damaged_archives(name, folder));
    }
    let mut report = Report {
        images: 0,
        problems: findings.problems.iter().map(ToString::to_string).collect(),
        remarks: findings.remarks,
    };
    let Some(set) = set else {
        return Ok(report);
    };
    for split in [&set.train, &set.test] {
        report.images += split.len();
        // In the order of names, though images are read in their own.
        let found = (0..split.len())
            .into_par_iter()
            .map(|index| (index, image(split, index)));
        let mut found: Vec<(usize, Result<String, String>)> = found
            .filter_map(|(index, found)| found.transpose().map(|found| (index, found)))
            .collect();
        found.sort_by_cached_key(|(index, _)| split.source.name(*index));
        for (index, found) in found {
            match found {
                Ok(remark) => report
                    .remarks
                    .push(format!("{} {remark}", split.source.name(index))),
                Err(problem) => report.problems.push(problem),
            }
        }
    }
    Ok(report)
}

/// What is remarkable about an image, or wrong with it.
fn image(split: &Split, index: usize) -> Result<Option<String>, String> {
    let looked = split.source.inspect(index);
    let (sample, remark) = looked.map_err(|e| e.to_string())?;
    let fitted = split.fitted(index, sample.image);
    fitted.map(|_| remark).map_err(|e| e.to_string())
}
