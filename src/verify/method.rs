//! Pruning methods of fixtures, made from the metadata entry `case`.

use super::fixture::{Case, Fixture};
use crate::Params;
use crate::optim::{Optimizer, Sgd, UpdateRule};
use crate::pruners::{
    Grasp, NormMode, ProsPr, Pruner, Result, Rounds, Snip, Sparsity, SynFlow, Task,
};

/// A pruning method, with the normalisation of its scores in fixtures.
pub enum Method {
    /// Scores are not divided by their sum.
    ProsPr(ProsPr),
    /// Scores are divided by their sum.
    Snip(Snip),
    /// `w ⊙ Hg` is divided by the magnitude of its sum.
    Grasp(Grasp),
    /// Scores of the first iteration if the file has them (`first`), otherwise of the last.
    SynFlow { pruner: SynFlow, first: bool },
}

impl Method {
    /// Method of a case; `full` if the case names none.
    pub fn of(fixture: &Fixture) -> Result<Method> {
        let case = &fixture.case;
        let error =
            |reason: String| fixture.error(format!("in the metadata entry `case`, {reason}"));
        let method = match case.method.as_deref() {
            None | Some("full") => case.prospr().map(Method::ProsPr),
            Some("first_order") => case.prospr().map(|p| Method::ProsPr(p.first_order())),
            Some("snip") => case.snip().map(Method::Snip),
            Some("grasp") => case.grasp().map(Method::Grasp),
            Some("synflow") => case
                .synflow()
                .map(|pruner| Method::SynFlow { pruner, first: !fixture.under(FIRST).is_empty() }),
            Some(other) => Err(format!(
                "`method` is `{other}`; expected full, first_order, snip, grasp or synflow"
            )),
        };
        method.map_err(error)
    }

    /// Prefix of the scores' names.
    pub fn prefix(&self) -> &'static str {
        match self {
            Method::SynFlow { first: true, .. } => FIRST,
            _ => "score.",
        }
    }

    /// Number of batches that the method uses.
    pub fn batches(&self) -> usize {
        match self {
            Method::ProsPr(p) if p.new_data => p.steps + 1,
            Method::ProsPr(_) => 1,
            Method::Snip(Snip { batches, .. }) | Method::Grasp(Grasp { batches, .. }) => *batches,
            Method::SynFlow { .. } => 0,
        }
    }

    /// Scores to compare with the file's, and scores for the mask; `input` is the shape of SynFlow's input.
    pub fn scores(
        &self,
        task: &mut Task<'_>,
        input: [usize; 3],
        masked: bool,
    ) -> Result<(Params, Params)> {
        let scores = match self {
            Method::ProsPr(pruner) => pruner.magnitudes(task)?,
            Method::Snip(pruner) => pruner.scores(task)?,
            Method::Grasp(pruner) => pruner.scores(task)?,
            Method::SynFlow { pruner, first } => {
                let pruner = SynFlow { input: Some(input), ..pruner.clone() };
                let once =
                    SynFlow { rounds: Rounds { iterations: 1, ..pruner.rounds.clone() }, ..pruner };
                return match (*first, masked) {
                    (true, true) => Ok((once.scores(task)?, pruner.scores(task)?)),
                    (true, false) => twice(once.scores(task)?),
                    (false, _) => twice(pruner.scores(task)?),
                };
            }
        };
        twice(scores)
    }
}

/// Prefix of the names of SynFlow's scores of the first iteration.
const FIRST: &str = "score_first_iteration.";

fn twice(scores: Params) -> Result<(Params, Params)> {
    Ok((scores.clone(), scores))
}

impl std::fmt::Display for Method {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let norm = |mode| match mode {
            NormMode::Train => "training",
            NormMode::Eval => "evaluation",
        };
        match self {
            Method::ProsPr(p) => {
                write!(f, "{}, {} steps, lr {}", p.name(), p.steps, p.optimizer.lr())?;
                if let UpdateRule::Sgd(sgd) = p.optimizer
                    && sgd.momentum != 0.0
                {
                    let detached = sgd.stop_first_momentum_gradient;
                    let note = if detached { " (first buffer detached)" } else { "" };
                    write!(f, ", momentum {}{note}", sgd.momentum)?;
                }
                f.write_str(if p.new_data { ", new data each step" } else { ", one batch" })?;
                f.write_str(match p.granularity {
                    crate::pruners::Granularity::Weight => "",
                    crate::pruners::Granularity::Channel => ", one score per channel",
                })
            }
            Method::Snip(p) => {
                write!(f, "snip, {} batches, batch norm in {}", p.batches, norm(p.mode))
            }
            Method::Grasp(p) => write!(
                f,
                "grasp, {} batches, temperature {}, batch norm in {}",
                p.batches,
                p.temperature,
                norm(p.mode)
            ),
            Method::SynFlow { pruner, first } => write!(
                f,
                "synflow, {} iterations to sparsity {}{}",
                pruner.rounds.iterations,
                pruner.rounds.sparsity.fraction(),
                if *first { ", scores of the first" } else { "" }
            ),
        }
    }
}

fn need<T>(value: Option<T>, name: &str) -> Result<T, String> {
    value.ok_or_else(|| format!("`{name}` is missing, which the method needs"))
}

impl Case {
    /// ProsPr. Requires `num_steps`, and `inner_lr` if there are any steps. Defaults: no momentum, new data in each
    /// step.
    fn prospr(&self) -> Result<ProsPr, String> {
        let steps = need(self.num_steps, "num_steps")?;
        let lr = match steps {
            0 => self.inner_lr.unwrap_or(0.0),
            _ => need(self.inner_lr, "inner_lr")?,
        };
        let mut sgd = Sgd::new(lr).momentum(self.inner_momentum.unwrap_or(0.0));
        let note = self.momentum_note.as_deref().unwrap_or_default();
        if note.contains("detached") && !note.contains("not detached") {
            sgd = sgd.stop_first_momentum_gradient();
        }
        let mut pruner = ProsPr::new(steps, sgd);
        if self.new_data_in_inner == Some(false) {
            pruner = pruner.same_batch();
        }
        if self.structured == Some(true) {
            pruner = pruner.structured();
        }
        Ok(pruner)
    }

    fn snip(&self) -> Result<Snip, String> {
        let (batches, mode) = (self.sum_over_batches()?, self.norm_mode()?);
        Ok(Snip { batches, mode, ..Snip::default() })
    }

    fn grasp(&self) -> Result<Grasp, String> {
        let (batches, mode) = (self.sum_over_batches()?, self.norm_mode()?);
        Ok(Grasp { batches, temperature: self.temperature.unwrap_or(200.0), mode })
    }

    /// SynFlow. Requires `iterations` and `density`.
    fn synflow(&self) -> Result<SynFlow, String> {
        let schedule = self.schedule.as_deref().unwrap_or(SCHEDULE);
        if schedule != SCHEDULE {
            return Err(format!("`schedule` is `{schedule}`; expected `{SCHEDULE}`"));
        }
        let density = need(self.density, "density")?;
        let sparsity =
            Sparsity::new(1.0 - density).map_err(|e| format!("`density` is {density}: {e}"))?;
        let iterations = need(self.iterations, "iterations")?;
        Ok(SynFlow { rounds: Rounds::new(iterations, sparsity), ..SynFlow::new(sparsity) })
    }

    /// Number of batches; 1 by default.
    fn sum_over_batches(&self) -> Result<usize, String> {
        match self.sum_over_batches {
            Some(0) => Err("`sum_over_batches` is 0; expected 1 or more".into()),
            count => Ok(count.unwrap_or(1)),
        }
    }

    /// Mode of batch norm: the first word of `bn`; training by default.
    fn norm_mode(&self) -> Result<NormMode, String> {
        match self.bn.as_deref().map(|text| text.split_whitespace().next()) {
            None | Some(Some("train")) => Ok(NormMode::Train),
            Some(Some("eval")) => Ok(NormMode::Eval),
            _ => Err("`bn` should begin with `train` or `eval`".into()),
        }
    }
}

/// The only supported schedule: the density after iteration `t + 1` of `T`, for the final density `rho`.
const SCHEDULE: &str = "rho**((t+1)/T)";
