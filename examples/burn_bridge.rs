//! An exact Hessian-vector product as one operation of a Burn program, differentiated by Burn.
//!
//!     cargo run --example burn_bridge

use burn_autodiff::Autodiff;
use burn_backend::ops::FloatTensorOps;
use burn_backend::{TensorData, backend::AutodiffBackend};
use burn_flex::{Flex, FlexDevice};
use prospr::bridge;
use prospr::prelude::*;

type B = Autodiff<Flex>;

fn main() -> Result<(), Error> {
    let leaf = |values: [f32; 2]| {
        let tensor = B::float_from_data(TensorData::from(values), &FlexDevice);
        B::float_set_require_grad(tensor, true)
    };
    let (w, v) = (leaf([1.0, 2.0]), leaf([1.0, 0.0]));

    // f(w) = w₀² w₁³ is a function of the engine; its Hessian-vector product is an operation of Burn's graph.
    let f = |w: &Tensor| w.index(0, 0).square() * w.index(0, 1).powf(3.0);
    let product = bridge::apply::<Flex, 2>(|[w, v]: &[Tensor; 2]| hvp(f, w, v), [w.clone(), v])?;
    println!("H v = {}", product.primitive().clone().into_data());

    let loss = B::float_sum(B::float_mul(product.clone(), product));
    let grads = B::backward(loss);
    println!("d|H v|²/dw = {}", B::grad(&w, &grads).expect("w is tracked").into_data());
    Ok(())
}
