//! Batched matrix products by kernels of our own.

use burn_backend::ops::FloatTensorOps;
use burn_backend::{DType, Shape, TensorMetadata};
use burn_wgpu::{CubeTensor, Wgpu, into_contiguous};
use prospr_shaders::{Arithmetic, Gemm, Operands, Quads, TILE, width};

use super::conv::LARGEST_PACKED;
use super::gpu::{Params, choose};
use super::soft::Product;
use super::{Class, arithmetic, axis, class, output, pack};
use crate::Precision;
use cubecl::server::Handle;

/// Matrices of one operand, by strides: from matrix to matrix (0: the same for all), rows, columns.
struct Matrices {
    tensor: CubeTensor,
    strides: [usize; 3],
}

/// `[.., m, k] × [.., k, n]`, the leading axes broadcast.
pub(in crate::runtime) fn matmul(a: CubeTensor, b: CubeTensor, precision: Precision) -> CubeTensor {
    let (sa, sb) = (a.shape().to_vec(), b.shape().to_vec());
    let rank = sa.len();
    let (m, k, n) = (sa[rank - 2], sa[rank - 1], sb[rank - 1]);
    let lead: Vec<usize> = (0..rank - 2).map(|i| sa[i].max(sb[i])).collect();
    let batch: usize = lead.iter().product();
    let (class, arithmetic) = (class(&a), arithmetic(&a, precision));
    let packed = batch * (k + 8) * (m.max(n) + 8);
    // More matrices than a dispatch has workgroups along z; nothing to sum; or too much to pack.
    if batch > 65_535 || k == 0 || class != Class::Gpu && packed > LARGEST_PACKED {
        return Wgpu::float_matmul(a, b);
    }
    let mut shape = lead.clone();
    shape.extend([m, n]);
    let out = output(&a.client, &a.device, &shape, DType::F32);
    let (a, b) = (spread(a, &lead), spread(b, &lead));
    match class {
        Class::Software { wide } => soft(&a, &b, [batch, m, k, n], wide, &out),
        Class::Gpu => gpu(&a, &b, [batch, m, k, n], arithmetic, &out),
    }
    out
}

/// Gives an operand one stride over all leading axes; copies it where it has none.
fn spread(t: CubeTensor, lead: &[usize]) -> Matrices {
    let rank = lead.len() + 2;
    let shape = t.shape().to_vec();
    let one = shape[..rank - 2].iter().all(|&n| n == 1);
    let t = if one || shape[..rank - 2] == *lead {
        t
    } else {
        let mut whole = lead.to_vec();
        whole.extend(&shape[rank - 2..]);
        Wgpu::float_expand(t, Shape::from(whole))
    };
    match strides(&t, one) {
        Some(strides) => Matrices { tensor: t, strides },
        None => {
            let tensor = into_contiguous(t);
            let strides = strides(&tensor, one).expect("contiguous");
            Matrices { tensor, strides }
        }
    }
}

fn strides(t: &CubeTensor, one: bool) -> Option<[usize; 3]> {
    let (shape, strides) = (t.shape().to_vec(), t.meta.strides().to_vec());
    let rank = shape.len();
    let [row, column] = [strides[rank - 2], strides[rank - 1]];
    if one {
        return Some([0, row, column]);
    }
    // Axes of size 1 have any stride; the others must follow one another.
    let mut axes = (0..rank - 2).rev().filter(|&i| shape[i] > 1);
    let last = axes.next()?;
    let mut next = strides[last] * shape[last];
    for i in axes {
        if strides[i] != next {
            return None;
        }
        next *= shape[i];
    }
    (strides[last] > 0).then_some([strides[last], row, column])
}

fn soft(a: &Matrices, b: &Matrices, [batch, m, k, n]: [usize; 4], wide: bool, out: &CubeTensor) {
    let wide = wide && k > 4;
    let width = width(wide);
    let depth = k.next_multiple_of(width);
    let columns = n.next_multiple_of(TILE);
    let (x, x_group) = dense(a, [batch, m, k], [m, depth]);
    let (w, w_group) = dense(b, [batch, k, n], [depth, columns]);
    Product {
        w: &w,
        x: &x,
        out: &out.handle,
        wide,
        quads: (n % 4 == 0).then_some(Quads::Rows),
        groups: batch,
        rows: n,
        pixels: m,
        grid: [1, m],
        x_strides: [x_group / width, 0, 0, depth / width],
        w_strides: [w_group / width, 0, columns / width],
        chunks: depth / width,
        out_strides: [0, m * n, 0, 1, 0, n],
        taps: 1,
        list: &[0, 0],
    }
    .run(&out.client);
}

/// Matrices one after the other, padded to this size, and the floats from one to the next.
fn dense(t: &Matrices, [batch, rows, columns]: [usize; 3], padded: [usize; 2]) -> (Handle, usize) {
    let [group, row, column] = t.strides;
    let matrix = padded[0] * padded[1];
    let step = if group == 0 { 0 } else { matrix };
    let fits = padded == [rows, columns] && column == 1 && row == columns;
    if fits && (group == matrix || group == 0) {
        return (t.tensor.handle.clone(), step);
    }
    let batch = if group == 0 { 1 } else { batch };
    let axes = [
        axis(batch, batch, group),
        axis(padded[0], rows, row),
        axis(1, 1, 0),
        axis(1, 1, 0),
        axis(padded[1], columns, column),
    ];
    (pack(&t.tensor.client, &t.tensor.handle, axes), step)
}

fn gpu(
    a: &Matrices,
    b: &Matrices,
    [batch, m, k, n]: [usize; 4],
    arithmetic: Arithmetic,
    out: &CubeTensor,
) {
    let ([a_group, a_row, a_k], [b_group, b_k, b_column]) = (a.strides, b.strides);
    let kernel = Gemm {
        operands: Operands::Matrices {
            left_rows: a_row == 1 && a_k != 1,
            right_columns: b_column == 1 || b_k != 1,
        },
        tile: choose(arithmetic, [m, k, n], batch, false),
        runs: n % arithmetic.run() == 0 && m % arithmetic.step() == 0,
        arithmetic,
    };
    let params = Params {
        rows: m,
        columns: n,
        depth: k,
        groups: batch,
        left: [a_group, a_k, a_row],
        right: [b_group, b_k, b_column],
        out: [0, m * n, 0, n, 0, 0],
        ..Params::default()
    };
    let buffers = [&a.tensor.handle, &b.tensor.handle, &out.handle];
    params.run(&out.client, kernel, 1, &buffers, &[0; 4]);
}
