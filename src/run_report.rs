//! The report on a finished run, made from the files in its folder.

use crate::config::Check;
use crate::experiment::{Experiment, Initial};
use crate::pruners::{Mask, MaskLayer, prunable};
use crate::report::{ComparedRun, Filters, RunReport, ScoredLayer};
use crate::results::Results;
use crate::run_folder::RunFolder;
use crate::{Device, Params, TensorFile};

/// Writes the report on a finished run into the run's folder. Returns the run's data for the report on a comparison,
/// with the path of the run's report relative to the parent of the folder.
///
/// # Errors
/// If a file of the folder is missing or damaged, or the report cannot be written.
pub fn report_run(
    experiment: &Experiment,
    folder: &RunFolder,
    results: &Results,
) -> anyhow::Result<ComparedRun> {
    let initial = experiment.training_start(experiment.initial()?);
    let weights = prunable(&initial.params);
    let path = folder.path("mask.safetensors");
    let mask = match path.exists() {
        true => Some(Mask::load(&path, &weights)?.0),
        false => None,
    };
    let run = ComparedRun {
        results: results.clone(),
        history: folder.history()?,
        filters: filters(experiment, folder, &initial, mask.as_ref())?,
        report: format!("{}/report.html", experiment.config.label()),
    };
    // Scores are shown only if the mask keeps the highest ones, which the masks of these checks do not.
    let keeps_highest = !matches!(results.check, Some(Check::Shuffle | Check::Invert));
    let scores = scores(folder, mask.as_ref().filter(|_| keeps_highest))?;
    let report = RunReport {
        results,
        history: &run.history,
        scores: scores.as_deref(),
        filters: run.filters.as_ref(),
        config_toml: &experiment.toml()?,
    };
    report.write(folder.root())?;
    Ok(run)
}

fn scores(folder: &RunFolder, mask: Option<&Mask>) -> anyhow::Result<Option<Vec<ScoredLayer>>> {
    let path = folder.path("scores.safetensors");
    let Some(mask) = mask.filter(|_| path.exists()) else {
        return Ok(None);
    };
    let file = TensorFile::read(&path)?;
    let layer = |layer: &MaskLayer| -> anyhow::Result<ScoredLayer> {
        Ok(ScoredLayer {
            name: layer.name.clone(),
            scores: file.tensor(&layer.name, &Device::cpu())?.to_vec()?,
            kept: layer.keep.clone(),
        })
    };
    Ok(Some(mask.layers().iter().map(layer).collect::<Result<_, _>>()?))
}

/// Filters of the first prunable weight, if they can be drawn.
fn filters(
    experiment: &Experiment,
    folder: &RunFolder,
    initial: &Initial,
    mask: Option<&Mask>,
) -> anyhow::Result<Option<Filters>> {
    let weights: Params = prunable(&initial.params);
    let Some((name, _, weight)) = weights.iter().next() else {
        return Ok(None);
    };
    let Some(shape) = Filters::shape_of(weight.shape(), experiment.data.train.shape) else {
        return Ok(None);
    };
    let trained = TensorFile::read(&folder.path("model.safetensors"))?;
    let layer = mask.and_then(|mask| mask.layers().iter().find(|layer| layer.name == name));
    Ok(Some(Filters {
        layer: name.into(),
        shape,
        initial: weight.to_vec()?,
        kept: layer.map_or_else(|| vec![true; weight.numel()], |layer| layer.keep.clone()),
        trained: trained.tensor(name, &Device::cpu())?.to_vec()?,
    }))
}
