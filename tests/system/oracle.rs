//! Comparison with an independent implementation: gradients and Hessian-vector products by burn-autodiff
//! nested in itself.
//!
//! Burn's backward operations for linear layers, batch norm and pooling cannot be differentiated again, so
//! the network is composed of operations that can.

use burn_autodiff::Autodiff;
use burn_backend::ops::{ConvOptions as BurnConv, FloatTensorOps, ModuleOps};
use burn_backend::tensor::FloatTensor;
use burn_backend::{DType as BurnDType, Shape, TensorData, backend::AutodiffBackend};
use burn_flex::{Flex, FlexDevice};

use prospr::nn::batch_norm_train;
use prospr::prelude::*;

type Once = Autodiff<Flex>;
type Twice = Autodiff<Once>;
type T = FloatTensor<Twice>;

const X: [usize; 4] = [4, 2, 6, 6];
const SHAPES: [&[usize]; 4] = [&[3, 2, 3, 3], &[3], &[3], &[27, 4]];

fn mean_over(x: T, dims: &[usize]) -> T {
    dims.iter().fold(x, |x, &d| <Twice as FloatTensorOps<Twice>>::float_mean_dim(x, d))
}

/// Computes the mean of `sin(pool(tanh(norm(conv(x, w)))) · v)`, with a 2×2 average pool.
fn burn_network(x: T, p: &[T; 4]) -> T {
    let conv = Twice::conv2d(x, p[0].clone(), None, BurnConv::new([1, 1], [1, 1], [1, 1], 1));
    let mean = mean_over(conv.clone(), &[0, 2, 3]);
    let centred = Twice::float_sub(conv, mean);
    let var = mean_over(Twice::float_mul(centred.clone(), centred.clone()), &[0, 2, 3]);
    let std = Twice::float_sqrt(Twice::float_add_scalar(var, 1e-2.into()));
    let channel = |t: &T| Twice::float_reshape(t.clone(), Shape::new([1, 3, 1, 1]));
    let normed = Twice::float_add(
        Twice::float_mul(Twice::float_div(centred, std), channel(&p[1])),
        channel(&p[2]),
    );
    let active = Twice::float_tanh(normed);
    let pooled = mean_over(Twice::float_reshape(active, Shape::new([4, 3, 3, 2, 3, 2])), &[3, 5]);
    let flat = Twice::float_reshape(pooled, Shape::new([4, 27]));
    let out = Twice::float_sin(Twice::float_matmul(flat, p[3].clone()));
    Twice::float_reshape(mean_over(out, &[0, 1]), Shape::new([1]))
}

fn our_network(x: &Tensor, p: &[Tensor; 4]) -> Tensor {
    let conv = x.conv2d(&p[0], ConvOptions::default().padding(1));
    let (normed, _) = batch_norm_train(&conv, &p[1], &p[2], 1e-2);
    let pooled = normed.tanh().avg_pool2d(PoolOptions::new(2)).flatten_from(1);
    pooled.matmul(&p[3]).sin().mean()
}

fn check(dtype: DType, device: &Device, tolerance: f64) {
    let draw = |key: u64, shape: &[usize]| Key::new(key).normal(shape, dtype, device) * 0.7 + 0.1;
    let x = draw(0, &X);
    let params: [Tensor; 4] = std::array::from_fn(|i| draw(1 + i as u64, SHAPES[i]));
    let vector: [Tensor; 4] = std::array::from_fn(|i| draw(10 + i as u64, SHAPES[i]));
    let ours = |p: &[Tensor; 4]| our_network(&x, p);
    let gradient = grad(ours)(&params);
    let product = hvp(ours, &params, &vector);

    let wanted = if dtype == DType::F64 { BurnDType::F64 } else { BurnDType::F32 };
    let data = |t: &Tensor| {
        TensorData::new(t.to_f64s().unwrap(), t.shape().to_vec()).convert_dtype(wanted)
    };
    let leaf = |t: &Tensor| Twice::float_from_data(data(t), &FlexDevice);
    let once = |t: &Tensor| Once::float_from_data(data(t), &FlexDevice);
    // Track in the inner graph first, then in the outer one.
    let tracked = params.each_ref().map(|t| Once::float_set_require_grad(once(t), true));
    let inputs: [T; 4] = tracked
        .each_ref()
        .map(|t| Twice::float_set_require_grad(Twice::from_inner(t.clone()), true));
    let grads = Twice::backward(burn_network(leaf(&x), &inputs));
    let first = inputs.each_ref().map(|t| Twice::grad(t, &grads).expect("a gradient"));
    let along = first
        .iter()
        .zip(&vector)
        .map(|(g, v)| Once::float_sum(Once::float_mul(g.clone(), once(v))))
        .reduce(Once::float_add)
        .unwrap();
    let second = Once::backward(along);

    let read = |t: FloatTensor<Flex>| -> Vec<f64> {
        let data =
            pollster::block_on(Flex::float_into_data(t)).unwrap().convert_dtype(BurnDType::F64);
        data.try_to_vec().unwrap()
    };
    for i in 0..4 {
        let theirs = read(Once::inner(first[i].clone()));
        let close = |what: &str, a: &Tensor, b: &[f64]| {
            let error = crate::support::relative_l2(&a.to_f64s().unwrap(), b);
            println!("{what} of parameter {i} on {device} in {dtype}: {error:.2e}");
            assert!(
                error <= tolerance,
                "{what} of parameter {i} on {device} in {dtype}: {error:.2e}"
            );
        };
        close("gradient", &gradient[i], &theirs);
        let theirs = read(Once::grad(&tracked[i], &second).expect("a Hessian-vector product"));
        close("Hessian-vector product", &product[i], &theirs);
    }
}

#[test]
fn derivatives_equal_burns_nested_autodiff_in_f64() {
    check(DType::F64, &Device::cpu(), 1e-5);
}

#[test]
fn derivatives_equal_burns_nested_autodiff_in_f32() {
    check(DType::F32, &Device::cpu(), 1e-4);
    check(DType::F32, &crate::support::gpu(), 1e-4);
}
