//! Engine functions as operations of Burn's autodiff graphs, on both backends.

use burn_autodiff::Autodiff;
use burn_backend::ops::FloatTensorOps;
use burn_backend::tensor::FloatTensor;
use burn_backend::{Backend, TensorData, backend::AutodiffBackend};
use burn_flex::{Flex, FlexDevice};
use burn_wgpu::Wgpu;

use prospr::bridge::{self, Shared};
use prospr::prelude::*;

use crate::support::gpu;

fn read<B: Backend>(t: FloatTensor<B>) -> Vec<f64> {
    let data = pollster::block_on(B::float_into_data(t)).unwrap();
    data.convert_dtype(burn_backend::DType::F64).try_to_vec().unwrap()
}

/// Computes `y = H(2x) w`, with `H` the Hessian of `Σ x⁴`, inside a Burn program with the loss `Σ y²`: Burn
/// differentiates
/// the surrounding operations, the engine differentiates the Hessian-vector product.
fn hessian_vector_products<B: Shared>(device: &B::Device) {
    type AD<B> = Autodiff<B>;
    let leaf = |values: [f32; 3]| {
        let t = <AD<B> as FloatTensorOps<AD<B>>>::float_from_data(TensorData::from(values), device);
        <AD<B> as FloatTensorOps<AD<B>>>::float_set_require_grad(t, true)
    };
    let (x, w) = (leaf([1.0, 2.0, 3.0]), leaf([0.5, -1.0, 2.0]));
    let doubled = AD::<B>::float_mul_scalar(x.clone(), 2.0f64.into());
    let product = |[x, w]: &[Tensor; 2]| hvp(|x: &Tensor| x.powf(4.0).sum(), x, w);
    let y = bridge::apply::<B, 2>(product, [doubled, w.clone()]).unwrap();
    assert_eq!(read::<AD<B>>(y.clone()), [12.0 * 4.0 * 0.5, -12.0 * 16.0, 12.0 * 36.0 * 2.0]);
    // loss = Σ y²; y = 12 (2x)² w, so dy/dx = 96 x w and dy/dw = 48 x².
    let loss = AD::<B>::float_sum(AD::<B>::float_mul(y.clone(), y.clone()));
    let grads = AD::<B>::backward(loss);
    let expected = |f: fn(f64, f64) -> f64| {
        [(1.0, 0.5), (2.0, -1.0), (3.0, 2.0)].map(|(x, w)| 2.0 * 48.0 * x * x * w * f(x, w))
    };
    assert_eq!(read::<B>(AD::<B>::grad(&x, &grads).unwrap()), expected(|x, w| 96.0 * x * w));
    assert_eq!(read::<B>(AD::<B>::grad(&w, &grads).unwrap()), expected(|x, _| 48.0 * x * x));
}

/// Computes a meta-gradient through three steps of gradient descent as one operation of Burn.
fn meta_gradients<B: Shared>(device: &B::Device) {
    let x = Autodiff::<B>::float_from_data(TensorData::from([1.0f32]), device);
    let x = Autodiff::<B>::float_set_require_grad(x, true);
    let descend = |[w]: &[Tensor; 1]| {
        let rates = vec![w.full_like(0.1); 3];
        let step =
            |w: &Tensor, rate: &Tensor| (w - grad(|w: &Tensor| w.square().sum())(w) * rate, ());
        unroll(step, w, &rates, Policy::PerStep).unwrap().0.square().sum()
    };
    let y = bridge::apply::<B, 1>(descend, [x.clone()]).unwrap();
    let slope = read::<B>(Autodiff::<B>::grad(&x, &Autodiff::<B>::backward(y)).unwrap());
    assert!((slope[0] - 2.0 * 0.8f64.powi(6)).abs() < 1e-5, "{slope:?}");
}

#[test]
fn engine_functions_work_in_burns_autodiff_on_flex() {
    hessian_vector_products::<Flex>(&FlexDevice);
    meta_gradients::<Flex>(&FlexDevice);
}

#[test]
fn engine_functions_work_in_burns_autodiff_on_wgpu() {
    // Burn gets the engine's device, so that both use the same adapter.
    let device = gpu().to_burn().expect("a GPU");
    hessian_vector_products::<Wgpu>(&device);
    meta_gradients::<Wgpu>(&device);
}

#[test]
fn tensors_pass_without_a_copy() {
    let t = Flex::float_from_data(TensorData::from([1.0f32, 2.0]), &FlexDevice);
    let there = Flex::import(t.clone());
    let back = Flex::export(&there).unwrap();
    assert!(std::ptr::eq(back.bytes().as_ptr(), t.bytes().as_ptr()));

    let gpu = gpu();
    let t = Wgpu::float_from_data(TensorData::from([1.0f32, 2.0]), &gpu.to_burn().unwrap());
    let there = Wgpu::import(t.clone());
    assert_eq!(*there.device(), gpu);
    let back = Wgpu::export(&there).unwrap();
    assert_eq!(back.handle.memory.descriptor().id, t.handle.memory.descriptor().id);
    assert_eq!((there * 3.0).to_vec::<f32>().unwrap(), [3.0, 6.0]);
}

/// Burn opened this device, not the engine.
#[test]
fn tensors_on_burns_default_device_are_imported() {
    let device = burn_wgpu::WgpuDevice::default().into();
    let t = Wgpu::float_from_data(TensorData::from([4.0f32]), &device);
    let root = grad(|x: &Tensor| x.sqrt().sum())(&Wgpu::import(t));
    assert_eq!(root.item().unwrap(), 0.25);
}
