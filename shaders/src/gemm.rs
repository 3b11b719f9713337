//! The tiled product of GPUs, f32.

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

/// Loads of one operand: declarations, what is done once, for each slice, and into workgroup memory.
#[derive(Default)]
struct Loader {
    once: String,
    fetch: String,
    stash: String,
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

/// Declares the registers of a loader, as function variables.
fn registers(name: &str, count: usize, kind: &str) -> String {
    each(count, |j| format!("var {name}{j} = {kind}(0.0);"))
}

impl Tile {
    /// Vectors of a line in workgroup memory; one more than is used, against bank conflicts.
    fn left_pitch(&self) -> usize {
        self.bm / 4 + 1
    }

    fn right_pitch(&self) -> usize {
        self.bn / 4 + 1
    }

    fn packed_weights(&self, flat: bool) -> Loader {
        let (quads, threads) = (self.bm / 4, self.threads());
        let total = self.bk * quads;
        let base = if flat {
            "g * params.left_group + k0 * params.left_k + row0"
        } else {
            "g * params.left_group + u32(tap.z) * params.left_tap + k0 * params.left_k + row0"
        };
        let guard = |j: usize, line: String| {
            if (j + 1) * threads <= total {
                line
            } else {
                format!("if thread + {}u < {total}u {{ {line} }}", j * threads)
            }
        };
        let count = total.div_ceil(threads);
        Loader {
            once: registers("l", count, "vec4<f32>"),
            fetch: format!("let w = ({base}) / 4u;\n")
                + &each(count, |j| {
                    let e = format!("(thread + {}u)", j * threads);
                    guard(
                        j,
                        format!(
                            "l{j} = left[w + {e} / {quads}u * (params.left_k / 4u) + {e} % {quads}u];"
                        ),
                    )
                }),
            stash: each(count, |j| {
                let e = format!("(thread + {}u)", j * threads);
                guard(
                    j,
                    format!(
                        "lefts[{e} / {quads}u * {}u + {e} % {quads}u] = l{j};",
                        self.left_pitch()
                    ),
                )
            }),
        }
    }

    fn gathered_pixels(&self, flat: bool) -> Loader {
        let lines = self.threads() / self.bn;
        let count = self.bk / lines;
        let once = format!(
            "let pixel = column0 + thread % {bn}u;
let line = thread / {bn}u;
let h0 = pixel % params.grid / params.grid_width * params.step.x;
let v0 = pixel % params.grid % params.grid_width * params.step.y;
let plane = params.size.x * params.size.y;
let x0 = (pixel / params.grid * params.groups + g) * params.channels * plane;
{}",
            registers("r", count, "f32"),
            bn = self.bn
        );
        let fetch = if flat {
            each(count, |j| {
                format!(
                    "{{
let k = k0 + line + {}u;
let tap = params.list[k % params.taps];
let h = h0 + u32(tap.x);
let v = v0 + u32(tap.y);
r{j} = 0.0;
if k < params.depth && pixel < params.columns && h < params.size.x && v < params.size.y {{
    r{j} = right[x0 + k / params.taps * plane + h * params.size.y + v];
}}
}}",
                    j * lines
                )
            })
        } else {
            format!(
                "let h = h0 + u32(tap.x);
let v = v0 + u32(tap.y);
let inside = pixel < params.columns && h < params.size.x && v < params.size.y;
let x1 = x0 + h * params.size.y + v + (k0 + line) * plane;
{}",
                each(count, |j| format!(
                    "r{j} = 0.0;
if inside && k0 + line + {k}u < params.channels {{ r{j} = right[x1 + {k}u * plane]; }}",
                    k = j * lines
                ))
            )
        };
        let stash = each(count, |j| {
            let (p, bn) = (self.right_pitch(), self.bn);
            format!(
                "rights[(line + {}u) * {p}u + thread % {bn}u / 4u][thread % 4u] = r{j};",
                j * lines
            )
        });
        Loader { once, fetch, stash }
    }

    /// Neighbouring invocations load neighbouring k of one row or column.
    fn along_k(
        &self,
        memory: &str,
        name: &str,
        size: usize,
        pitch: usize,
        inside: impl Fn(&str) -> String,
        place: impl Fn(&str) -> String,
    ) -> Loader {
        let (bk, step) = (self.bk, self.threads() / self.bk);
        let count = size / step;
        let at = |j: usize| format!("(thread / {bk}u + {}u)", j * step);
        Loader {
            once: registers(name, count, "f32"),
            fetch: each(count, |j| {
                let at = at(j);
                format!(
                    "{name}{j} = 0.0;\nif {} {{ {name}{j} = {}; }}",
                    inside(&at),
                    place(&at)
                )
            }),
            stash: each(count, |j| {
                let at = at(j);
                format!("{memory}[thread % {bk}u * {pitch}u + {at} / 4u][{at} % 4u] = {name}{j};")
            }),
        }
    }

    fn gathered_columns(&self) -> Loader {
        let inside = |at: &str| {
            format!(
                "at_k < end && h0 + places[{at}].y < params.size.x && v0 + places[{at}].z < params.size.y"
            )
        };
        let mut loader = self.along_k("rights", "r", self.bn, self.right_pitch(), inside, |at| {
            format!("right[x0 + places[{at}].x]")
        });
        // A column beyond the last has a row that lies outside.
        loader.once += &format!(
            "let plane = params.size.x * params.size.y;
for (var i = thread; i < {}u; i += {}u) {{
    let column = column0 + i;
    let tap = params.list[column % params.taps];
    let offset = column / params.taps * plane + u32(tap.x) * params.size.y + u32(tap.y);
    places[i] = vec4<u32>(offset, select(0x40000000u, u32(tap.x), column < params.columns), u32(tap.y), 0u);
}}
workgroupBarrier();\n",
            self.bn,
            self.threads()
        );
        loader.fetch = format!(
            "let h0 = q / params.grid_width * params.step.x;
let v0 = q % params.grid_width * params.step.y;
let x0 = image * params.channels * plane + h0 * params.size.y + v0;
{}",
            loader.fetch
        );
        loader
    }

    /// A matrix by strides; `across`: neighbouring invocations load neighbouring rows or columns of one k.
    fn matrix(
        &self,
        memory: &str,
        name: &str,
        size: usize,
        pitch: usize,
        across: bool,
        element: impl Fn(&str, &str) -> (String, String),
    ) -> Loader {
        if !across {
            let k = format!("(k0 + thread % {}u)", self.bk);
            return self.along_k(
                memory,
                name,
                size,
                pitch,
                |at| element(&k, at).0,
                |at| element(&k, at).1,
            );
        }
        let total = size * self.bk;
        let threads = self.threads();
        let count = total / threads;
        let e = |j: usize| format!("(thread + {}u)", j * threads);
        Loader {
            once: registers(name, count, "f32"),
            fetch: each(count, |j| {
                let (k, at) = (
                    format!("(k0 + {} / {size}u)", e(j)),
                    format!("{} % {size}u", e(j)),
                );
                let (inside, place) = element(&k, &at);
                format!("{name}{j} = 0.0;\nif {inside} {{ {name}{j} = {place}; }}")
            }),
            stash: each(count, |j| {
                let e = e(j);
                format!(
                    "{memory}[{e} / {size}u * {pitch}u + {e} % {size}u / 4u][{e} % 4u] = {name}{j};"
                )
            }),
        }
    }
}
