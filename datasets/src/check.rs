//! A check of all files of a data set.

use std::path::Path;

use rayon::prelude::*;

use crate::findings::Findings;
use crate::{Result, Split, catalog};

/// Result of a check.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Number of images.
    pub images: usize,
    /// Errors that must be fixed, with the files' names.
    pub problems: Vec<String>,
    /// Notes on unusual files that can be used, such as grey and CMYK images, which are converted.
    pub remarks: Vec<String>,
}

/// Reads all files of a data set, decodes all of its images on all cores, and compares archives in the same folder with
/// the published checksums. Reports all problems at once.
///
/// # Errors
/// [`crate::Error::Unknown`] and [`crate::Error::NoFolder`]. Problems with files are in the report.
pub fn check(name: &str, folder: Option<&Path>) -> Result<Report> {
    let mut findings = Findings::default();
    let entry = catalog::find(name)?;
    let set = entry.open(folder, &mut findings)?;
    if let Some(folder) = folder {
        let archives = entry.downloads().iter().flat_map(|d| d.archives);
        let damage = archives.filter_map(|archive| archive.damage(folder));
        findings.problems.extend(damage);
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
        // The report is sorted by name, unlike the source.
        let found = (0..split.len()).into_par_iter().map(|index| (index, image(split, index)));
        let mut found: Vec<(usize, Result<String, String>)> = found
            .filter_map(|(index, found)| found.transpose().map(|found| (index, found)))
            .collect();
        found.sort_by_cached_key(|(index, _)| split.source.name(*index));
        for (index, found) in found {
            match found {
                Ok(remark) => report.remarks.push(format!("{} {remark}", split.source.name(index))),
                Err(problem) => report.problems.push(problem),
            }
        }
    }
    Ok(report)
}

/// Decodes an image and returns the remark on it, if there is one, or its problem.
fn image(split: &Split, index: usize) -> Result<Option<String>, String> {
    let looked = split.source.inspect(index);
    let (sample, remark) = looked.map_err(|e| e.to_string())?;
    let fitted = split.fitted(index, sample.image);
    fitted.map(|_| remark).map_err(|e| e.to_string())
}
