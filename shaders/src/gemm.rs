//! The tiled product of GPUs.

use crate::arithmetic::Arithmetic;
use crate::loaders::Loader;
use crate::template::fill;

/// What is multiplied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operands {
    /// Packed weights `[group, tap, channel, row]` and gathered images; columns are output pixels.
    Convolution {
        /// k counts (channel, tap) pairs, for few channels; else channels of one tap after the other.
        flat: bool,
    },
    /// Gradients `[image, group, row, pixel]` and gathered images; columns are (channel, tap) pairs, k pixels.
    WeightGrad,
    /// Matrices by strides. Which way neighbours in memory lie decides how a workgroup loads.
    Matrices {
        /// The left matrix's neighbours are rows; else k.
        left_rows: bool,
        /// The right matrix's neighbours are columns; else k.
        right_columns: bool,
    },
}

/// Sizes: of a workgroup's tile (rows, columns, slice of k) and of an invocation's or, with matrix units, of a
/// subgroup's (rows, columns).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Tile {
    /// Rows of a workgroup.
    pub bm: usize,
    /// Columns of a workgroup.
    pub bn: usize,
    /// Depth of a slice.
    pub bk: usize,
    /// Rows of an invocation or a subgroup.
    pub tm: usize,
    /// Columns of an invocation or a subgroup.
    pub tn: usize,
    /// Invocations that share these.
    pub lanes: usize,
}

pub(crate) const fn tile(bm: usize, bn: usize, bk: usize, tm: usize, tn: usize) -> Tile {
    Tile {
        bm,
        bn,
        bk,
        tm,
        tn,
        lanes: 1,
    }
}

/// The tiles of one invocation's work, those of many rows first; of equal rows, the larger first.
pub(crate) const TILES: [Tile; 7] = [
    tile(128, 128, 8, 8, 8),
    tile(64, 128, 16, 8, 8),
    tile(64, 64, 16, 8, 8),
    tile(32, 128, 16, 4, 8),
    tile(32, 64, 16, 4, 4),
    tile(16, 128, 16, 4, 4),
    tile(16, 64, 16, 4, 4),
];

/// `wgsl/gemm.wgsl`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Gemm {
    /// What is multiplied.
    pub operands: Operands,
    /// Sizes.
    pub tile: Tile,
    /// As many columns as are written at once ([`Arithmetic::run`]) lie side by side, aligned, in the output; with matrix
    /// units, there are also whole matrices of rows.
    pub runs: bool,
    /// What it multiplies in.
    pub arithmetic: Arithmetic,
}

impl Tile {
    /// Invocations of a workgroup.
    pub fn threads(&self) -> usize {
        (self.bm / self.tm) * (self.bn / self.tn) * self.lanes
    }
}

impl Gemm {
    /// Invocations of a workgroup.
    pub fn workgroup(&self) -> u32 {
        self.tile.threads() as u32
    }

    /// WGSL.
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
                "// Of each column: offset, row and column of its tap.\nvar<workgroup> places: array<vec4<u32>, {}>;\n",
                t.bn
            );
        }
        let values = [
            ("what", format!("{:?}", self.operands)),
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
        fill(include_str!("../wgsl/gemm.wgsl"), &values)
    }

    fn packed(&self) -> bool {
        matches!(self.operands, Operands::Convolution { .. })
    }

    /// How many slices there are; for a weight gradient, of this part.
    fn slices(&self) -> String {
        let bk = self.tile.bk;
        match self.operands {
            Operands::Convolution { flat: false } => format!(
                "let chunks = (params.channels + {}u) / {bk}u;\nlet slices = params.taps * chunks;\n",
                bk - 1
            ),
            Operands::Convolution { flat: true } | Operands::Matrices { .. } => {
                format!("let slices = (params.depth + {}u) / {bk}u;\n", bk - 1)
            }
            Operands::WeightGrad => format!(
                "let begin = s * params.depth_a_part;
let end = min(begin + params.depth_a_part, params.depth);
let slices = (end - begin + {}u) / {bk}u;\n",
                bk - 1
            ),
        }
    }

    /// What both loaders need of a slice.
    fn at_slice(&self) -> String {
        let bk = self.tile.bk;
        match self.operands {
            Operands::Convolution { flat: false } => format!(
                "let tap = params.list[slice / chunks];\nlet k0 = slice % chunks * {bk}u;\n"
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

    /// Where an output of a column lies, before its row is added; WGSL of an expression of the column.
    pub(crate) fn place(&self, c: &str) -> String {
        match self.operands {
            Operands::Convolution { .. } => format!(
                "params.out_base + g * params.out_group + {c} / params.grid * params.out_image
    + {c} % params.grid / params.grid_width * params.out_line + {c} % params.grid % params.grid_width * params.out_column"
            ),
            _ => format!("(s * params.groups + g) * params.out_group + {c}"),
        }
    }
}

fn scalar(scalar: bool) -> String {
    if scalar { "f32" } else { "vec4<f32>" }.into()
}
