//! Memory: predicted and measured peaks agree, and lack of memory is an error that loses no data.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::sandbox::{SMALL, Sandbox, has};

fn peaks(sandbox: &Sandbox, args: &str) -> (f64, f64) {
    let (out, _) = sandbox.good(&format!("bench {args} --quick --repeats 1 --json"));
    let rows: Vec<Value> = serde_json::from_str(&out).unwrap();
    let of = |field: &str| rows[0][field].as_f64().unwrap();
    (of("predicted_peak_bytes"), of("peak_bytes"))
}

#[test]
fn predicted_and_measured_peaks_agree() {
    let sandbox = Sandbox::new();
    for (args, tolerance) in [
        ("train --model resnet-20 --batch 8 --device cpu", 0.01),
        ("train --model lenet-5 --batch 16 --device cpu", 0.01),
        ("train --model lenet-5 --batch 4 --device gpu", 0.02),
        ("meta --model resnet-20 --batch 4 --steps 3 --device cpu", 0.05),
        ("meta --model lenet-5 --batch 16 --steps 1 --device cpu", 0.05),
        ("meta --model lenet-5 --batch 16 --steps 5 --policy every:2 --device cpu", 0.05),
        ("meta --model lenet-5 --batch 4 --steps 6 --policy every:4 --device cpu", 0.05),
        ("meta --model mlp:50 --batch 4 --steps 2 --device gpu", 0.05),
    ] {
        let (predicted, measured) = peaks(&sandbox, args);
        println!("{args}: {predicted} predicted, {measured} measured");
        assert!(
            (predicted / measured - 1.0).abs() < tolerance,
            "{args}: {predicted} predicted, {measured} measured"
        );
    }
}

#[test]
fn plans_are_explained() {
    let sandbox = Sandbox::new();
    let report = |args: &str| -> Value {
        let how = "explain --model lenet-5 --batch 4 --json";
        serde_json::from_str(&sandbox.good(&format!("{how} {args}")).0).unwrap()
    };
    let train = report("--device cpu");
    let number = |report: &Value, field: &str| report[field].as_u64().unwrap();
    let kernels = |report: &Value| report["kernels"].as_array().unwrap().clone();
    assert_eq!((&train["pass"], &train["batch"]), (&"train".into(), &4.into()));
    assert!(number(&train, "recorded") > kernels(&train).len() as u64);
    assert!(number(&train, "recorded_bytes") > number(&train, "bytes"));
    assert!(number(&train, "peak_bytes") > number(&train, "input_bytes"));
    assert!(number(&train, "launches") >= kernels(&train).len() as u64);
    for kernel in kernels(&train) {
        assert!(!kernel["what"].as_str().unwrap().is_empty());
        assert!(kernel["inputs"].is_array() && kernel["outputs"].is_array());
    }
    let sum: u64 = kernels(&train).iter().map(|k| number(k, "flops")).sum();
    assert_eq!(sum, number(&train, "flops"));
    let forward = report("--device gpu --pass forward");
    assert!(number(&forward, "flops") < number(&train, "flops"));
    assert!(forward["device"].as_str().unwrap().starts_with("gpu"));
    // A meta-gradient step has a forward and a backward pass, and the derivatives of both.
    let meta = report("--device cpu --pass meta --steps 2");
    assert!(number(&meta, "flops") > number(&train, "flops"));
    assert!(number(&meta, "whole_peak_bytes") > number(&meta, "peak_bytes"));
    assert_eq!(meta["steps"], 2);

    let (table, _) = sandbox.good("explain --model mlp:16 --batch 2 --device cpu --pass meta");
    has(
        &table,
        &[
            "mlp:16, batch 2, on cpu: ",
            "vector–Jacobian product of one inner step",
            "[2, 784]",
            "matmul",
            "GFLOP",
            "launches",
            "the largest values then",
            "M = 3, per-step: peak",
        ],
    );
    sandbox.bad("explain --model lenet-6 --device cpu", &["lenet-6", "lenet-5"]);
    sandbox.bad("explain --batch 0 --device cpu", &["`--batch`", "found 0"]);
    let (completions, _) = sandbox.good("completions bash");
    has(&completions, &["prospr__subcmd__explain", "--memory"]);
}

#[test]
fn lack_of_memory_is_an_error_with_advice() {
    let sandbox = Sandbox::new();
    for device in ["cpu", "gpu"] {
        let how =
            format!("bench train --model lenet-5 --batch 16 --quick --repeats 1 --device {device}");
        let parts = [
            "is out of memory: computing",
            "MB of tensors",
            "the memory budget is 8.0 MB",
            "[500, 800]",
            "smaller batch",
            "per-step",
            "host_offload",
        ];
        sandbox.bad(&format!("{how} --memory 8MB"), &parts);
        sandbox.good(&format!("{how} --memory 20MiB"));
        let meta = format!("bench meta --model lenet-5 --batch 4 --steps 4 --device {device}");
        sandbox.bad(&format!("{meta} --memory 10MB"), &parts[..2]);
    }
    // A single tensor larger than any binding: the error comes before anything is allocated.
    sandbox.bad(
        "bench train --model mlp:60000 --batch 2 --device gpu",
        &["[60000, 784]", "188.2 MB", "a single tensor's limit"],
    );
    let limited = sandbox.run_with(
        "PROSPR_MEMORY",
        "1MB",
        "bench train --model lenet-5 --batch 2 --device cpu",
    );
    has(&limited, &["the memory budget is 1.0 MB"]);
    let wrong = sandbox.run_with("PROSPR_MEMORY", "much", "devices");
    has(&wrong, &["PROSPR_MEMORY", "`much`", "2GiB"]);
}

#[test]
fn a_run_prints_its_predicted_peak_and_resumes_after_lack_of_memory() {
    let sandbox = Sandbox::new();
    let run = format!("run {SMALL} --epochs 3 --out r");
    let mut killed = sandbox.start(&run);
    let start = Instant::now();
    while !sandbox.path("r/checkpoints/last.safetensors").exists() {
        assert!(start.elapsed() < Duration::from_secs(120));
        std::thread::sleep(Duration::from_millis(5));
    }
    killed.kill().unwrap();
    killed.wait().unwrap();
    let checkpoint = sandbox.bytes("r/checkpoints/last.safetensors");
    let mask = sandbox.bytes("r/mask.safetensors");
    sandbox.bad(
        "run --resume --out r --memory 9MB",
        &["is out of memory", "the memory budget is 9.0 MB", "--resume"],
    );
    assert!(sandbox.bytes("r/checkpoints/last.safetensors") == checkpoint);
    assert!(sandbox.bytes("r/mask.safetensors") == mask);
    let (_, err) = sandbox.good("run --resume --out r --memory 1GiB");
    has(
        &err,
        &[
            "predicted peak: ",
            " MB of tensors on cpu (",
            "training step, batch 32",
            "test, batch 100",
            "continuing after",
        ],
    );
    assert!(!err.contains("meta-gradient"), "{err}");
    let data = SMALL.replace("--sparsity 0.9", "");
    let compare = format!("compare {data} --epochs 1 --pruners prospr --sparsities 0.9 --out c");
    let (_, err) = sandbox.good(&compare);
    has(&err, &["predicted peak: ", "meta-gradient, batch 32"]);
}
