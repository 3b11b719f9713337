//! Every hand-written WGSL kernel of prospr, as text. Each source opens with its formula, bindings,
//! workgroup and dispatch sizes, limits, and the function that is its reference. Some are templates, into which
//! [`Soft`] and [`Gemm`] put sizes and loaders.

mod arithmetic;
mod blocks;
mod gemm;
mod loaders;
mod soft;
mod template;

pub use arithmetic::Arithmetic;
pub use gemm::{Gemm, Operands, Tile};
pub use soft::{LANES, Quads, Soft, TILE, width};

/// One compute kernel: entry point `main`, all bindings in group 0 and `read_write`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shader {
    /// Its name, unique in [`ALL`].
    pub name: &'static str,
    /// WGSL.
    pub source: &'static str,
    /// Invocations of a workgroup along x; y and z are 1.
    pub workgroup: u32,
}

macro_rules! shaders {
    ($($constant:ident = $name:literal $(+ $library:literal)?, $workgroup:literal;)*) => {
        $(
            #[doc = concat!("`wgsl/", $name, ".wgsl`; its head says what it computes.")]
            pub const $constant: Shader = Shader {
                name: $name,
                source: concat!(
                    include_str!(concat!("../wgsl/", $name, ".wgsl")),
                    $(include_str!(concat!("../wgsl/", $library, ".wgsl")))?
                ),
                workgroup: $workgroup,
            };
        )*
        /// Every kernel.
        pub const ALL: &[Shader] = &[$($constant),*];
    };
}

shaders! {
    THREEFRY = "threefry", 64;
    SCATTER_ADD = "scatter_add", 64;
    MAX_POOL_INDEX = "max_pool_index" + "divide", 64;
    COPY = "copy", 256;
    PACK = "pack", 64;
    SUM_PARTS = "sum_parts", 64;
    CONV_DIRECT = "conv_direct", 64;
    WEIGHT_GRAD_DIRECT = "weight_grad_direct", 64;
    POOL_GATHER = "pool_gather" + "divide", 64;
    POOL_SCATTER = "pool_scatter" + "divide", 64;
    PAD = "pad" + "divide", 64;
    PLACE_IMAGES = "place_images" + "divide", 64;
    TOP_K_HISTOGRAM = "top_k_histogram", 256;
    TOP_K_DIGIT = "top_k_digit", 256;
    TOP_K_TIES = "top_k_ties", 256;
    TOP_K_SCAN = "top_k_scan", 256;
    TOP_K_MASK = "top_k_mask", 256;
}

/// `Divisor` of `wgsl/divide.wgsl`, for kernels that divide by this number.
///
/// # Panics
/// If the number is 0 or exceeds 2³¹.
pub fn divisor(by: u32) -> [u32; 3] {
    assert!((1..=1 << 31).contains(&by), "no divisor: {by}");
    let shift = by.next_power_of_two().trailing_zeros();
    let magic = ((1u64 << 32) * ((1u64 << shift) - u64::from(by))) / u64::from(by) + 1;
    [by, magic as u32, shift]
}

impl Shader {
    /// Workgroups along x and y that give at least `invocations`, within the portable 65,535 a dimension.
    pub fn dispatch(&self, invocations: u64) -> (u32, u32) {
        dispatch(self.name, invocations.div_ceil(u64::from(self.workgroup)))
    }
}

/// Workgroups along x and y that are `groups` at least, within the portable 65,535 a dimension.
///
/// # Panics
/// If they exceed one dispatch.
pub fn dispatch(name: &str, groups: u64) -> (u32, u32) {
    let y = groups.div_ceil(65_535).max(1);
    let x = groups.div_ceil(y).max(1);
    assert!(
        y <= 65_535,
        "{name}: {groups} workgroups exceed one dispatch"
    );
    (x as u32, y as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn validate(name: &str, source: &str, workgroup: u32) {
        let module = naga::front::wgsl::parse_str(source)
            .unwrap_or_else(|e| panic!("{name}: {}", e.emit_to_string(source)));
        naga::valid::Validator::new(
            naga::valid::ValidationFlags::all(),
            naga::valid::Capabilities::default()
                | naga::valid::Capabilities::SHADER_INT64
                | naga::valid::Capabilities::SHADER_FLOAT16
                | naga::valid::Capabilities::COOPERATIVE_MATRIX,
        )
        .validate(&module)
        .unwrap_or_else(|e| panic!("{name}: {e:?}"));
        let entry = &module.entry_points[0];
        assert_eq!(
            (entry.name.as_str(), entry.workgroup_size),
            ("main", [workgroup, 1, 1])
        );
        for line in ["bindings", "workgroup", "dispatch", "limits", "reference"] {
            assert!(
                source.contains(&format!("// {line}")),
                "{name} lacks `// {line}`"
            );
        }
        let memory: u32 = module
            .global_variables
            .iter()
            .filter(|(_, v)| v.space == naga::AddressSpace::WorkGroup)
            .map(|(_, v)| module.types[v.ty].inner.size(module.to_ctx()))
            .sum();
        // What has matrix units has more memory than the portable 16 KiB.
        let most = if source.contains("cooperative_matrix") {
            32_768
        } else {
            16_384
        };
        assert!(
            workgroup <= 256 && memory <= most,
            "{name}: {workgroup} invocations, {memory} bytes of workgroup memory"
        );
    }

    #[test]
    fn every_source_is_valid() {
        for shader in ALL {
            validate(shader.name, shader.source, shader.workgroup);
        }
    }

    #[test]
    fn every_specialisation_is_valid() {
        for wide in [false, true] {
            for quads in [None, Some(Quads::Pixels), Some(Quads::Rows)] {
                for add in [false, true] {
                    let soft = Soft::Gemm { wide, add, quads };
                    validate(&format!("{soft:?}"), &soft.source(), LANES);
                }
            }
            let soft = Soft::WeightGrad { wide };
            validate(&format!("{soft:?}"), &soft.source(), LANES);
        }
        let mut operands = vec![
            Operands::Convolution { flat: false },
            Operands::Convolution { flat: true },
            Operands::WeightGrad,
        ];
        for (left_rows, right_columns) in
            [(false, false), (false, true), (true, false), (true, true)]
        {
            operands.push(Operands::Matrices {
                left_rows,
                right_columns,
            });
        }
        let matrices = |size, lanes| Arithmetic::Matrices { size, lanes };
        for arithmetic in [
            Arithmetic::Full,
            Arithmetic::Half,
            matrices(8, 8),
            matrices(8, 32),
            matrices(16, 16),
            matrices(16, 32),
            matrices(16, 64),
        ] {
            let tiles = arithmetic.tiles();
            assert!(tiles.len() >= 3, "{arithmetic:?} has few tiles");
            for (&operands, tile) in operands
                .iter()
                .flat_map(|o| tiles.iter().map(move |t| (o, *t)))
            {
                for runs in [false, true] {
                    let gemm = Gemm {
                        operands,
                        tile,
                        runs,
                        arithmetic,
                    };
                    validate(&format!("{gemm:?}"), &gemm.source(), gemm.workgroup());
                }
            }
        }
    }

    #[test]
    fn divisors_divide() {
        let quotient = |n: u32, [_, magic, shift]: [u32; 3]| {
            let high = (u64::from(n) * u64::from(magic)) >> 32;
            ((high as u32) + n) >> shift
        };
        for by in (1..300).chain([1023, 1024, 1025, 65_535, 65_537, 1 << 30, (1 << 31) - 1]) {
            for n in (0..3000).chain([by - 1, by, by + 1, by * 2 - 1, i32::MAX as u32]) {
                let n = n.min(i32::MAX as u32);
                assert_eq!(quotient(n, divisor(by)), n / by, "{n} / {by}");
            }
        }
    }

    #[test]
    fn dispatch_covers_everything() {
        for n in [1, 2, 65_535, 65_536, 65_535 * 2 + 1, 1 << 31] {
            let (x, y) = dispatch("test", n);
            assert!(u64::from(x) * u64::from(y) >= n && x <= 65_535 && y <= 65_535);
        }
    }
}
