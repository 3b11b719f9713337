//! The kernels of software rasterizers.

use crate::template::{each, fill};

/// Invocations of a workgroup: one SIMD vector of llvmpipe.
pub const LANES: u32 = 8;
/// Pixels (of a product) or rows (of a weight gradient) that an invocation sums for, and rows (or channels).
pub const TILE: usize = 8;

/// A kernel for software rasterizers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Soft {
    /// `wgsl/soft_gemm.wgsl`
    Gemm {
        /// Loads of 8 floats as 64-bit integers, where the device has them; else of 4.
        wide: bool,
        /// Adds to the output.
        add: bool,
        /// Four pixels, or else four rows, lie side by side, aligned, in the output.
        quads: Option<Quads>,
    },
    /// `wgsl/soft_weight_grad.wgsl`
    WeightGrad {
        /// As above.
        wide: bool,
    },
}

/// What lies side by side in the output of [`Soft::Gemm`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Quads {
    /// Pixels 4i, …, 4i + 3.
    Pixels,
    /// Rows 4i, …, 4i + 3.
    Rows,
}

/// Floats of one load.
pub fn width(wide: bool) -> usize {
    if wide { 8 } else { 4 }
}

impl Soft {
    /// WGSL.
    pub fn source(&self) -> String {
        match *self {
            Soft::Gemm { wide, add, quads } => gemm(wide, add, quads),
            Soft::WeightGrad { wide } => weight_grad(wide),
        }
    }
}

/// Declares `{name}_0 …`, the vectors that hold `width` floats read from `place`.
fn load(name: &str, wide: bool, place: &str) -> String {
    if wide {
        format!(
            "let {name}_w = {place}; let {name}_0 = even({name}_w); let {name}_1 = odd({name}_w);"
        )
    } else {
        format!("let {name}_0 = {place};")
    }
}

/// Float number `i` of what [`load`] declared.
fn item(name: &str, wide: bool, i: usize) -> String {
    if wide {
        format!("{name}_{}[{}]", i % 2, i / 2)
    } else {
        format!("{name}_0[{i}]")
    }
}

fn common(wide: bool) -> Vec<(&'static str, String)> {
    let halves = "
// The floats of a load: numbers 0, 2, 4, 6 and 1, 3, 5, 7.
fn even(v: vec4<u64>) -> vec4<f32> {
    return bitcast<vec4<f32>>(vec4<u32>(v));
}
fn odd(v: vec4<u64>) -> vec4<f32> {
    return bitcast<vec4<f32>>(vec4<u32>(v >> vec4<u32>(32u)));
}
";
    let (vector, halves) = if wide {
        ("vec4<u64>", halves)
    } else {
        ("vec4<f32>", "")
    };
    vec![
        ("vector", vector.into()),
        ("halves", halves.into()),
        ("width", width(wide).to_string()),
        ("lanes", LANES.to_string()),
        ("rows", TILE.to_string()),
        ("row_vectors", (TILE / width(wide)).to_string()),
    ]
}

fn gemm(wide: bool, add: bool, quads: Option<Quads>) -> String {
    let width = width(wide);
    let places = each(TILE, |i| {
        format!(
            "    let p{i} = min(pixel + {i}u, params.pixels - 1u);
    let q{i} = p{i} % params.grid;
    let x{i} = g * params.x_group + p{i} / params.grid * params.x_image + q{i} / params.grid_width * params.x_line
        + q{i} % params.grid_width * params.x_column;
{}",
            (0..TILE)
                .map(|j| format!("    var s{i}_{j} = 0.0;"))
                .collect::<String>()
        )
    });
    let mut product = each(TILE, |i| {
        load(&format!("a{i}"), wide, &format!("x[x{i} + c]"))
    });
    for k in 0..width {
        product += &each(TILE / width, |j| {
            load(
                &format!("b{k}_{j}"),
                wide,
                &format!("w[wi + {k}u * step + {j}u]"),
            )
        });
    }
    product += &each(TILE * TILE, |n| {
        let (i, j) = (n % TILE, n / TILE);
        (0..width)
            .map(|k| {
                let b = item(&format!("b{k}_{}", j / width), wide, j % width);
                format!("s{i}_{j} += {} * {b};", item(&format!("a{i}"), wide, k))
            })
            .collect()
    });
    let sign = if add { "+=" } else { "=" };
    // A store is made for each of these pixels and rows; it takes four of one or of the other where it can.
    let (pixels, rows) = match quads {
        Some(Quads::Pixels) => (4, 1),
        Some(Quads::Rows) => (1, 4),
        None => (1, 1),
    };
    let value = |i: usize, j: usize| match quads {
        Some(Quads::Pixels) => format!(
            "vec4<f32>(s{i}_{j}, s{}_{j}, s{}_{j}, s{}_{j})",
            i + 1,
            i + 2,
            i + 3
        ),
        Some(Quads::Rows) => format!(
            "vec4<f32>(s{i}_{j}, s{i}_{}, s{i}_{}, s{i}_{})",
            j + 1,
            j + 2,
            j + 3
        ),
        None => format!("s{i}_{j}"),
    };
    let unit = if quads.is_some() { " / 4u" } else { "" };
    let store = each(TILE / pixels, |i| {
        let i = i * pixels;
        let lines = each(TILE / rows, |j| {
            let j = j * rows;
            format!(
                "        if row + {j}u < params.rows {{ out[(o{i} + {j}u * params.out_row){unit}] {sign} {}; }}",
                value(i, j)
            )
        });
        format!(
            "    if pixel + {i}u < params.pixels {{
        let o{i} = o + p{i} / params.grid * params.out_image + q{i} / params.grid_width * params.out_line
            + q{i} % params.grid_width * params.out_column;
{lines}    }}"
        )
    });
    let mut values = common(wide);
    values.extend([
        ("pixels", TILE.to_string()),
        (
            "out_type",
            if quads.is_some() { "vec4<f32>" } else { "f32" }.into(),
        ),
        ("places", places),
        ("product", product),
        ("store", store),
    ]);
    fill(include_str!("../wgsl/soft_gemm.wgsl"), &values)
}

fn weight_grad(wide: bool) -> String {
    let vectors = TILE / width(wide);
    let mut product = String::new();
    for p in 0..4 {
        product += &format!("        let at{p} = min(xi, params.x_last);\n");
        product += &each(vectors, |v| {
            load(&format!("a{p}_{v}"), wide, &format!("dy[di + {v}u]"))
        });
        product += &each(vectors, |v| {
            load(&format!("b{p}_{v}"), wide, &format!("x[at{p} + {v}u]"))
        });
        product += "        di += params.dy_pixel;
        xi += params.x_column;
        u += 1u;
        xi += select(0u, next_line, u == params.grid_width);
        t += select(0u, 1u, u == params.grid_width);
        u = select(u, 0u, u == params.grid_width);
        xi += select(0u, next_image, t == params.grid_height);
        t = select(t, 0u, t == params.grid_height);
";
    }
    let width = width(wide);
    product += &each(TILE * TILE, |n| {
        let (i, j) = (n % TILE, n / TILE);
        (0..4)
            .map(|p| {
                format!(
                    "s{i}_{j} += {} * {};",
                    item(&format!("a{p}_{}", i / width), wide, i % width),
                    item(&format!("b{p}_{}", j / width), wide, j % width),
                )
            })
            .collect()
    });
    let store = each(TILE, |i| {
        let channels = each(TILE, |j| {
            format!(
                "        if channel + {j}u < params.channels {{ part[o + {i}u * across + {j}u * params.taps] = s{i}_{j}; }}"
            )
        });
        format!("    if row + {i}u < params.rows {{\n{channels}    }}")
    });
    let mut values = common(wide);
    values.extend([
        ("channels", TILE.to_string()),
        ("channel_vectors", vectors.to_string()),
        (
            "sums",
            each(TILE * TILE, |n| {
                format!("    var s{}_{} = 0.0;", n / TILE, n % TILE)
            }),
        ),
        ("product", product),
        ("store", store),
    ]);
    fill(include_str!("../wgsl/soft_weight_grad.wgsl"), &values)
}
