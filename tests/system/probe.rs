//! `prospr probe`, started as by a user.

use prospr::TensorFile;

use crate::sandbox::{SMALL, Sandbox, has, text};

fn probe(sandbox: &Sandbox, args: &str) -> serde_json::Value {
    let data = "--device cpu --data mnist --data-dir . --prune-batch-size 32 --model mlp:16";
    let (out, _) = sandbox.good(&format!("probe {data} {args} --json --quiet"));
    serde_json::from_str(&out).unwrap()
}

#[test]
fn a_probe_has_the_gradient_and_the_meta_gradients() {
    let sandbox = Sandbox::new();
    // 384 images make 12 batches, so 13 steps begin a second epoch.
    let found = probe(&sandbox, "--meta-steps 1,13 --roundings");
    let rows = found["rows"].as_array().unwrap();
    let steps: Vec<u64> = rows.iter().map(|row| row["steps"].as_u64().unwrap()).collect();
    assert_eq!(steps, [0, 1, 13]);
    for row in rows {
        let norms: Vec<f64> =
            row["layers"].as_array().unwrap().iter().map(|norm| norm.as_f64().unwrap()).collect();
        let all = row["norm"].as_f64().unwrap();
        let sum = norms.iter().map(|n| n * n).sum::<f64>().sqrt();
        assert!(norms.len() == 2 && (all / sum - 1.0).abs() < 1e-12);
        let rounding = row["rounding"].as_f64().unwrap();
        assert!(rounding > 0.0 && rounding < 1e-2, "{rounding}");
    }
    assert_eq!(rows[0]["growth"], 1.0);

    // ProsPr's scores are the same magnitudes divided by their sum, so ratios of norms must agree.
    let small = SMALL.replace("--sparsity", "--model mlp:16 --sparsity");
    sandbox.good(&format!("prune {small} --steps 1 --out p"));
    let scores = TensorFile::read(&sandbox.path("p/scores.safetensors")).unwrap();
    let norm = |name: &str| {
        let (_, values) = scores.array(name).unwrap();
        values.iter().map(|v| v * v).sum::<f64>().sqrt()
    };
    let layers = &rows[1]["layers"];
    let ratio = layers[0].as_f64().unwrap() / layers[1].as_f64().unwrap();
    let expected = norm("fc1.weight") / norm("fc2.weight");
    assert!((ratio / expected - 1.0).abs() < 1e-4, "{ratio} {expected}");
}

#[test]
fn unstable_and_stable_steps_are_reported_and_drawn() {
    let sandbox = Sandbox::new();
    let found = probe(&sandbox, "--meta-steps 1,2,4,8 --inner-lr 30 --same-batch");
    assert!(found["unstable_from"].as_u64().is_some(), "{found}");
    let found = probe(&sandbox, "--meta-steps 1,2,4,8 --inner-lr 0.001 --same-batch");
    assert!(found["unstable_from"].is_null(), "{found}");

    let data = "--device cpu --data mnist --data-dir . --prune-batch-size 32 --model mlp:16";
    let args = format!("probe {data} --meta-steps 1,2 --picture norms.svg");
    let (out, err) = sandbox.good(&args);
    has(&out, &["fc1.weight", "all layers", "times that of M = 0", "stable"]);
    has(&err, &["M = 2: "]);
    has(&text(&sandbox.bytes("norms.svg")), &["fc2.weight", "M = 2", "L2 norm"]);
    sandbox.bad("probe --steps 5 --device cpu", &["--meta-steps"]);
}
