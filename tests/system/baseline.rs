//! Burn's own kernels, the baseline of the benchmarks, give the same results as the engine.

use prospr::baseline::{Baseline, Direction};
use prospr::nn::{batch_norm_train, cross_entropy};
use prospr::optim::{Optimizer, Sgd, SgdState};
use prospr::testing::each_device;
use prospr::{ConvOptions, Key, PoolOptions, Tensor, value_and_grad, vjp};

fn close(what: &str, ours: &[Tensor], burns: &[Tensor]) {
    for (a, b) in ours.iter().zip(burns) {
        let (a, b) = (a.to_f64s().unwrap(), b.to_f64s().unwrap());
        assert_eq!(a.len(), b.len(), "{what}");
        for (a, b) in a.iter().zip(b) {
            assert!((a - b).abs() < 1e-4, "{what}: ours {a}, Burn's {b}");
        }
    }
}

/// Speeds can be compared only if the results are equal.
#[test]
fn the_engine_computes_what_burn_does() {
    each_device(|device, dtype| {
        let draw = |n: u64, shape: &[usize]| Key::new(n).normal(shape, dtype, device);
        let run = |op: Baseline, inputs: &[&Tensor]| {
            let inputs: Vec<Tensor> = inputs.iter().map(|&t| t.clone()).collect();
            op.run(&inputs).unwrap()
        };
        let (a, b) = (draw(0, &[4, 3]), draw(1, &[3, 5]));
        close("matmul", &[a.matmul(&b)], &run(Baseline::MatMul, &[&a, &b]));

        let options = ConvOptions::default().padding(1).stride(2);
        let (x, w) = (draw(2, &[2, 3, 6, 6]), draw(3, &[4, 3, 3, 3]));
        let (y, pull) =
            vjp(|(x, w): &(Tensor, Tensor)| x.conv2d(w, options), &(x.clone(), w.clone()));
        let dy = draw(4, y.shape());
        let (dx, dw) = pull.call(&dy);
        for (ours, direction) in
            [(y, Direction::Forward), (dx, Direction::InputGrad), (dw, Direction::WeightGrad)]
        {
            let burns = run(Baseline::Conv2d(direction, options), &[&x, &w, &dy]);
            close("conv2d", &[ours], &burns);
        }

        let (gamma, beta, dx) = (draw(5, &[3]), draw(6, &[3]), draw(7, x.shape()));
        let (y, pull) = vjp(
            |(x, g, b): &(Tensor, Tensor, Tensor)| batch_norm_train(x, g, b, 1e-5).0,
            &(x.clone(), gamma.clone(), beta.clone()),
        );
        let grads = pull.call(&dx);
        let burns = run(Baseline::BatchNorm(1e-5), &[&x, &gamma, &beta]);
        close("batch norm", std::slice::from_ref(&y), &burns);
        let all = [y, grads.0, grads.1, grads.2];
        let op = Baseline::BatchNormWithGradient(1e-5);
        close("its gradient", &all, &run(op, &[&x, &gamma, &beta, &dx]));

        let sums = x.sum_axes(&[0, 2, 3], true);
        close("sum", &[sums], &run(Baseline::Sum(vec![0, 2, 3]), &[&x]));
        close("sum of all", &[x.sum()], &run(Baseline::SumAll, &[&x]));
        close("relu", &[x.relu()], &run(Baseline::Relu, &[&x]));

        let window = PoolOptions::new(2);
        let (y, pull) = vjp(|x: &Tensor| x.max_pool2d(window), &x);
        let dy = draw(8, y.shape());
        let pooled = run(Baseline::MaxPool(window), &[&x]);
        close("max pool", &[y], &pooled);
        let op = Baseline::MaxPoolGrad(window);
        close("its gradient", &[pull.call(&dy)], &run(op, &[&x, &dy, &pooled[1]]));

        let (z, labels) = (draw(9, &[3, 4]), Tensor::new(&[3, 0, 1], &[3], device).unwrap());
        let (loss, dz) = value_and_grad(|z: &Tensor| cross_entropy(z, &labels))(&z);
        let op = Baseline::CrossEntropyWithGradient;
        close("cross-entropy", &[loss, dz], &run(op, &[&z, &labels]));

        let [w, g, m, mask] = [10, 11, 12, 13].map(|n| draw(n, &[8]));
        let sgd = Sgd::new(0.1).momentum(0.9).weight_decay(0.01);
        let before = SgdState { buffers: Some(m.clone()) };
        let (next, state) = sgd.update(&w, &g, &before);
        let op = Baseline::Sgd { lr: 0.1, momentum: 0.9, weight_decay: 0.01 };
        let ours = [next * &mask, state.buffers.unwrap()];
        close("sgd", &ours, &run(op, &[&w, &g, &m, &mask]));
        close("top k", &[w.top_k(3, 0).0], &run(Baseline::TopK(3), &[&w]));
    });
}
