//! What the tiled product multiplies in, and how operands lie in workgroup memory for it.

use crate::gemm::{TILES, Tile, tile};
use crate::template::each;

/// In what a product multiplies. Sums are f32 in all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Arithmetic {
    /// f32 operands.
    Full,
    /// Operands rounded to f16 in workgroup memory, multiplied as f32: half the traffic there.
    Half,
    /// Operands rounded to f16, multiplied by matrix units: cooperative matrices of `size` × `size`.
    Matrices {
        /// 8 or 16.
        size: usize,
        /// Invocations of a subgroup, which share a matrix.
        lanes: usize,
    },
}

/// Tiles of matrix units: of a workgroup (rows, columns, k) and of a subgroup (rows, columns). Those of many rows first;
/// of equal rows, the larger first.
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

impl Arithmetic {
    /// The tiles to choose from.
    pub fn tiles(self) -> Vec<Tile> {
        let Arithmetic::Matrices { size, lanes } = self else {
            return TILES.to_vec();
        };
        let tiles = MATRIX_TILES.map(|[bm, bn, bk, tm, tn]| Tile {
            lanes,
            ..tile(bm, bn, bk, tm, tn)
        });
        let fits = |t: &Tile| {
            let threads = t.threads();
            let lines = threads / t.bn;
            // Each invocation loads as much as every other.
            let loads = [t.bm, t.bn].iter().all(|size| {
                size.is_multiple_of(threads / t.bk) && (size * t.bk).is_multiple_of(threads)
            });
            let loads = loads && threads.is_multiple_of(t.bk) && threads.is_multiple_of(t.bn);
            let loads = loads && t.bk.is_multiple_of(lines);
            let whole = t.tm.is_multiple_of(size) && t.tn.is_multiple_of(size);
            // More sums than 64 an invocation would not stay in registers.
            loads && whole && threads <= 256 && t.tm * t.tn <= 64 * lanes
        };
        tiles.into_iter().filter(fits).collect()
    }

    pub(crate) fn enable(self) -> &'static str {
        match self {
            Arithmetic::Full => "",
            Arithmetic::Half => "enable f16;\n",
            Arithmetic::Matrices { .. } => "enable f16;\nenable wgpu_cooperative_matrix;\n",
        }
    }

    /// The type of an element of workgroup memory, and its bytes.
    pub(crate) fn operand(self) -> (&'static str, usize) {
        match self {
            Arithmetic::Full => ("vec4<f32>", 16),
            Arithmetic::Half => ("vec4<f16>", 8),
            Arithmetic::Matrices { .. } => ("f16", 2),
        }
    }

    /// Elements of a line of `size` numbers in workgroup memory; some are not used, against bank conflicts.
    pub(crate) fn pitch(self, size: usize) -> usize {
        match self {
            Arithmetic::Full | Arithmetic::Half => size / 4 + 1,
            Arithmetic::Matrices { .. } => size + 8,
        }
    }

    /// The head of a block that subgroups run together if something holds. For matrix units it is a loop, because naga
    /// takes every condition for one that parts a subgroup.
    pub(crate) fn condition(self, holds: &str) -> String {
        match self {
            Arithmetic::Full | Arithmetic::Half => format!("if {holds}"),
            Arithmetic::Matrices { .. } => {
                format!("for (var holds = {holds}; holds; holds = false)")
            }
        }
    }

    /// Columns that are written at once.
    pub fn run(self) -> usize {
        match self {
            Arithmetic::Full | Arithmetic::Half => 4,
            Arithmetic::Matrices { size, .. } => size,
        }
    }

    /// Rows that are written at once, and how far the product's loop goes along k.
    pub fn step(self) -> usize {
        match self {
            Arithmetic::Full | Arithmetic::Half => 1,
            Arithmetic::Matrices { size, .. } => size,
        }
    }

    /// Puts a number at a line and a place of workgroup memory.
    pub(crate) fn stash(
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

    /// Puts four numbers at a line and a place, counted in fours.
    pub(crate) fn stash_four(
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
