//! Two-dimensional convolution: forward, input gradient and weight gradient.
//!
//! For a fixed geometry the trilinear form `⟨y, conv(x, w)⟩` has three partial gradients, and each of the three
//! operations is one of them. So the derivative rules of each use the other two, and derivatives of every order exist.

use super::add_terms;
use crate::Tensor;
use crate::ir::{Conv, ConvKind, ConvOptions, Op};

impl Conv {
    /// Records this operation on its two inputs.
    fn apply(&self, a: &Tensor, b: &Tensor) -> Tensor {
        let shape = match self.kind {
            ConvKind::Forward => self.y,
            ConvKind::InputGrad => self.x,
            ConvKind::WeightGrad => self.w,
        };
        Tensor::apply(Op::Conv(self.clone()), &[a, b], shape, a.dtype())
    }

    /// Reverse rule: the cotangents of both inputs.
    pub(crate) fn vjp(&self, inputs: &[Tensor], ct: &Tensor) -> Vec<Option<Tensor>> {
        use ConvKind::*;
        let (a, b) = (&inputs[0], &inputs[1]);
        let (da, db) = match self.kind {
            Forward => (self.with(InputGrad).apply(ct, b), self.with(WeightGrad).apply(a, ct)),
            InputGrad => (self.with(Forward).apply(ct, b), self.with(WeightGrad).apply(ct, a)),
            WeightGrad => (self.with(InputGrad).apply(b, ct), self.with(Forward).apply(a, ct)),
        };
        vec![Some(da), Some(db)]
    }

    /// Forward rule: the output's tangent.
    pub(crate) fn jvp(&self, inputs: &[Tensor], tangents: &[Option<Tensor>]) -> Option<Tensor> {
        let left = tangents[0].as_ref().map(|t| self.apply(t, &inputs[1]));
        let right = tangents[1].as_ref().map(|t| self.apply(&inputs[0], t));
        add_terms(left, right)
    }
}

/// Returns a shape of four axes; panics with the names of the operation and of the operand otherwise.
#[track_caller]
fn four(op: &str, what: &str, t: &Tensor) -> [usize; 4] {
    t.shape()
        .try_into()
        .unwrap_or_else(|_| panic!("{op}: {what} must have 4 axes, found shape {:?}", t.shape()))
}

impl Tensor {
    /// Convolution (cross-correlation) of images `[n, c_in, h, w]` with a weight
    /// `[c_out, c_in/groups, kh, kw]`, giving `[n, c_out, oh, ow]`.
    #[track_caller]
    pub fn conv2d(&self, weight: &Tensor, options: ConvOptions) -> Tensor {
        let (x, w) = (four("conv2d", "the input", self), four("conv2d", "the weight", weight));
        let oh = options.output_size(x[2], w[2], 0);
        let ow = options.output_size(x[3], w[3], 1);
        let (Some(oh), Some(ow), true) =
            (oh, ow, x[1] == w[1] * options.groups && w[0] % options.groups == 0)
        else {
            panic!("conv2d: input {x:?} and weight {w:?} do not fit with {options:?}");
        };
        assert!(
            self.dtype() == weight.dtype(),
            "conv2d: types {} and {} differ",
            self.dtype(),
            weight.dtype()
        );
        Conv { kind: ConvKind::Forward, options, x, w, y: [x[0], w[0], oh, ow] }.apply(self, weight)
    }

    /// Transposed convolution of `[n, c_in, h, w]` with a weight `[c_in, c_out/groups, kh, kw]` (PyTorch's
    /// `ConvTranspose2d`): the input gradient of the convolution that has these options. `output_padding` adds rows
    /// and columns at the end; it chooses among the sizes that this convolution maps to `h × w` if the stride is
    /// larger than 1.
    #[track_caller]
    pub fn conv_transpose2d(
        &self,
        weight: &Tensor,
        options: ConvOptions,
        output_padding: [usize; 2],
    ) -> Tensor {
        let y = four("conv_transpose2d", "the input", self);
        let w = four("conv_transpose2d", "the weight", weight);
        let size = |i: usize| {
            ((y[2 + i] - 1) * options.stride[i]
                + options.dilation[i] * (w[2 + i] - 1)
                + 1
                + output_padding[i])
                .checked_sub(2 * options.padding[i])
                .filter(|&n| n > 0)
        };
        let (Some(h), Some(width), true) = (size(0), size(1), y[1] == w[0]) else {
            panic!("conv_transpose2d: input {y:?} and weight {w:?} do not fit with {options:?}");
        };
        let x = [y[0], w[1] * options.groups, h, width];
        let back = (options.output_size(h, w[2], 0), options.output_size(width, w[3], 1));
        assert!(
            back == (Some(y[2]), Some(y[3])),
            "conv_transpose2d: output_padding {output_padding:?} must be smaller than the stride {:?}",
            options.stride
        );
        Conv { kind: ConvKind::InputGrad, options, x, w, y }.apply(self, weight)
    }
}

#[cfg(test)]
mod tests {
    use super::ConvOptions;
    use crate::testing::{each_device, gradients};
    use crate::{Key, Tensor};

    fn geometries() -> Vec<([usize; 4], [usize; 4], ConvOptions)> {
        let o = ConvOptions::default();
        let mixed = ConvOptions { stride: [2, 1], padding: [0, 2], dilation: [1, 2], groups: 1 };
        vec![
            ([2, 3, 5, 5], [4, 3, 3, 3], o.padding(1)),
            ([1, 2, 6, 7], [3, 2, 3, 3], o.stride(2).padding(1)),
            // 8 rows with kernel 3 and stride 3 leave rows that no window sees.
            ([2, 2, 8, 6], [2, 2, 3, 2], o.stride(3)),
            ([1, 4, 5, 5], [6, 2, 3, 3], o.padding(1).groups(2)),
            ([1, 3, 5, 4], [3, 1, 3, 3], o.padding(1).groups(3)),
            ([1, 2, 7, 7], [2, 2, 3, 3], o.dilation(2).padding(2)),
            ([2, 3, 4, 4], [2, 3, 1, 1], o.stride(2)),
            ([1, 2, 6, 8], [2, 2, 2, 3], mixed),
        ]
    }

    #[test]
    fn gradients_of_convolutions() {
        for (x, w, options) in geometries() {
            gradients("conv2d", &[&x, &w], 2, |t| t[0].conv2d(&t[1], options));
        }
        let up = ConvOptions::default().stride(2).padding(1);
        gradients("conv_transpose2d", &[&[1, 3, 3, 4], &[3, 2, 3, 3]], 2, |t| {
            t[0].conv_transpose2d(&t[1], up, [1, 1])
        });
        gradients("conv_transpose2d groups", &[&[1, 4, 3, 3], &[4, 1, 2, 2]], 2, |t| {
            t[0].conv_transpose2d(&t[1], ConvOptions::default().stride(2).groups(2), [0, 0])
        });
    }

    /// Computes a convolution as a direct sum, the reference for every geometry.
    fn direct(
        x: &[f64],
        w: &[f64],
        xs: [usize; 4],
        ws: [usize; 4],
        ys: &[usize],
        o: ConvOptions,
    ) -> Vec<f64> {
        let mut y = vec![0.0; ys.iter().product()];
        let per_group = ws[0] / o.groups;
        for (i, out) in y.iter_mut().enumerate() {
            let (n, c, h, v) = (
                i / (ys[1] * ys[2] * ys[3]),
                i / (ys[2] * ys[3]) % ys[1],
                i / ys[3] % ys[2],
                i % ys[3],
            );
            for ci in 0..ws[1] {
                for kh in 0..ws[2] {
                    for kw in 0..ws[3] {
                        let row = (h * o.stride[0] + kh * o.dilation[0]).wrapping_sub(o.padding[0]);
                        let col = (v * o.stride[1] + kw * o.dilation[1]).wrapping_sub(o.padding[1]);
                        if row < xs[2] && col < xs[3] {
                            let channel = c / per_group * ws[1] + ci;
                            *out += x[((n * xs[1] + channel) * xs[2] + row) * xs[3] + col]
                                * w[((c * ws[1] + ci) * ws[2] + kh) * ws[3] + kw];
                        }
                    }
                }
            }
        }
        y
    }

    #[test]
    fn values() {
        each_device(|device, dtype| {
            for (xs, ws, options) in geometries() {
                let [kx, kw] = Key::new(5).split();
                let (x, w) = (kx.normal(&xs, dtype, device), kw.normal(&ws, dtype, device));
                let y = x.conv2d(&w, options);
                let expected = direct(
                    &x.to_f64s().unwrap(),
                    &w.to_f64s().unwrap(),
                    xs,
                    ws,
                    y.shape(),
                    options,
                );
                for (a, b) in y.to_f64s().unwrap().iter().zip(expected) {
                    assert!((a - b).abs() < 1e-4, "{options:?}: {a} against {b}");
                }
            }
        });
    }

    #[test]
    #[should_panic(expected = "conv2d: input [1, 3, 4, 4] and weight [2, 4, 3, 3] do not fit")]
    fn wrong_shapes_name_the_operation() {
        let ones = |shape: &[usize]| Tensor::ones(shape, crate::DType::F32, &crate::Device::cpu());
        let _ = ones(&[1, 3, 4, 4]).conv2d(&ones(&[2, 4, 3, 3]), ConvOptions::default());
    }

    /// The weight gradient sums over more pixels than one loop on llvmpipe may have.
    #[test]
    fn many_pixels_reach_the_weight_gradient() {
        each_device(|device, dtype| {
            for (n, size, stride) in [(2, 200, 1), (40, 50, 1), (3, 300, 2)] {
                let options = ConvOptions::default().padding(1).stride(stride);
                let x = Tensor::ones(&[n, 1, size, size], dtype, device);
                let w = Tensor::zeros(&[1, 1, 3, 3], dtype, device);
                let dw =
                    crate::grad(|w: &Tensor| x.conv2d(w, options).sum())(&w).to_f64s().unwrap();
                // A tap's gradient counts the outputs for which it lies inside the image.
                let out = (size - 1) / stride + 1;
                let inside = |tap: usize| {
                    (0..out).filter(|o| (1..=size).contains(&(o * stride + tap))).count()
                };
                for (i, found) in dw.iter().enumerate() {
                    assert_eq!(
                        *found,
                        (n * inside(i / 3) * inside(i % 3)) as f64,
                        "tap {i} of {n}×{size}² on {device}"
                    );
                }
            }
        });
    }
}
