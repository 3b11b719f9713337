//! The part of the tiled product that copies slices of the operands into workgroup memory.

use super::Gemm;
use crate::template::each;

/// WGSL that loads one operand: `once` before the loop over slices, `fetch` from the buffer into registers, and `stash`
/// from there into workgroup memory.
#[derive(Default)]
pub(super) struct Loader {
    pub once: String,
    pub fetch: String,
    pub stash: String,
}

/// Generates WGSL that declares the registers of a loader, as variables of the function.
fn registers(name: &str, count: usize, kind: &str) -> String {
    each(count, |j| format!("var {name}{j} = {kind}(0.0);"))
}

impl Gemm {
    /// Returns the number of elements in workgroup memory per line of the left operand.
    pub(super) fn left_pitch(&self) -> usize {
        self.arithmetic.pitch(self.tile.bm)
    }

    /// Returns the number of elements in workgroup memory per line of the right operand.
    pub(super) fn right_pitch(&self) -> usize {
        self.arithmetic.pitch(self.tile.bn)
    }

    /// Returns the loader of a convolution's left operand: packed weights, in vectors of four rows.
    pub(super) fn packed_weights(&self, flat: bool) -> Loader {
        let (quads, threads) = (self.tile.bm / 4, self.tile.threads());
        let total = self.tile.bk * quads;
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
                let (line, four) = (format!("{e} / {quads}u"), format!("{e} % {quads}u"));
                let value = format!("l{j}");
                let pitch = self.left_pitch();
                guard(j, self.arithmetic.stash_four("lefts", &line, pitch, &four, &value))
            }),
        }
    }

    /// Returns the loader of a convolution's right operand: for each output pixel the input pixels that the taps read.
    pub(super) fn gathered_pixels(&self, flat: bool) -> Loader {
        let t = self.tile;
        let lines = t.threads() / t.bn;
        let count = t.bk / lines;
        let once = format!(
            "let pixel = column0 + thread % {bn}u;
let line = thread / {bn}u;
let h0 = pixel % params.grid / params.grid_width * params.stride.x;
let v0 = pixel % params.grid % params.grid_width * params.stride.y;
let plane = params.size.x * params.size.y;
let x0 = (pixel / params.grid * params.groups + g) * params.channels * plane;
{}",
            registers("r", count, "f32"),
            bn = t.bn
        );
        let fetch = if flat {
            each(count, |j| {
                format!(
                    "{{
let k = k0 + line + {}u;
let tap = params.taps[k % params.tap_count];
let h = h0 + u32(tap.x);
let v = v0 + u32(tap.y);
r{j} = 0.0;
if k < params.depth && pixel < params.columns && h < params.size.x && v < params.size.y {{
    r{j} = right[x0 + k / params.tap_count * plane + h * params.size.y + v];
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
            let line = format!("(line + {}u)", j * lines);
            let at = format!("(thread % {}u)", t.bn);
            let value = format!("r{j}");
            self.arithmetic.stash("rights", &line, self.right_pitch(), &at, &value)
        });
        Loader { once, fetch, stash }
    }

    /// Returns the loader of an operand of which neighbouring invocations load neighbouring k of one row or column.
    /// `inside` and `place` give the bounds check and the element for a WGSL expression of the position in the tile.
    pub(super) fn along_k(
        &self,
        memory: &str,
        name: &str,
        size: usize,
        pitch: usize,
        inside: impl Fn(&str) -> String,
        place: impl Fn(&str) -> String,
    ) -> Loader {
        let (bk, step) = (self.tile.bk, self.tile.threads() / self.tile.bk);
        let count = size / step;
        let at = |j: usize| format!("(thread / {bk}u + {}u)", j * step);
        Loader {
            once: registers(name, count, "f32"),
            fetch: each(count, |j| {
                let at = at(j);
                format!("{name}{j} = 0.0;\nif {} {{ {name}{j} = {}; }}", inside(&at), place(&at))
            }),
            stash: each(count, |j| {
                let (line, value) = (format!("thread % {bk}u"), format!("{name}{j}"));
                self.arithmetic.stash(memory, &line, pitch, &at(j), &value)
            }),
        }
    }

    /// Returns the loader of a weight gradient's right operand: for each (channel, tap) pair the input pixels of all
    /// output pixels.
    pub(super) fn gathered_columns(&self) -> Loader {
        let inside = |at: &str| {
            format!(
                "at_k < end && h0 + places[{at}].y < params.size.x && v0 + places[{at}].z < params.size.y"
            )
        };
        let mut loader =
            self.along_k("rights", "r", self.tile.bn, self.right_pitch(), inside, |at| {
                format!("right[x0 + places[{at}].x]")
            });
        // A column beyond the last gets a row outside the image, so that zeros are loaded.
        loader.once += &format!(
            "let plane = params.size.x * params.size.y;
for (var i = thread; i < {}u; i += {}u) {{
    let column = column0 + i;
    let tap = params.taps[column % params.tap_count];
    let offset = column / params.tap_count * plane + u32(tap.x) * params.size.y + u32(tap.y);
    places[i] = vec4<u32>(offset, select(0x40000000u, u32(tap.x), column < params.columns), u32(tap.y), 0u);
}}
workgroupBarrier();\n",
            self.tile.bn,
            self.tile.threads()
        );
        loader.fetch = format!(
            "let h0 = q / params.grid_width * params.stride.x;
let v0 = q % params.grid_width * params.stride.y;
let x0 = image * params.channels * plane + h0 * params.size.y + v0;
{}",
            loader.fetch
        );
        loader
    }

    /// Returns the loader of a matrix product's operand, by strides. If `across`, neighbouring invocations load
    /// neighbouring rows or columns of one k. `element` gives the bounds check and the element for WGSL expressions of
    /// k and of the position in the tile.
    pub(super) fn matrix(
        &self,
        memory: &str,
        name: &str,
        size: usize,
        pitch: usize,
        across: bool,
        element: impl Fn(&str, &str) -> (String, String),
    ) -> Loader {
        if !across {
            let k = format!("(k0 + thread % {}u)", self.tile.bk);
            return self.along_k(
                memory,
                name,
                size,
                pitch,
                |at| element(&k, at).0,
                |at| element(&k, at).1,
            );
        }
        let total = size * self.tile.bk;
        let threads = self.tile.threads();
        let count = total / threads;
        let e = |j: usize| format!("(thread + {}u)", j * threads);
        Loader {
            once: registers(name, count, "f32"),
            fetch: each(count, |j| {
                let (k, at) = (format!("(k0 + {} / {size}u)", e(j)), format!("{} % {size}u", e(j)));
                let (inside, place) = element(&k, &at);
                format!("{name}{j} = 0.0;\nif {inside} {{ {name}{j} = {place}; }}")
            }),
            stash: each(count, |j| {
                let e = e(j);
                let (line, at) = (format!("{e} / {size}u"), format!("({e} % {size}u)"));
                self.arithmetic.stash(memory, &line, pitch, &at, &format!("{name}{j}"))
            }),
        }
    }
}
