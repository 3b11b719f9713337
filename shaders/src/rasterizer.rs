//! Matrix products for software rasterizers: graphics drivers that run shaders on a CPU, such as llvmpipe.

use crate::structs::OutLayout;
use crate::template::{each, fill};

/// Number of invocations of a workgroup, which llvmpipe compiles to one SIMD vector.
pub const LANES: u32 = 8;
/// Side of the square of sums that an invocation keeps: pixels × rows, or rows × channels for a weight gradient.
pub const TILE: usize = 8;

/// A variant of a matrix product for software rasterizers: the choices from which its source is generated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Rasterizer {
    /// Product with gathered operands, `wgsl/rasterizer_gemm.wgsl`.
    Gemm {
        /// True for loads of 8 floats as 64-bit integers, which the device must have; false for loads of 4.
        wide: bool,
        /// True if the sums are added to the output.
        add: bool,
        /// Axis along which groups of four outputs are contiguous and aligned.
        quads: Option<Quads>,
    },
    /// Weight gradient of a convolution, `wgsl/rasterizer_weight_grad.wgsl`.
    WeightGrad {
        /// True for loads of 8 floats as 64-bit integers, which the device must have; false for loads of 4.
        wide: bool,
    },
}

/// Axis of the output of [`Rasterizer::Gemm`] that is stored in vectors of four.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Quads {
    /// Pixels 4i, …, 4i + 3.
    Pixels,
    /// Rows 4i, …, 4i + 3.
    Rows,
}

wgsl_struct! {
    /// Parameters of [`Rasterizer::Gemm`].
    RasterizerGemmParams {
        tiles: u32, pixel_tiles: u32, row_tiles: u32,
        pixels: u32, rows: u32, grid: u32, grid_width: u32,
        x_group: u32, x_image: u32, x_line: u32, x_column: u32,
        w_group: u32, w_tap: u32, w_channel: u32,
        begin: u32, end: u32,
        out_layout: OutLayout,
        tap_count: u32, pad: u32,
    }
    taps: [[u32; 2]]
}

wgsl_struct! {
    /// Parameters of [`Rasterizer::WeightGrad`].
    RasterizerWeightGradParams {
        tiles: u32, row_tiles: u32, channel_tiles: u32,
        groups: u32, rows: u32, channels: u32,
        quads: u32, all_quads: u32,
        grid_height: u32, grid_width: u32,
        dy_pixel: u32, dy_group: u32,
        x_group: u32, x_image: u32, x_line: u32, x_column: u32, x_last: u32,
        tap_count: u32,
    }
    taps: [[u32; 2]]
}

/// Returns the number of floats that one load reads.
pub fn width(wide: bool) -> usize {
    if wide { 8 } else { 4 }
}

impl Rasterizer {
    /// Returns the WGSL source.
    pub fn source(&self) -> String {
        match *self {
            Rasterizer::Gemm { wide, add, quads } => gemm(wide, add, quads),
            Rasterizer::WeightGrad { wide } => weight_grad(wide),
        }
    }
}

/// Returns WGSL that reads `width(wide)` floats at `place` into the vectors `{name}_0` and, if wide, `{name}_1`.
fn load(name: &str, wide: bool, place: &str) -> String {
    if wide {
        format!(
            "let {name}_w = {place}; let {name}_0 = even({name}_w); let {name}_1 = odd({name}_w);"
        )
    } else {
        format!("let {name}_0 = {place};")
    }
}

/// Returns WGSL of float `i` of a [`load`].
fn item(name: &str, wide: bool, i: usize) -> String {
    if wide { format!("{name}_{}[{}]", i % 2, i / 2) } else { format!("{name}_0[{i}]") }
}

/// Returns the values of the placeholders that both templates have.
fn common(wide: bool) -> Vec<(&'static str, String)> {
    let halves = "
// Floats 0, 2, 4, 6 and floats 1, 3, 5, 7 of a load.
fn even(v: vec4<u64>) -> vec4<f32> {
    return bitcast<vec4<f32>>(vec4<u32>(v));
}
fn odd(v: vec4<u64>) -> vec4<f32> {
    return bitcast<vec4<f32>>(vec4<u32>(v >> vec4<u32>(32u)));
}
";
    let (vector, halves) = if wide { ("vec4<u64>", halves) } else { ("vec4<f32>", "") };
    vec![
        ("vector", vector.into()),
        ("halves", halves.into()),
        ("width", width(wide).to_string()),
        ("lanes", LANES.to_string()),
        ("rows", TILE.to_string()),
        ("row_vectors", (TILE / width(wide)).to_string()),
    ]
}

/// Fills the template of [`Rasterizer::Gemm`].
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
    let mut product = each(TILE, |i| load(&format!("a{i}"), wide, &format!("x[x{i} + c]")));
    for k in 0..width {
        product += &each(TILE / width, |j| {
            load(&format!("b{k}_{j}"), wide, &format!("w[wi + {k}u * step + {j}u]"))
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
    // Numbers of pixels and rows that one store writes.
    let (pixels, rows) = match quads {
        Some(Quads::Pixels) => (4, 1),
        Some(Quads::Rows) => (1, 4),
        None => (1, 1),
    };
    let value = |i: usize, j: usize| match quads {
        Some(Quads::Pixels) => {
            format!("vec4<f32>(s{i}_{j}, s{}_{j}, s{}_{j}, s{}_{j})", i + 1, i + 2, i + 3)
        }
        Some(Quads::Rows) => {
            format!("vec4<f32>(s{i}_{j}, s{i}_{}, s{i}_{}, s{i}_{})", j + 1, j + 2, j + 3)
        }
        None => format!("s{i}_{j}"),
    };
    let unit = if quads.is_some() { " / 4u" } else { "" };
    let store = each(TILE / pixels, |i| {
        let i = i * pixels;
        let lines = each(TILE / rows, |j| {
            let j = j * rows;
            format!(
                "        if row + {j}u < params.rows {{ out[(o{i} + {j}u * params.out_layout.row){unit}] {sign} {}; }}",
                value(i, j)
            )
        });
        format!(
            "    if pixel + {i}u < params.pixels {{
        let o{i} = o + p{i} / params.grid * params.out_layout.image + q{i} / params.grid_width * params.out_layout.line
            + q{i} % params.grid_width * params.out_layout.column;
{lines}    }}"
        )
    });
    let mut values = common(wide);
    values.extend([
        ("pixels", TILE.to_string()),
        ("out_type", if quads.is_some() { "vec4<f32>" } else { "f32" }.into()),
        ("places", places),
        ("product", product),
        ("store", store),
    ]);
    let template = concat!(
        include_str!("../wgsl/rasterizer_gemm.wgsl"),
        include_str!("../wgsl/out_layout.wgsl")
    );
    fill(template, &values)
}

/// Fills the template of [`Rasterizer::WeightGrad`].
fn weight_grad(wide: bool) -> String {
    let vectors = TILE / width(wide);
    let mut product = String::new();
    for p in 0..4 {
        product += &format!("        let at{p} = min(xi, params.x_last);\n");
        product += &each(vectors, |v| load(&format!("a{p}_{v}"), wide, &format!("dy[di + {v}u]")));
        product +=
            &each(vectors, |v| load(&format!("b{p}_{v}"), wide, &format!("x[at{p} + {v}u]")));
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
                "        if channel + {j}u < params.channels {{ part[o + {i}u * across + {j}u * params.tap_count] = s{i}_{j}; }}"
            )
        });
        format!("    if row + {i}u < params.rows {{\n{channels}    }}")
    });
    let mut values = common(wide);
    values.extend([
        ("channels", TILE.to_string()),
        ("channel_vectors", vectors.to_string()),
        ("sums", each(TILE * TILE, |n| format!("    var s{}_{} = 0.0;", n / TILE, n % TILE))),
        ("product", product),
        ("store", store),
    ]);
    fill(include_str!("../wgsl/rasterizer_weight_grad.wgsl"), &values)
}
