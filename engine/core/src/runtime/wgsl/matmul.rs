//! Batched matrix products by the engine's own kernels.

use burn_backend::ops::FloatTensorOps;
use burn_backend::{DType, Shape, TensorMetadata};
use burn_wgpu::{CubeTensor, Wgpu, into_contiguous};
use cubecl::server::Handle;
use prospr_shaders::{
    Arithmetic, Gemm, GemmParams, Operands, OutLayout, Quads, RasterizerGemmParams, TILE, width,
};

use super::gpu::choose;
use super::rasterizer::{LARGEST_PACKED, Product};
use super::{Class, arithmetic, axis, class, output, pack};
use crate::Precision;

/// Matrices of one operand, with strides in elements: from matrix to matrix (0 if one matrix serves all), of rows and
/// of columns.
struct Matrices {
    tensor: CubeTensor,
    strides: [usize; 3],
}

/// Computes `[.., m, k] × [.., k, n]` with broadcast leading axes.
pub(in crate::runtime) fn matmul(a: CubeTensor, b: CubeTensor, precision: Precision) -> CubeTensor {
    let (sa, sb) = (a.shape().to_vec(), b.shape().to_vec());
    let rank = sa.len();
    let (m, k, n) = (sa[rank - 2], sa[rank - 1], sb[rank - 1]);
    let lead: Vec<usize> = (0..rank - 2).map(|i| sa[i].max(sb[i])).collect();
    let batch: usize = lead.iter().product();
    let (class, arithmetic) = (class(&a), arithmetic(&a, precision));
    let packed = batch * (k + 8) * (m.max(n) + 8);
    // Burn's kernel runs for more matrices than a dispatch has workgroups along z, for empty sums, and for operands
    // that are too large to pack.
    if batch > 65_535 || k == 0 || class != Class::Gpu && packed > LARGEST_PACKED {
        return Wgpu::float_matmul(a, b);
    }
    let mut shape = lead.clone();
    shape.extend([m, n]);
    let out = output(&a.client, &a.device, &shape, DType::F32);
    let (a, b) = (spread(a, &lead), spread(b, &lead));
    match class {
        Class::SoftwareRasterizer { wide } => rasterizer(&a, &b, [batch, m, k, n], wide, &out),
        Class::Gpu => gpu(&a, &b, [batch, m, k, n], arithmetic, &out),
    }
    out
}

/// Gives an operand one stride over all leading axes, by a copy if necessary.
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

/// Returns the strides of matrices, rows and columns; `None` if no single stride leads from matrix to matrix.
fn strides(t: &CubeTensor, one: bool) -> Option<[usize; 3]> {
    let (shape, strides) = (t.shape().to_vec(), t.meta.strides().to_vec());
    let rank = shape.len();
    let [row, column] = [strides[rank - 2], strides[rank - 1]];
    if one {
        return Some([0, row, column]);
    }
    // Axes of size 1 do not count; the others must be contiguous with each other.
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

/// Launches `shaders/wgsl/rasterizer_gemm.wgsl`, after packing the operands.
fn rasterizer(
    a: &Matrices,
    b: &Matrices,
    [batch, m, k, n]: [usize; 4],
    wide: bool,
    out: &CubeTensor,
) {
    let wide = wide && k > 4;
    let width = width(wide);
    let depth = k.next_multiple_of(width);
    let columns = n.next_multiple_of(TILE);
    let (x, x_group) = dense(a, [batch, m, k], [m, depth]);
    let (w, w_group) = dense(b, [batch, k, n], [depth, columns]);
    let params = RasterizerGemmParams {
        rows: n as u32,
        pixels: m as u32,
        grid: m as u32,
        grid_width: m as u32,
        x_group: (x_group / width) as u32,
        x_column: (depth / width) as u32,
        w_group: (w_group / width) as u32,
        w_channel: (columns / width) as u32,
        end: (depth / width) as u32,
        out_layout: OutLayout {
            group: (m * n) as u32,
            row: 1,
            column: n as u32,
            ..OutLayout::default()
        },
        tap_count: 1,
        ..RasterizerGemmParams::default()
    };
    Product {
        w: &w,
        x: &x,
        out: &out.handle,
        wide,
        quads: (n % 4 == 0).then_some(Quads::Rows),
        groups: batch,
        params,
        taps: &[[0, 0]],
    }
    .run(&out.client);
}

/// Returns contiguous matrices, padded to a size, and the number of floats from one to the next.
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

/// Launches `shaders/wgsl/gemm.wgsl`.
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
    let params = GemmParams {
        rows: m as u32,
        columns: n as u32,
        depth: k as u32,
        groups: batch as u32,
        left_group: a_group as u32,
        left_k: a_k as u32,
        left_row: a_row as u32,
        right_group: b_group as u32,
        right_k: b_k as u32,
        right_column: b_column as u32,
        out_layout: OutLayout { group: (m * n) as u32, row: n as u32, ..OutLayout::default() },
        ..GemmParams::default()
    };
    let buffers = [&a.tensor.handle, &b.tensor.handle, &out.handle];
    super::gpu::run(&out.client, kernel, params, &[], 1, &buffers);
}
