//! The tiled matrix product for GPUs.

mod arithmetic;
mod blocks;
mod loaders;

pub use arithmetic::Arithmetic;

use loaders::Loader;

use crate::structs::OutLayout;
use crate::template::fill;

/// Layout of the operands of the product.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operands {
    /// Packed weights `[group, tap, channel, row]` times gathered images; columns are output pixels.
    Convolution {
        /// True if k runs over (channel, tap) pairs, for few channels; false if it runs over the channels of one tap
        /// after the other.
        flat: bool,
    },
    /// Gradients `[image, group, row, pixel]` times gathered images; columns are (channel, tap) pairs, and k runs over
    /// pixels.
    WeightGrad,
    /// Matrices by strides. Invocations load neighbouring elements along the axis that is contiguous in memory.
    Matrices {
        /// True if the left matrix is contiguous along rows, false if along k.
        left_rows: bool,
        /// True if the right matrix is contiguous along columns, false if along k.
        right_columns: bool,
    },
}

/// Tile sizes: rows, columns and slice of k of a workgroup; rows and columns of an invocation or, with matrix units,
/// of a subgroup.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Tile {
    /// Number of rows of a workgroup.
    pub bm: usize,
    /// Number of columns of a workgroup.
    pub bn: usize,
    /// Length of a slice along k.
    pub bk: usize,
    /// Number of rows of an invocation or a subgroup.
    pub tm: usize,
    /// Number of columns of an invocation or a subgroup.
    pub tn: usize,
    /// Number of invocations that compute these rows and columns together: 1, or those of a subgroup.
    pub lanes: usize,
}

wgsl_struct! {
    /// Parameters of [`Gemm`].
    GemmParams {
        rows: u32, columns: u32, depth: u32,
        row_tiles: u32, column_tiles: u32, groups: u32,
        left_group: u32, left_k: u32, left_row: u32,
        right_group: u32, right_k: u32, right_column: u32,
        grid: u32, grid_width: u32, stride: [u32; 2], size: [u32; 2], channels: u32,
        part_depth: u32,
        out_layout: OutLayout,
        tap_count: u32, left_tap: u32,
    }
    taps: [[i32; 4]]
}

/// A variant of the tiled matrix product `wgsl/gemm.wgsl`: the choices from which its source is generated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Gemm {
    /// Layout of the operands.
    pub operands: Operands,
    /// Tile sizes.
    pub tile: Tile,
    /// True if the columns of a store ([`Arithmetic::run`]) are contiguous and aligned in the output and, with matrix
    /// units, the number of rows is a multiple of a matrix's rows.
    pub runs: bool,
    /// Numeric type of the multiplication.
    pub arithmetic: Arithmetic,
}

impl Tile {
    /// Returns the number of invocations of a workgroup.
    pub fn threads(&self) -> usize {
        (self.bm / self.tm) * (self.bn / self.tn) * self.lanes
    }
}

impl Gemm {
    /// Returns the number of invocations of a workgroup.
    pub fn workgroup(&self) -> u32 {
        self.tile.threads() as u32
    }

    /// Returns the WGSL source, with the sizes, loaders and stores of this specialisation.
    pub fn source(&self) -> String {
        let t = self.tile;
        let (left, right) = self.loaders();
        let block = match self.arithmetic {
            Arithmetic::Full | Arithmetic::Half => self.invocation(),
            Arithmetic::Matrices { size, .. } => self.subgroup(size),
        };
        let (operand, bytes) = self.arithmetic.operand();
        let (lefts, rights) = (t.bk * self.left_pitch(), t.bk * self.right_pitch());
        let mut memories = block.memories;
        let mut memory = bytes * (lefts + rights) + block.memory;
        if self.operands == Operands::WeightGrad {
            memory += 16 * t.bn;
            memories += &format!(
                "// For each column: offset, row and column of its tap.\nvar<workgroup> places: array<vec4<u32>, {}>;\n",
                t.bn
            );
        }
        let values = [
            ("operands", format!("{:?}", self.operands)),
            ("arithmetic", format!("{:?}", self.arithmetic)),
            ("enable", self.arithmetic.enable().into()),
            ("bm", t.bm.to_string()),
            ("bn", t.bn.to_string()),
            ("bk", t.bk.to_string()),
            ("tm", t.tm.to_string()),
            ("tn", t.tn.to_string()),
            ("threads", t.threads().to_string()),
            ("memory", memory.to_string()),
            ("across", (t.bn / t.tn).to_string()),
            ("lanes", t.lanes.to_string()),
            ("if_loaded", self.arithmetic.condition("slice > 0u")),
            ("step", self.arithmetic.step().to_string()),
            ("left_type", scalar(!self.packed())),
            ("out_type", scalar(block.scalars)),
            ("operand", operand.into()),
            ("lefts", lefts.to_string()),
            ("rights", rights.to_string()),
            ("memories", memories),
            ("sums", block.sums),
            ("prepare", self.slices() + &left.once + &right.once),
            ("fetch", self.at_slice() + &left.fetch + &right.fetch),
            ("stash", left.stash + &right.stash),
            ("product", block.product),
            ("store", block.store),
        ];
        let template = concat!(
            include_str!("../../wgsl/gemm.wgsl"),
            include_str!("../../wgsl/out_layout.wgsl")
        );
        fill(template, &values)
    }

    /// Returns true if the left operand is read in vectors of four.
    fn packed(&self) -> bool {
        matches!(self.operands, Operands::Convolution { .. })
    }

    /// Returns WGSL that declares the number of slices; for a weight gradient, of the slices of its part.
    fn slices(&self) -> String {
        let bk = self.tile.bk;
        match self.operands {
            Operands::Convolution { flat: false } => format!(
                "let chunks = (params.channels + {}u) / {bk}u;\nlet slices = params.tap_count * chunks;\n",
                bk - 1
            ),
            Operands::Convolution { flat: true } | Operands::Matrices { .. } => {
                format!("let slices = (params.depth + {}u) / {bk}u;\n", bk - 1)
            }
            Operands::WeightGrad => format!(
                "let begin = s * params.part_depth;
let end = min(begin + params.part_depth, params.depth);
let slices = (end - begin + {}u) / {bk}u;\n",
                bk - 1
            ),
        }
    }

    /// Returns WGSL of the coordinates of a slice that both loaders use.
    fn at_slice(&self) -> String {
        let bk = self.tile.bk;
        match self.operands {
            Operands::Convolution { flat: false } => format!(
                "let tap = params.taps[slice / chunks];\nlet k0 = slice % chunks * {bk}u;\n"
            ),
            Operands::Convolution { flat: true } | Operands::Matrices { .. } => {
                format!("let k0 = slice * {bk}u;\n")
            }
            Operands::WeightGrad => format!(
                "let at_k = begin + slice * {bk}u + thread % {bk}u;
let image = at_k / params.grid * params.groups + g;
let q = at_k % params.grid;\n"
            ),
        }
    }

    /// Returns the loaders of the left and of the right operand.
    fn loaders(&self) -> (Loader, Loader) {
        let t = self.tile;
        match self.operands {
            Operands::Convolution { flat } => {
                (self.packed_weights(flat), self.gathered_pixels(flat))
            }
            Operands::WeightGrad => (
                self.along_k(
                    "lefts",
                    "l",
                    t.bm,
                    self.left_pitch(),
                    |at| {
                        format!("at_k < end && row0 + {at} < params.rows")
                    },
                    |at| {
                        format!("left[(image * params.rows + row0 + {at}) * params.grid + q]")
                    },
                ),
                self.gathered_columns(),
            ),
            Operands::Matrices {
                left_rows,
                right_columns,
            } => (
                self.matrix("lefts", "l", t.bm, self.left_pitch(), left_rows, |k, at| {
                    (
                        format!("{k} < params.depth && row0 + {at} < params.rows"),
                        format!("left[g * params.left_group + {k} * params.left_k + (row0 + {at}) * params.left_row]"),
                    )
                }),
                self.matrix("rights", "r", t.bn, self.right_pitch(), right_columns, |k, at| {
                    (
                        format!("{k} < params.depth && column0 + {at} < params.columns"),
                        format!("right[g * params.right_group + {k} * params.right_k + (column0 + {at}) * params.right_column]"),
                    )
                }),
            ),
        }
    }

    /// Returns WGSL of the offset of the output in column `c` and row 0.
    fn offset(&self, c: &str) -> String {
        match self.operands {
            Operands::Convolution { .. } => format!(
                "params.out_layout.base + g * params.out_layout.group + {c} / params.grid * params.out_layout.image
    + {c} % params.grid / params.grid_width * params.out_layout.line + {c} % params.grid % params.grid_width * params.out_layout.column"
            ),
            _ => format!("(s * params.groups + g) * params.out_layout.group + {c}"),
        }
    }
}

/// Returns the WGSL type of a buffer's element.
fn scalar(scalar: bool) -> String {
    if scalar { "f32" } else { "vec4<f32>" }.into()
}
