//! Convolutions by Burn's kernels, for types and devices without a kernel of the engine's own.

use burn_backend::ops::ConvOptions as BurnConv;
use burn_backend::{Shape, Slice, TensorMetadata};

use crate::ir::{Conv, ConvKind};
use crate::runtime::backend::Backed;

/// Computes a convolution or a gradient with Burn's kernels. `loop_limit` is the most output pixels that one launch of
/// a weight's gradient may sum over.
pub(crate) fn convolve<B: Backed>(
    conv: &Conv,
    a: B::FloatTensorPrimitive,
    b: B::FloatTensorPrimitive,
    loop_limit: Option<usize>,
) -> B::FloatTensorPrimitive {
    let o = conv.options;
    let options = BurnConv::new(o.stride, o.padding, o.dilation, o.groups);
    match conv.kind {
        ConvKind::Forward => B::conv2d(a, b, None, options),
        ConvKind::InputGrad => B::conv2d_x_backward(shaped::<B>(&a, conv.x), b, a, options),
        ConvKind::WeightGrad => {
            let [n, _, oh, ow] = conv.y;
            match loop_limit {
                Some(limit) if n * oh * ow > limit => weight_grad_in_parts::<B>(conv, a, b, limit),
                _ => B::conv2d_weight_backward(a, shaped::<B>(&b, conv.w), b, options),
            }
        }
    }
}

/// Returns a tensor of a shape that takes no memory. Burn's gradient functions read only the shape of the tensor whose
/// gradient they compute.
fn shaped<B: Backed>(like: &B::FloatTensorPrimitive, shape: [usize; 4]) -> B::FloatTensorPrimitive {
    let one = B::float_zeros(Shape::new([1; 4]), &like.device(), like.dtype().into());
    B::float_expand(one, Shape::new(shape))
}

/// Computes a weight's gradient, which is a sum over images and output pixels, in blocks of about `limit` output
/// pixels: some images, or some rows of one image with the rows of the padded input that they see.
fn weight_grad_in_parts<B: Backed>(
    conv: &Conv,
    x: B::FloatTensorPrimitive,
    dy: B::FloatTensorPrimitive,
    limit: usize,
) -> B::FloatTensorPrimitive {
    let (o, [n, _, oh, ow]) = (conv.options, conv.y);
    let around: Vec<(usize, usize)> =
        vec![(0, 0), (0, 0), (o.padding[0], o.padding[0]), (o.padding[1], o.padding[1])];
    let x = B::float_pad(x, &around, burn_backend::ops::PadMode::Constant(0.0));
    let options = BurnConv::new(o.stride, [0, 0], o.dilation, o.groups);
    let (images, rows) =
        if oh * ow <= limit { (limit / (oh * ow), oh) } else { (1, (limit / ow).max(1)) };
    let range = |from: usize, to: usize| Slice::new(from as isize, Some(to as isize), 1);
    let mut sum: Option<B::FloatTensorPrimitive> = None;
    for image in (0..n).step_by(images) {
        let batch = range(image, (image + images).min(n));
        for row in (0..oh).step_by(rows) {
            let end = (row + rows).min(oh);
            let seen = range(
                row * o.stride[0],
                (end - 1) * o.stride[0] + o.dilation[0] * (conv.w[2] - 1) + 1,
            );
            let part_x = B::float_slice(x.clone(), &[batch, Slice::full(), seen]);
            let part_dy = B::float_slice(dy.clone(), &[batch, Slice::full(), range(row, end)]);
            let part = B::conv2d_weight_backward(
                part_x,
                shaped::<B>(&part_dy, conv.w),
                part_dy,
                options.clone(),
            );
            sum = Some(match sum {
                Some(sum) => B::float_add(sum, part),
                None => part,
            });
        }
    }
    sum.expect("a convolution has outputs")
}
