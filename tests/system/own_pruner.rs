//! A registered method of another crate: the example, in all commands that take methods.

use crate::sandbox::{SMALL, Sandbox};
use crate::support::alone;

#[allow(dead_code)]
#[path = "../../examples/own_pruner.rs"]
mod example;

#[test]
fn a_registered_method_works_by_name() {
    alone("own_pruner::a_registered_method_works_by_name", || {
        example::register_methods().unwrap();
        let sandbox = Sandbox::new();
        std::env::set_current_dir(sandbox.folder.path()).unwrap();
        let run = |args: &str| prospr::cli::run(["prospr"].into_iter().chain(args.split(' ')));
        let own = format!("run {SMALL} --model mlp:8 --epochs 1 --pruner balanced-snip");
        run(&format!("{own} --prune-batches 2 --out r")).unwrap();
        assert_eq!(sandbox.json("r/results.json")["pruner"], "balanced-snip");
        run(&format!("{own} --prune-batches 2 --out r --resume")).unwrap();
        let error = run(&format!("{own} --iterations 2 --out s")).unwrap_err();
        assert!(error.to_string().contains("pruner is balanced-snip"), "{error}");
        let small = SMALL.replace("--sparsity 0.9 ", "");
        let methods = "--pruners snip,balanced-snip --sparsities 0.5 --prune-batches 2";
        run(&format!("compare {small} --model mlp:8 --epochs 1 {methods} --out c")).unwrap();
        let runs = &sandbox.json("c/results.json")["runs"];
        assert_eq!(runs[1]["pruner"], "balanced-snip");
        let masks =
            ["snip", "balanced-snip"].map(|name| format!("c/{name}-0.5-s0/mask.safetensors"));
        assert!(sandbox.bytes(&masks[0]) != sandbox.bytes(&masks[1]));
        run(&format!("inspect {}", masks.join(" "))).unwrap();
        // The name is taken now.
        assert!(example::register_methods().is_err());
    });
}
