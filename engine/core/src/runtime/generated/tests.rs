//! Tests that generated kernels of all classes are valid WGSL and compute what the CPU computes.

use burn_flex::{Flex, FlexDevice};
use burn_wgpu::Wgpu;

use super::GeneratedKernel;
use crate::ir::program::Program;
use crate::runtime::device::Class;
use crate::runtime::{Backed, DeviceKind, Value, cpu};
use crate::tensor::programs;
use crate::tensor::tests::{expression, leaves};
use crate::{DType, Device, Key, Tensor};

/// Programs of random expressions, with the shapes of their inputs.
fn samples(count: u64) -> Vec<(Program, Vec<Vec<usize>>)> {
    let sizes = [[2, 3, 5], [4, 1, 7], [3, 8, 70], [2, 4, 600], [5, 40, 3], [1, 9, 4100]];
    let sample = |seed: u64| {
        let leaves = leaves(&Device::cpu(), DType::F32, sizes[seed as usize % sizes.len()]);
        let made = expression(seed + 1000, &leaves, |_| {});
        let asked: Vec<Tensor> = made.into_iter().step_by(3).collect();
        let stand_ins: Vec<Tensor> = Vec::new();
        programs(&stand_ins, &asked)
    };
    (0..count).flat_map(sample).collect()
}

fn input(seed: usize, shape: &[usize], dtype: DType) -> Tensor {
    let x = Key::new(seed as u64).normal(shape, DType::F32, &Device::cpu());
    match dtype {
        DType::F32 => x,
        _ => x.gt(&x.zeros_like()).to_dtype(DType::F32).to_dtype(dtype),
    }
}

fn values<B: Backed>(inputs: &[Tensor], place: &B::Device) -> Vec<Value<B>> {
    let value = |t: &Tensor| B::from_bytes(&t.to_bytes().unwrap(), t.shape(), t.dtype(), place);
    inputs.iter().map(value).collect()
}

fn numbers<B: Backed>(value: &Value<B>, dtype: DType) -> Vec<f32> {
    let bytes = value.to_bytes(dtype).unwrap();
    match dtype {
        DType::Bool => bytes.into_iter().map(f32::from).collect(),
        _ => bytemuck::pod_collect_to_vec(&bytes),
    }
}

fn validate(source: &str) {
    let module = naga::front::wgsl::parse_str(source)
        .unwrap_or_else(|e| panic!("{}\n{source}", e.emit_to_string(source)));
    naga::valid::Validator::new(
        naga::valid::ValidationFlags::all(),
        naga::valid::Capabilities::default() | naga::valid::Capabilities::SHADER_INT64,
    )
    .validate(&module)
    .unwrap_or_else(|e| panic!("{e:?}\n{source}"));
}

#[test]
fn every_class_computes_what_the_cpu_computes() {
    let gpu = Device::gpu().expect("the tests need a GPU, which may be lavapipe");
    println!("running on {gpu}");
    let DeviceKind::Gpu(place) = gpu.kind() else {
        panic!("{gpu} is no GPU");
    };
    for (number, (program, shapes)) in samples(12).into_iter().enumerate() {
        let inputs: Vec<Tensor> = shapes
            .iter()
            .zip(&program.inputs)
            .enumerate()
            .map(|(i, (shape, of))| input(100 * number + i, shape, of.dtype))
            .collect();
        let expected = cpu::program::run(&program, values::<Flex>(&inputs, &FlexDevice));
        let shapes: Vec<&[usize]> = shapes.iter().map(Vec::as_slice).collect();
        let classes = [
            Class::SoftwareRasterizer { wide: true },
            Class::SoftwareRasterizer { wide: false },
            Class::Gpu,
        ];
        for class in classes {
            let compiled = GeneratedKernel::new(&program, &shapes, class);
            for stage in [Some(&compiled), compiled.second.as_deref()].into_iter().flatten() {
                validate(&stage.source);
                let bindings = stage.source.matches("@binding").count();
                assert!(bindings <= 8, "{bindings} buffers: {program}");
            }
            let found = compiled.run(values::<Wgpu>(&inputs, &place.burn), &place.burn).unwrap();
            for ((a, b), output) in found.iter().zip(&expected).zip(&program.outputs) {
                let pairs = numbers(a, output.dtype).into_iter().zip(numbers(b, output.dtype));
                for (x, y) in pairs {
                    let close =
                        (x - y).abs() <= 1e-4 * (1.0 + y.abs()) || x.to_bits() == y.to_bits();
                    let both_nan = x.is_nan() && y.is_nan();
                    assert!(close || both_nan, "{x} against {y}: {program}\n{}", compiled.source);
                }
            }
        }
    }
}

/// The source does not depend on sizes, so that layers of different sizes share a pipeline.
#[test]
fn sizes_are_parameters() {
    let source = |n: usize| {
        let x = Tensor::ones(&[n, 8, 6 * n], DType::F32, &Device::cpu()).stand_in();
        let list = Tensor::ones(&[8, 1], DType::F32, &Device::cpu()).stand_in();
        let y = (&x * &list).relu() * 0.37;
        let (program, shapes) = programs(&[x, list], &[y]).remove(0);
        let shapes: Vec<&[usize]> = shapes.iter().map(Vec::as_slice).collect();
        GeneratedKernel::new(&program, &shapes, Class::Gpu).source
    };
    assert_eq!(source(4), source(8));
    assert_eq!(source(5), source(9));
}
