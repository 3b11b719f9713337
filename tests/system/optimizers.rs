//! Optimisers: equality with PyTorch's, and derivatives through their steps.

use prospr::check::{Tolerance, check_grads};
use prospr::optim::{Adam, Optimizer, Sgd};
use prospr::prelude::*;

use crate::support::{each_device, fixture};

fn after_five_steps<O: Optimizer>(optimizer: O, w: &Tensor, a: &Tensor) -> Tensor {
    let (mut w, mut state) = (w.clone(), optimizer.init(w));
    for _ in 0..5 {
        let grads = grad(|w: &Tensor| (a * w.powf(4.0) + w.square() * 0.5).sum())(&w);
        (w, state) = optimizer.update(&w, &grads, &state);
    }
    w
}

#[test]
fn five_steps_equal_pytorchs_and_have_correct_derivatives() {
    let file = std::fs::read(fixture("optimizers.json")).unwrap();
    let fixture: serde_json::Value = serde_json::from_slice(&file).unwrap();
    let list = |v: &serde_json::Value| -> Vec<f64> {
        v.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
    };
    let sgd = Sgd::new(0.1);
    each_device(|device, dtype| {
        let tensor = |name: &str| {
            let narrow: Vec<f32> = list(&fixture[name]).iter().map(|&v| v as f32).collect();
            Tensor::new(&narrow, &[3], device).unwrap().to_dtype(dtype)
        };
        let (w, a) = (tensor("w"), tensor("a"));
        type Run<'a> = Box<dyn Fn(&Tensor, &Tensor) -> Tensor + 'a>;
        fn run<O: Optimizer + Copy + 'static>(o: O) -> Run<'static> {
            Box::new(move |w, a| after_five_steps(o, w, a))
        }
        let cases: [(&str, Run<'_>); 7] = [
            ("sgd", run(sgd)),
            ("sgd_momentum", run(sgd.momentum(0.9).weight_decay(0.01))),
            ("sgd_dampening", run(sgd.momentum(0.9).dampening(0.5))),
            ("sgd_nesterov", run(sgd.momentum(0.9).nesterov())),
            ("adam", run(Adam::new(0.05))),
            ("adam_decay", run(Adam { weight_decay: 0.1, ..Adam::new(0.05) })),
            ("adamw", run(Adam::w(0.05, 0.1))),
        ];
        assert_eq!(cases.len(), fixture["after_five_steps"].as_object().unwrap().len());
        for (name, run) in cases {
            let expected = list(&fixture["after_five_steps"][name]);
            // The fixture's numbers are f64, and 0.3 and -0.2 are not exact in f32.
            for (found, expected) in run(&w, &a).to_f64s().unwrap().iter().zip(&expected) {
                assert!(
                    (found - expected).abs() < 1e-6,
                    "{name} on {device}: {found} against {expected}"
                );
            }
            if dtype == DType::F64 {
                check_grads(
                    &|(w, a): &(Tensor, Tensor)| run(w, a),
                    &(w.clone(), a.clone()),
                    2,
                    Tolerance::of(dtype),
                )
                .unwrap_or_else(|report| panic!("{name}: {report}"));
            }
        }
    });
}

/// The square root in Adam has an infinite derivative at 0; a weight without a gradient must not make the meta-gradient
/// NaN.
#[test]
fn meta_gradients_of_adam_are_finite_for_zero_gradients() {
    let x = Tensor::new(&[1.0, 2.0], &[2], &Device::cpu()).unwrap();
    let meta = |x: &Tensor| {
        let adam = Adam::new(0.1);
        let grads = grad(|x: &Tensor| x.narrow(0, 0, 1).square().sum())(x);
        adam.update(x, &grads, &adam.init(x)).0.square().sum()
    };
    let slope = grad(meta)(&x).to_vec::<f64>().unwrap();
    assert!(slope.iter().all(|v| v.is_finite()), "{slope:?}");
}

#[test]
fn the_first_momentum_buffer_can_be_detached() {
    let x = Tensor::new(&[1.0], &[1], &Device::cpu()).unwrap();
    let slope = |sgd: Sgd| {
        let meta = move |x: &Tensor| {
            let grads = grad(|x: &Tensor| x.square().sum())(x);
            sgd.update(x, &grads, &sgd.init(x)).0.sum()
        };
        grad(meta)(&x).item().unwrap()
    };
    let sgd = Sgd::new(0.1).momentum(0.9);
    assert_eq!((slope(sgd), slope(sgd.stop_first_momentum_gradient())), (0.8, 1.0));
}
