//! The part of the tiled product that multiplies slices in workgroup memory and writes the sums, for an invocation or a
//! subgroup.

use super::Gemm;
use crate::template::each;

/// WGSL of this part: declarations of the sums, product of a slice, and stores.
pub(super) struct Block {
    pub sums: String,
    pub product: String,
    pub store: String,
    /// Declarations of workgroup memory beyond the operands'.
    pub memories: String,
    /// Bytes of that memory.
    pub memory: usize,
    /// True if the output is an array of `f32`, false if of `vec4<f32>`.
    pub scalars: bool,
}

impl Gemm {
    /// Returns the block of an invocation, which holds vectors of four columns.
    pub(super) fn invocation(&self) -> Block {
        let t = self.tile;
        let across = t.bn / t.tn;
        let (columns, rows) = (t.tn / 4, t.tm / 4);
        let product = each(rows, |i| {
            format!(
                "let a{i} = vec4<f32>(lefts[k * {}u + ty * {rows}u + {i}u]);",
                self.left_pitch()
            )
        }) + &each(columns, |j| {
            format!(
                "let b{j} = vec4<f32>(rights[k * {}u + tx + {}u]);",
                self.right_pitch(),
                j * across
            )
        }) + &each(t.tm * columns, |n| {
            let (i, j) = (n / columns, n % columns);
            format!("s{i}_{j} = fma(vec4<f32>(a{}[{}]), b{j}, s{i}_{j});", i / 4, i % 4)
        });
        Block {
            sums: each(t.tm * columns, |n| {
                format!("var s{}_{} = vec4<f32>(0.0);", n / columns, n % columns)
            }),
            product,
            store: self.store_vectors(columns, across),
            memories: String::new(),
            memory: 0,
            scalars: !self.runs,
        }
    }

    /// Returns WGSL that stores the sums of an invocation.
    fn store_vectors(&self, columns: usize, across: usize) -> String {
        let tm = self.tile.tm;
        let rows = |line: &dyn Fn(usize) -> String| {
            each(tm, |i| format!("if row0 + ty * {tm}u + {i}u < params.rows {{ {} }}", line(i)))
        };
        let at = |i: usize| format!("o + (row0 + ty * {tm}u + {i}u) * params.out_layout.row");
        each(columns, |j| {
            let c = format!("let c{j} = column0 + (tx + {}u) * 4u;\n", j * across);
            if self.runs {
                let lines = rows(&|i| format!("out[({}) / 4u] = s{i}_{j};", at(i)));
                let o = self.offset(&format!("c{j}"));
                format!("{c}if c{j} < params.columns {{\nlet o = {o};\n{lines}}}")
            } else {
                c + &each(4, |e| {
                    let lines = rows(&|i| format!("out[{}] = s{i}_{j}[{e}];", at(i)));
                    let o = self.offset("c");
                    format!(
                        "{{\nlet c = c{j} + {e}u;\nif c < params.columns {{\nlet o = {o};\n{lines}}}\n}}"
                    )
                })
            }
        })
    }

    /// Returns the block of a subgroup, which holds cooperative matrices of this size.
    pub(super) fn subgroup(&self, size: usize) -> Block {
        let t = self.tile;
        let (rows, columns) = (t.tm / size, t.tn / size);
        let all = |line: &dyn Fn(usize, usize) -> String| {
            each(rows * columns, |n| line(n / columns, n % columns))
        };
        let matrix = |kind: &str, role: &str| format!("coop_mat{size}x{size}<{kind}, {role}>");
        // A line of workgroup memory has one k: a column of the left matrix, a row of the right one.
        let product =
            each(rows, |i| {
                format!(
                    "let a{i} = coopLoad<{}>(&lefts[k * {p}u + ty * {}u + {}u], {p}u);",
                    matrix("f16", "A"),
                    t.tm,
                    i * size,
                    p = self.left_pitch()
                )
            }) + &each(columns, |j| {
                format!(
                    "let b{j} = coopLoadT<{}>(&rights[k * {p}u + tx * {}u + {}u], {p}u);",
                    matrix("f16", "B"),
                    t.tn,
                    j * size,
                    p = self.right_pitch()
                )
            }) + &all(&|i, j| format!("s{i}_{j} = coopMultiplyAdd(a{i}, b{j}, s{i}_{j});"));
        let place = |i: usize, j: usize| {
            format!(
                "let r = row0 + ty * {}u + {}u;\nlet c0 = column0 + tx * {}u + {}u;\n",
                t.tm,
                i * size,
                t.tn,
                j * size
            )
        };
        let scratch = t.threads() / t.lanes * size * size;
        let (store, memories, memory) = if self.runs {
            let store = all(&|i, j| {
                format!(
                    "{{\n{}{} {{
let line = params.out_layout.row;\nlet o = {} + r * line;\ncoopStoreT(s{i}_{j}, &out[o], line);\n}}\n}}",
                    place(i, j),
                    self.arithmetic
                        .condition("r < params.rows && c0 < params.columns"),
                    self.offset("c0")
                )
            });
            (store, String::new(), 0)
        } else {
            let store = all(&|i, j| {
                format!(
                    "{{\n{}let own = thread / {lanes}u * {area}u;
coopStoreT(s{i}_{j}, &scratch[own], {size}u);
workgroupBarrier();
for (var e = thread % {lanes}u; e < {area}u; e += {lanes}u) {{
    let c = c0 + e % {size}u;
    let row = r + e / {size}u;
    if row < params.rows && c < params.columns {{
        out[{} + row * params.out_layout.row] = scratch[own + e];
    }}
}}
workgroupBarrier();\n}}",
                    place(i, j),
                    self.offset("c"),
                    lanes = t.lanes,
                    area = size * size,
                )
            });
            let memories = format!(
                "// One matrix of each subgroup, to be written.\nvar<workgroup> scratch: array<f32, {scratch}>;\n"
            );
            (store, memories, 4 * scratch)
        };
        Block {
            sums: all(&|i, j| format!("var s{i}_{j} = {}();", matrix("f32", "C"))),
            product,
            store,
            memories,
            memory,
            scalars: true,
        }
    }
}
