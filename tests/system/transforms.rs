//! Functional transforms and their nesting.

use prospr::prelude::*;
use prospr::{PoolOptions, tree_dot};

use crate::support::{alone, each_device};

fn scalar(value: f64, device: &Device, dtype: DType) -> Tensor {
    Tensor::scalar(value, dtype, device)
}

fn item(t: &Tensor) -> f64 {
    t.item().unwrap()
}

/// d/dx [x · d/dy (x + y)] = 1: an implementation that confuses the two perturbations gives 2 (Siskind and
/// Pearlmutter, 2005).
#[test]
fn perturbations_are_not_confused() {
    each_device(|device, dtype| {
        let one = scalar(1.0, device, dtype);
        let reverse =
            grad(|x: &Tensor| x * grad(|y: &Tensor| x + y)(&scalar(1.0, device, dtype)))(&one);
        assert_eq!(item(&reverse), 1.0);
        let slope = |f: &dyn Fn(&Tensor) -> Tensor, at: &Tensor| {
            jvp(|x: &Tensor| f(x), at, &at.ones_like()).1
        };
        let forward = slope(&|x| x * slope(&|y| x + y, &one), &one);
        assert_eq!(item(&forward), 1.0);
        let mixed = grad(|x: &Tensor| x * slope(&|y| x * y, &one))(&scalar(3.0, device, dtype));
        assert_eq!(item(&mixed), 6.0);
        // The inner and the outer function differentiate at the same tensor: d/dx [x · d/dy (y · x) at y = x]
        // = d/dx x² = 2x.
        let shared =
            grad(|x: &Tensor| x * grad(|y: &Tensor| y * x)(x))(&scalar(3.0, device, dtype));
        assert_eq!(item(&shared), 6.0);
    });
}

#[test]
fn derivatives_of_a_power_up_to_order_five() {
    fn nth(n: usize, x: &Tensor) -> Tensor {
        match n {
            0 => x.powf(5.0),
            n => grad(move |x: &Tensor| nth(n - 1, x))(x),
        }
    }
    each_device(|device, dtype| {
        let x = scalar(2.0, device, dtype);
        for (n, expected) in [32.0, 80.0, 160.0, 240.0, 240.0, 120.0].into_iter().enumerate() {
            assert_eq!(item(&nth(n, &x)), expected, "order {n}");
        }
    });
}

#[test]
fn three_nestings_give_the_same_hessian_vector_product() {
    each_device(|device, dtype| {
        let x = Key::new(1).normal(&[2, 1, 4, 4], dtype, device);
        let v = Key::new(2).normal(&[2, 1, 4, 4], dtype, device);
        let f =
            |x: &Tensor| x.tanh().max_pool2d(PoolOptions::new(2)).square().sum() * x.exp().mean();
        let forward_over_reverse = hvp(f, &x, &v);
        let reverse_over_reverse = grad(|x: &Tensor| (grad(f)(x) * &v).sum())(&x);
        let reverse_over_forward = grad(|x: &Tensor| jvp(f, x, &v).1)(&x);
        let a = forward_over_reverse.to_f64s().unwrap();
        for other in [reverse_over_reverse, reverse_over_forward] {
            for (a, b) in a.iter().zip(other.to_f64s().unwrap()) {
                assert!((a - b).abs() < 1e-4 * (1.0 + a.abs()), "{a} against {b}");
            }
        }
    });
}

#[test]
fn transforms_accept_trees_and_auxiliary_outputs() {
    #[derive(Clone, Tree)]
    struct Layer {
        weight: Tensor,
        bias: Tensor,
        #[tree(static)]
        stride: usize,
    }
    each_device(|device, dtype| {
        let two = scalar(2.0, device, dtype);
        let layer = Layer { weight: two.clone(), bias: scalar(5.0, device, dtype), stride: 3 };
        let input = (vec![layer.clone(), layer], [two.clone(), two.clone()]);
        let f = |(layers, xs): &(Vec<Layer>, [Tensor; 2])| {
            let ys: Vec<Tensor> =
                layers.iter().zip(xs).map(|(l, x)| &l.weight * x + &l.bias).collect();
            ((&ys[0] * &ys[1]).sum(), ys)
        };
        let ((loss, ys), (layers, xs)) = value_and_grad_aux(f)(&input);
        assert_eq!((item(&loss), item(&ys[0])), (81.0, 9.0));
        assert_eq!(
            (item(&layers[0].weight), item(&layers[1].bias), layers[1].stride),
            (18.0, 9.0, 3)
        );
        assert_eq!(item(&xs[1]), 18.0);

        let mut params = Params::new();
        params.insert("used", Role::Weight, two.clone());
        params.insert("unused", Role::Bias, Tensor::ones(&[3], dtype, device));
        let gradient = grad(|p: &Params| p["used"].square())(&params);
        assert_eq!(
            (item(&gradient["used"]), gradient["unused"].to_f64s().unwrap()),
            (4.0, vec![0.0; 3])
        );

        let (y, pullback) =
            vjp(|(a, b): &(Tensor, Tensor)| (a * b, a + b), &(two.clone(), two.clone()));
        let (one, zero) = (two.ones_like(), two.zeros_like());
        let first = pullback.call(&(one.clone(), zero.clone()));
        let second = pullback.call(&(zero, one));
        assert_eq!((item(&y.0), item(&first.0), item(&second.1)), (4.0, 2.0, 1.0));
    });
}

#[test]
fn stop_gradient_has_no_derivative() {
    each_device(|device, dtype| {
        let x = scalar(3.0, device, dtype);
        assert_eq!(item(&grad(|x: &Tensor| x * x.stop_gradient())(&x)), 3.0);
        assert_eq!(item(&jvp(|x: &Tensor| x * x.stop_gradient(), &x, &x.ones_like()).1), 3.0);
    });
}

/// A closure may read values of intermediate tensors without making its derivative wrong.
#[test]
fn evaluation_inside_a_closure_keeps_derivatives() {
    each_device(|device, dtype| {
        let f = |x: &Tensor| {
            let mut y = x.clone();
            while item(&y) < 100.0 {
                y = &y * x;
            }
            y
        };
        let x = scalar(3.0, device, dtype);
        assert_eq!(item(&grad(f)(&x)), 5.0 * 81.0);
        assert_eq!(item(&grad(|x: &Tensor| grad(f)(x))(&x)), 20.0 * 27.0);
    });
}

#[test]
fn checkpoint_does_not_change_derivatives() {
    each_device(|device, dtype| {
        let x = Key::new(3).normal(&[5], dtype, device);
        let w = Key::new(4).normal(&[5], dtype, device);
        // `w` is captured by the closure and is differentiated too.
        let plain = |(x, w): &(Tensor, Tensor)| (x.sin() * w).exp().sum();
        let saved = |(x, w): &(Tensor, Tensor)| {
            let captured = w.clone();
            checkpoint(move |x: &Tensor| (x.sin() * &captured).exp())(x).sum()
        };
        let input = (x, w);
        let close = |a: &(Tensor, Tensor), b: &(Tensor, Tensor)| {
            let difference = a.zip_leaves(b, |a, b| a - b);
            assert!(
                item(&tree_dot(&difference, &difference)) < 1e-8 * (1.0 + item(&tree_dot(a, a)))
            );
        };
        close(&grad(saved)(&input), &grad(plain)(&input));
        let v = input.map_leaves(|t| t * 0.5 + 0.1);
        close(&hvp(saved, &input, &v), &hvp(plain, &input, &v));
        let twice = |f: fn(&(Tensor, Tensor)) -> Tensor| {
            let v = v.clone();
            grad(move |x: &(Tensor, Tensor)| tree_dot(&grad(f)(x), &v))(&input)
        };
        fn saved_fn((x, w): &(Tensor, Tensor)) -> Tensor {
            let captured = w.clone();
            checkpoint(move |x: &Tensor| (x.sin() * &captured).exp())(x).sum()
        }
        fn plain_fn((x, w): &(Tensor, Tensor)) -> Tensor {
            (x.sin() * w).exp().sum()
        }
        close(&twice(saved_fn), &twice(plain_fn));
    });
}

/// A chain of checkpointed functions keeps one intermediate value per function, not all of them.
#[test]
fn checkpoint_saves_memory() {
    alone("transforms::checkpoint_saves_memory", || {
        each_device(|device, dtype| {
            let x = Key::new(3).uniform(&[1000], dtype, device);
            let block = |x: &Tensor| (0..20).fold(x.clone(), |x, _| (x * 0.9).sin());
            let peak = |chain: &dyn Fn(&Tensor) -> Tensor| {
                x.eval().unwrap();
                let before = device.memory().live;
                device.reset_peak_memory();
                grad(|x: &Tensor| chain(x).sum())(&x).eval().unwrap();
                device.memory().peak - before
            };
            let keep = peak(&|x| (0..10).fold(x.clone(), |x, _| block(&x)));
            let saved = peak(&|x| (0..10).fold(x.clone(), |x, _| checkpoint(block)(&x)));
            println!("on {device}: {keep} bytes kept, {saved} with checkpoints");
            assert!(saved * 3 < keep, "{saved} against {keep}");
        });
    });
}

#[test]
fn custom_rules_apply_in_all_modes() {
    each_device(|device, dtype| {
        let x = scalar(0.7, device, dtype);
        // x³ with a custom rule that uses the output.
        let cube = custom_vjp(
            |x: &Tensor| x.powf(3.0),
            |x: &Tensor, y: &Tensor, ct: &Tensor| ct * (y / x) * 3.0,
        );
        let close =
            |a: &Tensor, b: f64| assert!((item(a) - b).abs() < 1e-5, "{} against {b}", item(a));
        close(&cube(&x), 0.343);
        close(&grad(&cube)(&x), 1.47);
        close(&jvp(&cube, &x, &x.ones_like()).1, 1.47);
        close(&grad(|x: &Tensor| grad(&cube)(x))(&x), 4.2);
        close(&hvp(&cube, &x, &x.ones_like()), 4.2);
        // The straight-through estimator of the sign.
        let sign =
            custom_vjp(|x: &Tensor| x.sign(), |_: &Tensor, _: &Tensor, ct: &Tensor| ct.clone());
        close(&grad(|x: &Tensor| sign(x) * 5.0)(&x), 5.0);
    });
}

#[test]
#[should_panic(expected = "captured a tensor that is being differentiated")]
fn custom_rules_panic_on_captured_variables() {
    let x = scalar(2.0, &Device::cpu(), DType::F32);
    let f = |x: &Tensor| {
        let captured = x.clone();
        custom_vjp(
            move |y: &Tensor| y * &captured,
            |_: &Tensor, _: &Tensor, ct: &Tensor| ct.clone(),
        )(x)
    };
    grad(f)(&x).eval().unwrap();
}

#[test]
#[should_panic(expected = "grad: the function must return one float, found F32 of shape [3]")]
fn grad_panics_without_a_scalar() {
    grad(|x: &Tensor| x * 2.0)(&Tensor::ones(&[3], DType::F32, &Device::cpu()));
}

/// Long chains of nodes are recorded, differentiated, evaluated and dropped without recursion.
#[test]
fn long_chains_do_not_overflow_the_stack() {
    let x = scalar(1.0, &Device::cpu(), DType::F64);
    let long = |x: &Tensor| (0..250_000).fold(x.clone(), |y, _| y + 0.0);
    drop(long(&x)); // never evaluated
    assert_eq!(item(&long(&x)), 1.0);
    assert_eq!(item(&grad(long)(&x)), 1.0);
    assert_eq!(item(&jvp(long, &x, &x.ones_like()).1), 1.0);
}

/// Threads may evaluate one graph at the same time.
#[test]
fn threads_share_graphs() {
    each_device(|device, dtype| {
        let x = Key::new(1).uniform(&[64], dtype, device);
        let y = (0..200).fold(x.clone(), |y, _| (y * 0.99).sin());
        let slope = grad(|x: &Tensor| (0..50).fold(x.clone(), |y, _| (y * 0.9).tanh()).sum())(&x);
        let read = || (y.to_f64s().unwrap(), slope.to_f64s().unwrap());
        let all: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(read)).collect();
            threads.into_iter().map(|t| t.join().unwrap()).collect()
        });
        assert!(all.iter().all(|values| *values == all[0]));
    });
}
