//! `unroll`: all policies agree, memory grows as documented, and time is linear in the number of steps.

use std::time::Instant;

use prospr::optim::{Adam, Optimizer, Sgd};
use prospr::prelude::*;
use prospr::{UnrollOptions, tree_dot};

use crate::support::{alone, each_device, relative_l2};

/// Draws the weights of a two-layer network with smooth activations; `hidden` sets their number.
fn init(hidden: usize, dtype: DType, device: &Device) -> Params {
    let mut params = Params::new();
    let draw = |key: u64, shape: &[usize]| Key::new(key).normal(shape, dtype, device) * 0.3;
    params.insert("a", Role::Weight, draw(1, &[8, hidden]));
    params.insert("b", Role::Weight, draw(2, &[hidden, 3]));
    params
}

fn loss(params: &Params, x: &Tensor) -> Tensor {
    let y = x.matmul(&params["a"]).tanh().matmul(&params["b"]);
    (y - x.narrow(1, 0, 3)).square().mean()
}

fn batches(count: usize, dtype: DType, device: &Device) -> Vec<Tensor> {
    (0..count).map(|i| Key::new(99).fold_in(i as u64).normal(&[4, 8], dtype, device)).collect()
}

/// Returns the gradient of the loss after the steps with respect to the initial parameters.
fn meta_gradient<O>(
    optimizer: O,
    params: &Params,
    xs: &[Tensor],
    policy: impl Into<UnrollOptions>,
) -> Result<Params, Error>
where
    O: Optimizer + Copy + Send + Sync + 'static,
{
    let options = policy.into();
    let step = move |(w, state): &(Params, O::State<Params>), x: &Tensor| {
        let (value, grads) = value_and_grad(|w: &Params| loss(w, x))(w);
        (optimizer.update(w, &grads, state), value)
    };
    let meta = |w: &Params| {
        let ((w, _), losses) = unroll(step, &(w.clone(), optimizer.init(w)), xs, options)?;
        Ok::<_, Error>((loss(&w, &xs[0]), losses))
    };
    Ok(try_value_and_grad(meta)(params)?.1)
}

fn flat(tree: &Params) -> Vec<f64> {
    tree.leaves().iter().flat_map(|t| t.to_f64s().unwrap()).collect()
}

#[test]
fn all_policies_agree() {
    each_device(|device, dtype| {
        let params = init(5, dtype, device);
        let xs = batches(7, dtype, device);
        let tolerance = if dtype == DType::F64 { 1e-12 } else { 1e-5 };
        fn with<O: Optimizer + Copy + Send + Sync + 'static>(
            o: O,
            p: &Params,
            xs: &[Tensor],
            tolerance: f64,
        ) {
            let keep = flat(&meta_gradient(o, p, xs, Policy::Keep).unwrap());
            let options: [UnrollOptions; 7] = [
                Policy::PerStep.into(),
                Policy::Every(2).into(),
                Policy::Every(3).into(),
                Policy::Every(100).into(),
                Policy::Auto(12 << 10).into(),
                Policy::PerStep.host_offload(),
                Policy::Every(3).host_offload(),
            ];
            for options in options {
                let error = relative_l2(&flat(&meta_gradient(o, p, xs, options).unwrap()), &keep);
                assert!(error < tolerance, "{options:?}: {error:e}");
            }
        }
        with(Sgd::new(0.1), &params, &xs, tolerance);
        with(Sgd::new(0.1).momentum(0.9).weight_decay(0.01), &params, &xs, tolerance);
        with(Sgd::new(0.1).momentum(0.9).nesterov(), &params, &xs, tolerance);
        with(Adam::new(0.05), &params, &xs, tolerance);
    });
}

/// Compares the meta-gradient with central differences of the whole unroll.
#[test]
fn the_meta_gradient_equals_central_differences() {
    let device = Device::cpu();
    let params = init(3, DType::F64, &device);
    let xs = batches(4, DType::F64, &device);
    let sgd = Sgd::new(0.2).momentum(0.9);
    let value = |params: &Params| {
        let (mut w, mut state) = (params.clone(), sgd.init(params));
        for x in &xs {
            let grads = grad(|w: &Params| loss(w, x))(&w);
            (w, state) = sgd.update(&w, &grads, &state);
        }
        loss(&w, &xs[0]).item().unwrap()
    };
    let v = params.map_leaves(|t| t.sin() + 0.5);
    let along = |h: f64| value(&params.zip_leaves(&v, |w, v| w + v * h));
    let difference = (along(1e-5) - along(-1e-5)) / 2e-5;
    let gradient = meta_gradient(sgd, &params, &xs, Policy::PerStep).unwrap();
    let product = tree_dot(&gradient, &v).item().unwrap();
    assert!((product - difference).abs() < 1e-8, "{product} against {difference}");
}

/// First and second derivatives with respect to a tensor that the step captures.
#[test]
fn captured_hyperparameters_have_higher_derivatives() {
    each_device(|device, dtype| {
        // w ← w − η·2w three times: w₃ = (1 − 2η)³, d(w₃²)/dη = −12 (1 − 2η)⁵, second derivative 120 (1 − 2η)⁴.
        let steps = vec![Tensor::zeros(&[], dtype, device); 3];
        let f = |policy: Policy| {
            let steps = steps.clone();
            move |rate: &Tensor| {
                let captured = rate.clone();
                let step =
                    move |w: &Tensor, _: &Tensor| (w - grad(Tensor::square)(w) * &captured, ());
                let (w, _) = unroll(step, &rate.ones_like(), &steps, policy).unwrap();
                w.square()
            }
        };
        let rate = Tensor::scalar(0.1, dtype, device);
        for policy in [Policy::Keep, Policy::PerStep, Policy::Every(2)] {
            let close = |a: Tensor, b: f64| {
                let a = a.item().unwrap();
                assert!((a - b).abs() < 1e-4 * b.abs(), "{policy:?}: {a} against {b}");
            };
            close(grad(f(policy))(&rate), -12.0 * 0.8f64.powi(5));
            close(grad(|r: &Tensor| grad(f(policy))(r))(&rate), 120.0 * 0.8f64.powi(4));
            close(hvp(f(policy), &rate, &rate.ones_like()), 120.0 * 0.8f64.powi(4));
            close(jvp(f(policy), &rate, &rate.ones_like()).1, -12.0 * 0.8f64.powi(5));
        }
    });
}

/// From M = 3 to M = 64, `PerStep` adds no more than 61 copies of the state; `Keep` adds far more.
#[test]
fn per_step_memory_is_one_graph_and_the_states() {
    alone("unroll::per_step_memory_is_one_graph_and_the_states", || {
        each_device(|device, dtype| {
            let params = init(1024, dtype, device);
            let state: u64 = params.leaves().iter().map(Tensor::bytes).sum();
            let x = batches(1, dtype, device).remove(0);
            prospr::eval(&[params.leaves(), vec![x.clone()]].concat()).unwrap();
            let peak = |steps: usize, options: UnrollOptions| {
                let xs = vec![x.clone(); steps];
                let before = device.memory().live;
                device.reset_peak_memory();
                // The step has no outputs besides the state, so that nothing else grows with M.
                let step = |w: &Params, x: &Tensor| {
                    let grads = grad(|w: &Params| loss(w, x))(w);
                    (w.zip_leaves(&grads, |w, g| w - g * 0.01), ())
                };
                let meta = |w: &Params| {
                    Ok::<_, Error>((loss(&unroll(step, w, &xs, options)?.0, &xs[0]), ()))
                };
                try_value_and_grad(meta)(&params).unwrap().1.eval_leaves().unwrap();
                device.memory().peak - before
            };
            let grown = |options: UnrollOptions| {
                let (three, many) = (peak(3, options), peak(64, options));
                println!(
                    "{options:?} on {device} in {dtype}: {three} bytes at M = 3, {many} at M = 64; state {state}"
                );
                (many.saturating_sub(three)) as f64 / state as f64
            };
            let per_step = grown(Policy::PerStep.into());
            assert!(per_step <= 61.5, "PerStep grew by {per_step:.1} states");
            let every = grown(Policy::Every(8).into());
            assert!(every <= 20.0, "Every(8) grew by {every:.1} states");
            let keep = grown(Policy::Keep.into());
            assert!(
                keep > 2.0 * 61.0,
                "Keep grew by only {keep:.1} states: the measurement misses some memory"
            );
            if !device.is_cpu() {
                let offloaded = grown(Policy::PerStep.host_offload());
                assert!(
                    offloaded <= 5.0,
                    "host_offload grew by {offloaded:.1} states on the device"
                );
            }
        });
    });
}

#[test]
fn time_is_linear_in_the_steps() {
    let device = Device::cpu();
    let params = init(4, DType::F32, &device);
    let x = batches(1, DType::F32, &device).remove(0);
    let time = |steps: usize| {
        let xs = vec![x.clone(); steps];
        let start = Instant::now();
        meta_gradient(Sgd::new(0.01), &params, &xs, Policy::PerStep)
            .unwrap()
            .eval_leaves()
            .unwrap();
        start.elapsed().as_secs_f64()
    };
    time(10);
    // Alternates ten runs of 100 steps and one of 1,000, and takes the best time of each, because other
    // processes may run.
    let (mut hundreds, mut thousand) = (f64::INFINITY, f64::INFINITY);
    for _ in 0..5 {
        hundreds = hundreds.min((0..10).map(|_| time(100)).sum());
        thousand = thousand.min(time(1000));
    }
    println!("PerStep: {hundreds:.3} s for 10 × 100 steps, {thousand:.3} s for 1,000");
    assert!(thousand <= 1.2 * hundreds, "{thousand:.3} s against {hundreds:.3} s");
}

#[test]
fn a_thousand_kept_steps_do_not_overflow_the_stack() {
    let device = Device::cpu();
    let params = init(2, DType::F32, &device);
    let xs = vec![batches(1, DType::F32, &device).remove(0); 1000];
    let keep = flat(&meta_gradient(Sgd::new(0.01), &params, &xs, Policy::Keep).unwrap());
    let segments = flat(&meta_gradient(Sgd::new(0.01), &params, &xs, Policy::Every(32)).unwrap());
    assert!(relative_l2(&segments, &keep) < 1e-3);
}

/// Without a derivative, one step for each structure of the state is traced, and the other steps replay it.
#[test]
fn steps_without_derivatives_are_replayed() {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    each_device(|device, dtype| {
        let params = init(4, dtype, device);
        let xs = batches(20, dtype, device);
        fn run<O: Optimizer + Copy + Send + Sync + 'static>(
            optimizer: O,
            params: &Params,
            xs: &[Tensor],
            policy: Policy,
        ) -> (Vec<f64>, usize) {
            let calls = Arc::new(AtomicUsize::new(0));
            let counted = calls.clone();
            let step = move |(w, state): &(Params, O::State<Params>), x: &Tensor| {
                counted.fetch_add(1, Ordering::Relaxed);
                let (value, grads) = value_and_grad(|w: &Params| loss(w, x))(w);
                (optimizer.update(w, &grads, state), value)
            };
            let start = (params.clone(), optimizer.init(params));
            let ((w, _), losses) = unroll(step, &start, xs, policy).unwrap();
            let mut values = flat(&w);
            values.extend(losses.iter().map(|l| l.item().unwrap()));
            (values, calls.load(Ordering::Relaxed))
        }
        fn by_hand<O: Optimizer>(optimizer: O, params: &Params, xs: &[Tensor]) -> Vec<f64> {
            let (mut w, mut state) = (params.clone(), optimizer.init(params));
            let mut losses = Vec::new();
            for x in xs {
                let (value, grads) = value_and_grad(|w: &Params| loss(w, x))(&w);
                losses.push(value.item().unwrap());
                (w, state) = optimizer.update(&w, &grads, &state);
            }
            [flat(&w), losses].concat()
        }
        let tolerance = if dtype == DType::F64 { 1e-12 } else { 1e-5 };
        for policy in [Policy::Keep, Policy::PerStep, Policy::Every(3)] {
            let sgd = Sgd::new(0.1).momentum(0.9);
            let (values, calls) = run(sgd, &params, &xs, policy);
            // Two traces: the state of the first step has no momentum.
            assert_eq!(calls, 2, "{policy:?}");
            let error = relative_l2(&values, &by_hand(sgd, &params, &xs));
            assert!(error < tolerance, "{policy:?}: {error:e}");
            // Adam's step count is a static field, so each step is traced.
            let (values, calls) = run(Adam::new(0.05), &params, &xs, policy);
            assert_eq!(calls, 20);
            let error = relative_l2(&values, &by_hand(Adam::new(0.05), &params, &xs));
            assert!(error < tolerance, "Adam, {policy:?}: {error:e}");
        }
        // A step that reads values or draws random numbers gets those of its own step.
        let reads = |w: &Tensor, x: &Tensor| (w + x.item().unwrap(), ());
        let numbers = [1.0, 2.0, 4.0].map(|v| Tensor::scalar(v, dtype, device));
        let one = Tensor::scalar(0.0, dtype, device);
        let (sum, _) = unroll(reads, &one, &numbers, Policy::PerStep).unwrap();
        assert_eq!(sum.item().unwrap(), 7.0);
        let count = AtomicUsize::new(0);
        let draws = move |w: &Tensor, _: &Tensor| {
            let key = Key::new(count.fetch_add(1, Ordering::Relaxed) as u64);
            (w.clone(), key.uniform(&[1], w.dtype(), w.device()))
        };
        let (_, drawn) = unroll(draws, &one, &numbers, Policy::PerStep).unwrap();
        let drawn: Vec<f64> = drawn.iter().map(|t| t.item().unwrap()).collect();
        assert!(drawn[0] != drawn[1] && drawn[1] != drawn[2], "{drawn:?}");
        // The error of a replayed step has the step's number.
        let step = |w: &Tensor, x: &Tensor| (w * x, (w * x).log());
        let xs = [2.0, 1.0, -1.0].map(|v| Tensor::scalar(v, dtype, device));
        let error = unroll(step, &one.ones_like(), &xs, Policy::PerStep).map(|_| ());
        let what = "loss".to_string();
        assert_eq!(error, Err(Error::NonFinite { step: 2, what }));
    });
}

#[test]
fn automatic_policies_stay_within_their_budget() {
    let device = Device::cpu();
    let params = init(64, DType::F32, &device);
    let state: u64 = params.leaves().iter().map(Tensor::bytes).sum();
    let xs = batches(30, DType::F32, &device);
    for budget in [1 << 30, 40 * state, 13 * state] {
        meta_gradient(Sgd::new(0.01), &params, &xs, Policy::Auto(budget)).unwrap();
    }
    let error = meta_gradient(Sgd::new(0.01), &params, &xs, Policy::Auto(5 * state)).unwrap_err();
    let Error::Budget { needed, budget, .. } = &error else { panic!("{error}") };
    assert!(*needed > *budget && error.to_string().contains("host_offload"), "{error}");
}

#[test]
fn the_error_of_a_non_finite_loss_has_its_step() {
    each_device(|device, dtype| {
        let step = |w: &Tensor, x: &Tensor| (w * x, (w * x).log());
        let xs: Vec<Tensor> =
            [2.0, 1.0, -1.0, 1.0].map(|v| Tensor::scalar(v, dtype, device)).to_vec();
        for policy in [Policy::Keep, Policy::PerStep, Policy::Every(2), Policy::Every(3)] {
            let one = Tensor::scalar(1.0, dtype, device);
            let f = |w: &Tensor| Ok::<_, Error>((unroll(step, w, &xs, policy)?.0, ()));
            let error = try_value_and_grad(f)(&one).expect_err("ln of a negative number");
            assert_eq!(error, Error::NonFinite { step: 2, what: "loss".into() }, "{policy:?}");
        }
    });
}
