//! Numeric types of the tiled product's operands, and their layout in workgroup memory.

use super::Tile;
use crate::template::each;

/// Numeric type and instructions with which the tiled product multiplies. Sums are always f32.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Arithmetic {
    /// f32 operands.
    Full,
    /// Operands rounded to f16 in workgroup memory, which halves the traffic there, and multiplied as f32.
    Half,
    /// Operands rounded to f16 and multiplied by matrix units, as cooperative matrices of `size` × `size`.
    Matrices {
        /// Rows and columns of a matrix: 8 or 16.
        size: usize,
        /// Number of invocations of a subgroup, which hold a matrix together.
        lanes: usize,
    },
}

/// Tiles without matrix units, in descending order of rows, then of size.
const TILES: [Tile; 7] = [
    tile(128, 128, 8, 8, 8),
    tile(64, 128, 16, 8, 8),
    tile(64, 64, 16, 8, 8),
    tile(32, 128, 16, 4, 8),
    tile(32, 64, 16, 4, 4),
    tile(16, 128, 16, 4, 4),
    tile(16, 64, 16, 4, 4),
];

/// Tiles for matrix units: rows, columns and k of a workgroup, rows and columns of a subgroup. In descending order of
/// rows, then of size.
const MATRIX_TILES: [[usize; 5]; 17] = [
    [128, 128, 16, 64, 64],
    [128, 128, 32, 32, 64],
    [128, 128, 16, 32, 64],
    [64, 128, 32, 32, 32],
    [64, 128, 16, 32, 32],
    [64, 64, 32, 32, 32],
    [64, 64, 16, 32, 32],
    [64, 64, 16, 16, 16],
    [32, 128, 32, 16, 32],
    [32, 128, 16, 16, 32],
    [32, 64, 32, 16, 32],
    [32, 64, 16, 16, 32],
    [32, 64, 16, 16, 16],
    [16, 128, 32, 16, 16],
    [16, 128, 16, 16, 16],
    [16, 64, 16, 16, 16],
    [16, 64, 16, 8, 16],
];

const fn tile(bm: usize, bn: usize, bk: usize, tm: usize, tn: usize) -> Tile {
    Tile { bm, bn, bk, tm, tn, lanes: 1 }
}

impl Arithmetic {
    /// Returns the tiles that can be used, from the largest number of rows to the smallest.
    pub fn tiles(self) -> Vec<Tile> {
        let Arithmetic::Matrices { size, lanes } = self else {
            return TILES.to_vec();
        };
        let tiles =
            MATRIX_TILES.map(|[bm, bn, bk, tm, tn]| Tile { lanes, ..tile(bm, bn, bk, tm, tn) });
        let fits = |t: &Tile| {
            let threads = t.threads();
            let lines = threads / t.bn;
            // Every invocation loads the same number of elements.
            let loads = [t.bm, t.bn].iter().all(|size| {
                size.is_multiple_of(threads / t.bk) && (size * t.bk).is_multiple_of(threads)
            });
            let loads = loads && threads.is_multiple_of(t.bk) && threads.is_multiple_of(t.bn);
            let loads = loads && t.bk.is_multiple_of(lines);
            let whole = t.tm.is_multiple_of(size) && t.tn.is_multiple_of(size);
            // More than 64 sums per invocation would not fit into registers.
            loads && whole && threads <= 256 && t.tm * t.tn <= 64 * lanes
        };
        tiles.into_iter().filter(fits).collect()
    }

    /// Returns the WGSL directives that enable extensions.
    pub(super) fn enable(self) -> &'static str {
        match self {
            Arithmetic::Full => "",
            Arithmetic::Half => "enable f16;\n",
            Arithmetic::Matrices { .. } => "enable f16;\nenable wgpu_cooperative_matrix;\n",
        }
    }

    /// Returns the WGSL type of an element of workgroup memory, and its size in bytes.
    pub(super) fn operand(self) -> (&'static str, usize) {
        match self {
            Arithmetic::Full => ("vec4<f32>", 16),
            Arithmetic::Half => ("vec4<f16>", 8),
            Arithmetic::Matrices { .. } => ("f16", 2),
        }
    }

    /// Returns the number of elements in workgroup memory per line of `size` numbers. The last ones stay unused, which
    /// avoids bank conflicts.
    pub(super) fn pitch(self, size: usize) -> usize {
        match self {
            Arithmetic::Full | Arithmetic::Half => size / 4 + 1,
            Arithmetic::Matrices { .. } => size + 8,
        }
    }

    /// Returns the head of a WGSL block that runs if a condition holds, which is the same for all invocations of a
    /// subgroup. For matrix units it is a loop, because naga assumes that an `if` makes the invocations of a subgroup
    /// diverge.
    pub(super) fn condition(self, holds: &str) -> String {
        match self {
            Arithmetic::Full | Arithmetic::Half => format!("if {holds}"),
            Arithmetic::Matrices { .. } => {
                format!("for (var holds = {holds}; holds; holds = false)")
            }
        }
    }

    /// Returns the number of columns that one store writes.
    pub fn run(self) -> usize {
        match self {
            Arithmetic::Full | Arithmetic::Half => 4,
            Arithmetic::Matrices { size, .. } => size,
        }
    }

    /// Returns the number of rows that one store writes, which is also the step of the product's loop along k.
    pub fn step(self) -> usize {
        match self {
            Arithmetic::Full | Arithmetic::Half => 1,
            Arithmetic::Matrices { size, .. } => size,
        }
    }

    /// Returns WGSL that stores a number at position `at` of a line of workgroup memory.
    pub(super) fn stash(
        self,
        memory: &str,
        line: &str,
        pitch: usize,
        at: &str,
        value: &str,
    ) -> String {
        match self {
            Arithmetic::Full => {
                format!("{memory}[{line} * {pitch}u + {at} / 4u][{at} % 4u] = {value};")
            }
            Arithmetic::Half => {
                format!("{memory}[{line} * {pitch}u + {at} / 4u][{at} % 4u] = f16({value});")
            }
            Arithmetic::Matrices { .. } => {
                format!("{memory}[{line} * {pitch}u + {at}] = f16({value});")
            }
        }
    }

    /// Returns WGSL that stores four numbers at position `4 · four` of a line of workgroup memory.
    pub(super) fn stash_four(
        self,
        memory: &str,
        line: &str,
        pitch: usize,
        four: &str,
        value: &str,
    ) -> String {
        match self {
            Arithmetic::Full => format!("{memory}[{line} * {pitch}u + {four}] = {value};"),
            Arithmetic::Half => {
                format!("{memory}[{line} * {pitch}u + {four}] = vec4<f16>({value});")
            }
            Arithmetic::Matrices { .. } => each(4, |e| {
                format!("{memory}[{line} * {pitch}u + {four} * 4u + {e}u] = f16({value}[{e}]);")
            }),
        }
    }
}
