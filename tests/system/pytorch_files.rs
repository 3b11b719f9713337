//! Exchange of files with PyTorch in both directions.

use std::path::{Path, PathBuf};
use std::process::Command;

use prospr::{DType, Device, TensorFile};

use crate::sandbox::{SMALL, Sandbox, has};

fn fixture(name: &str) -> PathBuf {
    crate::support::fixture("torch").join(name)
}

fn read(name: &str) -> TensorFile {
    TensorFile::read(&fixture(name)).unwrap()
}

#[test]
fn every_type_of_a_state_dict_is_read() {
    let file = read("dtypes.pt");
    let values = |name: &str| file.array(name).unwrap();
    for name in ["float64", "float32", "float16", "bfloat16"] {
        assert_eq!(values(name), (vec![3], vec![-2.0, 0.0, 1.5]), "{name}");
    }
    for name in ["int64", "int32", "int16", "int8"] {
        assert_eq!(values(name), (vec![3], vec![-3.0, 0.0, 100.0]), "{name}");
    }
    assert_eq!(values("uint8"), (vec![3], vec![0.0, 7.0, 255.0]));
    assert_eq!(values("bool"), (vec![3], vec![1.0, 0.0, 1.0]));
    assert_eq!(values("scalar"), (vec![], vec![4.0]));
    assert_eq!(values("empty"), (vec![0, 3], vec![]));
    let device = Device::cpu();
    let tensor = |name: &str| file.tensor(name, &device).unwrap().dtype();
    assert_eq!(tensor("float16"), DType::F32);
    assert_eq!(tensor("float64"), DType::F64);
    assert_eq!(tensor("int64"), DType::I32);
    assert_eq!(tensor("bool"), DType::Bool);
}

#[test]
fn views_of_a_shared_storage_become_arrays() {
    let file = read("views.pt");
    for (name, shape, values) in [
        ("turned", &[3, 2][..], &[0, 3, 1, 4, 2, 5][..]),
        ("every_second", &[6], &[1, 3, 5, 7, 9, 11]),
        ("block", &[2, 3], &[8, 9, 10, 14, 15, 16]),
        ("expanded", &[3, 2], &[5; 6]),
    ] {
        let values = values.iter().map(|&v| f64::from(v)).collect();
        assert_eq!(file.array(name).unwrap(), (shape.to_vec(), values), "{name}");
    }
    let (shape, values) = file.array("permuted").unwrap();
    assert_eq!((shape, &values[..7]), (vec![4, 2, 3], &[0.0, 4.0, 8.0, 12.0, 16.0, 20.0, 1.0][..]));
    assert!((0..24).map(f64::from).eq(file.array("tied").unwrap().1));
}

#[test]
fn checkpoints_parameters_and_data_parallel_give_the_same_weights() {
    let plain = read("plain.pt");
    let names: Vec<&str> = plain.names().collect();
    assert_eq!(names.len(), 7);
    for name in ["checkpoint.pt", "data_parallel.pt"] {
        let other = read(name);
        assert!(other.names().eq(names.iter().copied()), "{name}");
    }
    let parameters = read("parameters.pt");
    assert!(parameters.names().eq(["0.bias", "0.weight", "1.bias", "1.weight"]));
    for name in parameters.names() {
        let of = |file: &TensorFile| file.array(name).unwrap();
        assert_eq!(of(&parameters), of(&plain), "{name}");
        assert_eq!(of(&read("data_parallel.pt")), of(&plain), "{name}");
    }
    // The prefix `module.` is removed only if all names have it.
    assert!(read("half_module.pt").names().eq(["b", "module.a"]));
}

#[test]
fn files_without_a_state_dict_are_errors() {
    let refused = |name: &str, parts: &[&str]| {
        let error = TensorFile::read(&fixture(name)).unwrap_err().to_string();
        has(&error, &[&[name], parts].concat());
    };
    refused("hostile.pt", &["posix.system", "not run", "model.state_dict()"]);
    refused("module.pt", &["torch.nn.modules", "not run", "model.state_dict()"]);
    refused("complex.pt", &["torch.ComplexFloatStorage"]);
    refused("no_tensors.pt", &["epoch, lr", "`state_dict`"]);
    refused("mixed.pt", &["`epoch`"]);
    refused("old.pt", &["1.6", "`torch.save` it again"]);
    assert!(!Path::new("pwned").exists());
    let sandbox = Sandbox::new();
    for (command, file) in [("eval", ""), ("run --out r", " --init")] {
        let call = |name: &str| format!("{command} {SMALL}{file} {}", fixture(name).display());
        sandbox.bad(&call("hostile.pt"), &["hostile.pt", "posix.system"]);
        sandbox.bad(&call("plain.pt").replace("--out r", "--out s"), &["plain.pt", "conv1.weight"]);
    }
}

/// Checks the assumptions of `examples/pytorch_mask.py`. If PyTorch is installed, also runs the example and reads files
/// that PyTorch wrote.
#[test]
fn a_run_opens_in_pytorch() {
    let sandbox = Sandbox::new();
    sandbox.good(&format!("run {SMALL} --epochs 1 --out r --quiet"));
    let device = Device::cpu();
    let model = TensorFile::read(&sandbox.path("r/model.safetensors")).unwrap();
    let mask = TensorFile::read(&sandbox.path("r/mask.safetensors")).unwrap();
    let mut said = Vec::new();
    for name in mask.names() {
        assert_eq!(mask.shape(name), model.shape(name), "{name}");
        assert_eq!(mask.tensor(name, &device).unwrap().dtype(), DType::U8);
        let values = mask.array(name).unwrap().1;
        assert!(values.iter().all(|&v| v == 0.0 || v == 1.0), "{name}");
        let weights = model.array(name).unwrap().1;
        assert!(weights.iter().zip(&values).all(|(w, keep)| *keep == 1.0 || *w == 0.0), "{name}");
        let kept = values.iter().sum::<f64>();
        said.push(format!("{name}: {kept} of {} stay", values.len()));
    }
    let layers = ["conv1", "conv2", "fc1", "fc2"];
    assert!(mask.names().eq(layers.map(|layer| format!("{layer}.weight"))));
    assert_eq!(model.names().count(), 8, "a weight and a bias for each layer");

    let python = |args: &[&str]| {
        let mut command = Command::new("python3");
        command.args(args).current_dir(sandbox.path(".")).output()
    };
    if !python(&["-c", "import torch, safetensors.torch"]).is_ok_and(|o| o.status.success()) {
        println!("PyTorch or safetensors is missing here: examples/pytorch_mask.py was not run");
        return;
    }
    let example = std::path::absolute("examples/pytorch_mask.py").unwrap();
    let output = python(&[example.to_str().unwrap(), "r"]).unwrap();
    let text = String::from_utf8_lossy(&output.stdout).to_string();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    said.iter().for_each(|line| has(&text, &[line]));
    has(&text, &["logits"]);
    let convert = "import torch, safetensors.torch as s; torch.save({'epoch': 1, 'state_dict': s.load_file('r/model.safetensors')}, 'model.pt'); torch.save(s.load_file('r/mask.safetensors'), 'mask.pt')";
    assert!(python(&["-c", convert]).unwrap().status.success());
    let tested = |path: &str| sandbox.good(&format!("eval {path} {SMALL} --json --quiet")).0;
    assert_eq!(tested("model.pt"), tested("r/model.safetensors"));
    sandbox
        .good(&format!("train {SMALL} --epochs 1 --init model.pt --mask mask.pt --out t --quiet"));
}
