//! The tiled product of GPUs, f32.

use crate::loaders::Loader;
use crate::template::{each, fill};

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

/// Sizes: of a workgroup's tile (rows, columns, slice of k) and of an invocation's (rows, columns).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Tile {
    /// Rows of a workgroup.
    pub bm: usize,
    /// Columns of a workgroup.
    pub bn: usize,
    /// Depth of a slice.
    pub bk: usize,
    /// Rows of an invocation.
    pub tm: usize,
    /// Columns of an invocation.
    pub tn: usize,
}

const fn tile(bm: usize, bn: usize, bk: usize, tm: usize, tn: usize) -> Tile {
    Tile { bm, bn, bk, tm, tn }
}

/// The tiles, those of many rows first; of equal rows, the larger first.
pub const TILES: [Tile; 7] = [
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
    /// Four columns lie side by side, aligned, in the output.
    pub quads: bool,
}

impl Tile {
    /// Invocations of a workgroup.
    pub fn threads(&self) -> usize {
        (self.bm / self.tm) * (self.bn / self.tn)
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
        let across = t.bn / t.tn;
        let (columns, rows) = (t.tn / 4, t.tm / 4);
        let (left, right) = self.loaders();
        let product = each(rows, |i| {
            format!(
                "let a{i} = lefts[k * {}u + ty * {rows}u + {i}u];",
                t.left_pitch()
            )
        }) + &each(columns, |j| {
            format!(
                "let b{j} = rights[k * {}u + tx + {}u];",
                t.right_pitch(),
                j * across
            )
        }) + &each(t.tm * columns, |n| {
            let (i, j) = (n / columns, n % columns);
            format!(
                "s{i}_{j} = fma(vec4<f32>(a{}[{}]), b{j}, s{i}_{j});",
                i / 4,
                i % 4
            )
        });
        let memory = 16 * t.bk * (t.left_pitch() + t.right_pitch())
            + if self.gathers_columns() { 16 * t.bn } else { 0 };
        let values = [
            ("what", format!("{:?}", self.operands)),
            ("bm", t.bm.to_string()),
            ("bn", t.bn.to_string()),
            ("bk", t.bk.to_string()),
            ("tm", t.tm.to_string()),
            ("tn", t.tn.to_string()),
            ("threads", t.threads().to_string()),
            ("memory", memory.to_string()),
            ("across", across.to_string()),
            ("left_type", scalar(!self.packed())),
            ("out_type", scalar(!self.quads)),
            ("lefts", (t.bk * t.left_pitch()).to_string()),
            ("rights", (t.bk * t.right_pitch()).to_string()),
            (
                "memories",
                if self.gathers_columns() {
                    format!(
                        "// Of each column: offset, row and column of its tap.\nvar<workgroup> places: array<vec4<u32>, {}>;\n",
                        t.bn
                    )
                } else {
                    String::new()
                },
            ),
            (
                "sums",
                each(t.tm * columns, |n| {
                    format!("var s{}_{} = vec4<f32>(0.0);", n / columns, n % columns)
                }),
            ),
            ("prepare", self.slices() + &left.once + &right.once),
            ("fetch", self.at_slice() + &left.fetch + &right.fetch),
            ("stash", left.stash + &right.stash),
            ("product", product),
            ("store", self.store()),
        ];
        fill(include_str!("../wgsl/gemm.wgsl"), &values)
    }

    fn packed(&self) -> bool {
        matches!(self.operands, Operands::Convolution { .. })
    }

    fn gathers_columns(&self) -> bool {
        self.operands == Operands::WeightGrad
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
            Operands::Convolution { flat } => (t.packed_weights(flat), t.gathered_pixels(flat)),
            Operands::WeightGrad => (
                t.along_k(
                    "lefts",
                    "l",
                    t.bm,
                    t.left_pitch(),
                    |at| {
                        format!("at_k < end && row0 + {at} < params.rows")
                    },
                    |at| {
                        format!("left[(image * params.rows + row0 + {at}) * params.grid + q]")
                    },
                ),
                t.gathered_columns(),
            ),
            Operands::Matrices {
                left_rows,
                right_columns,
            } => (
                t.matrix("lefts", "l", t.bm, t.left_pitch(), left_rows, |k, at| {
                    (
                        format!("{k} < params.depth && row0 + {at} < params.rows"),
                        format!("left[g * params.left_group + {k} * params.left_k + (row0 + {at}) * params.left_row]"),
                    )
                }),
                t.matrix("rights", "r", t.bn, t.right_pitch(), right_columns, |k, at| {
                    (
                        format!("{k} < params.depth && column0 + {at} < params.columns"),
                        format!("right[g * params.right_group + {k} * params.right_k + (column0 + {at}) * params.right_column]"),
                    )
                }),
            ),
        }
    }

    fn store(&self) -> String {
        let t = self.tile;
        let (columns, across) = (t.tn / 4, t.bn / t.tn);
        let place = |c: &str| {
            match self.operands {
            Operands::Convolution { .. } => format!(
                "params.out_base + g * params.out_group + {c} / params.grid * params.out_image
    + {c} % params.grid / params.grid_width * params.out_line + {c} % params.grid % params.grid_width * params.out_column"
            ),
            _ => format!("(s * params.groups + g) * params.out_group + {c}"),
        }
        };
        let rows = |line: &dyn Fn(usize) -> String| {
            each(t.tm, |i| {
                format!(
                    "if row0 + ty * {tm}u + {i}u < params.rows {{ {} }}",
                    line(i),
                    tm = t.tm
                )
            })
        };
        let at = |i: usize| format!("o + (row0 + ty * {}u + {i}u) * params.out_row", t.tm);
        each(columns, |j| {
            let c = format!("let c{j} = column0 + (tx + {}u) * 4u;\n", j * across);
            if self.quads {
                let lines = rows(&|i| format!("out[({}) / 4u] = s{i}_{j};", at(i)));
                let o = place(&format!("c{j}"));
                format!("{c}if c{j} < params.columns {{\nlet o = {o};\n{lines}}}")
            } else {
                c + &each(4, |e| {
                    let lines = rows(&|i| format!("out[{}] = s{i}_{j}[{e}];", at(i)));
                    let o = place("c");
                    format!(
                        "{{\nlet c = c{j} + {e}u;\nif c < params.columns {{\nlet o = {o};\n{lines}}}\n}}"
                    )
                })
            }
        })
    }
}

fn scalar(scalar: bool) -> String {
    if scalar { "f32" } else { "vec4<f32>" }.into()
}
