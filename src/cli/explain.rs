//! `prospr explain`

use std::process::ExitCode;

use serde::Serialize;

use crate::forecast::Forecast;
use crate::models::{Model, by_name};
use crate::optim::Sgd;
use crate::pruners::ProsPr;
use crate::{Device, Explanation, Policy};

#[derive(clap::Args)]
pub struct Args {
    /// Network, by a name from `prospr models`.
    #[arg(long, default_value = "resnet-20")]
    model: String,
    /// Images per batch [default: 128, or 8 on software rasterizers].
    #[arg(long)]
    batch: Option<usize>,
    /// The computation to explain.
    #[arg(long, value_enum, default_value = "train")]
    pass: Pass,
    /// Number M of inner steps of the meta-gradient.
    #[arg(long, default_value_t = 3)]
    steps: usize,
    /// Values kept for the reverse sweep of the meta-gradient: keep, per-step, every:K or auto:BYTES.
    #[arg(long, default_value = "per-step")]
    policy: String,
    /// auto, cpu, gpu, gpu:INDEX or gpu:NAME.
    #[arg(long, default_value = "auto")]
    device: String,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, PartialEq, clap::ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Pass {
    /// A training step: loss, gradients, SGD with momentum and weight decay.
    Train,
    /// Loss and accuracy of a batch, in evaluation mode.
    Forward,
    /// One inner step in the reverse sweep of ProsPr's exact meta-gradient: its vector–Jacobian product, with the step
    /// recomputed.
    Meta,
}

/// Output of `--json`.
#[derive(Serialize)]
struct Report<'a> {
    model: &'a str,
    device: String,
    pass: Pass,
    batch: usize,
    /// Inner steps of the whole meta-gradient.
    #[serde(skip_serializing_if = "Option::is_none")]
    steps: Option<usize>,
    /// Peak memory of the whole meta-gradient in bytes, if it can be predicted.
    #[serde(skip_serializing_if = "Option::is_none")]
    whole_peak_bytes: Option<u64>,
    /// Bytes read and written by the kernels.
    bytes: u64,
    /// Floating-point operations of the convolutions and matrix products.
    flops: u64,
    #[serde(flatten)]
    plan: Explanation,
}

pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let device = match &args.device[..] {
        "auto" => Device::auto_explained()?.device,
        choice => Device::select(choice)?,
    };
    let Model { image, classes, .. } = *Model::of(&args.model)?;
    let net = by_name(&args.model, image, classes)?;
    let usual = if device.info().software { 8 } else { 128 };
    let batch = args.batch.unwrap_or(usual);
    anyhow::ensure!(batch > 0, "`--batch` must be 1 or more, found 0");
    let forecast = Forecast::new(&net, image, &device);
    let method = ProsPr {
        unroll: args.policy.parse::<Policy>().map_err(anyhow::Error::msg)?.into(),
        ..ProsPr::new(args.steps, Sgd::new(0.1))
    };
    let plan = match args.pass {
        Pass::Train => {
            forecast.training(Sgd::new(0.01).momentum(0.9).weight_decay(5e-4), false, batch)?
        }
        Pass::Forward => forecast.evaluation(batch)?,
        Pass::Meta => forecast.inner_step(&method, batch)?,
    };
    let meta = args.pass == Pass::Meta;
    let report = Report {
        model: &args.model,
        device: device.to_string(),
        pass: args.pass,
        batch,
        steps: meta.then_some(args.steps),
        whole_peak_bytes: match meta {
            true => forecast.pruning_peak(&method, batch)?,
            false => None,
        },
        bytes: plan.kernels.iter().map(|k| k.bytes).sum(),
        flops: plan.kernels.iter().map(|k| k.flops).sum(),
        plan,
    };
    match args.json {
        true => println!("{}", serde_json::to_string_pretty(&report)?),
        false => print!("{}", text(&report, &args.policy)),
    }
    Ok(ExitCode::SUCCESS)
}

fn text(report: &Report<'_>, policy: &str) -> String {
    let what = match (report.pass, report.steps) {
        (Pass::Train, _) => "a training step: loss, gradients, SGD with momentum and weight decay",
        (Pass::Forward, _) => "loss and accuracy of a batch, in evaluation mode",
        (Pass::Meta, Some(0)) => "the gradient of the loss: a meta-gradient without inner steps",
        (Pass::Meta, _) => {
            "the vector–Jacobian product of one inner step, with the step run again; the reverse sweep of the \
             meta-gradient does this for each step"
        }
    };
    let mut text = format!(
        "{}, batch {}, on {}: {what}\n{}\n",
        report.model, report.batch, report.device, report.plan
    );
    text += "the largest values then:\n";
    for (what, bytes) in &report.plan.largest {
        text += &format!("  {:9.3} MB  {what}\n", *bytes as f64 / 1e6);
    }
    if let (Some(steps), Some(bytes)) = (report.steps, report.whole_peak_bytes) {
        text += &format!(
            "the whole meta-gradient, M = {steps}, {policy}: peak {:.1} MB\n",
            bytes as f64 / 1e6
        );
    }
    text
}
