//! The hand-written WGSL kernels of prospr, as text, and the structs of their parameters.
//!
//! Each source begins with its formula, bindings, sizes of workgroups and dispatches, limits, and a reference function
//! that computes the same. [`Rasterizer`] and [`Gemm`] are templates, which are filled with sizes and loaders.
//!
//! To add a kernel, write `wgsl/NAME.wgsl` and an entry in `kernels.rs` with the fields of its WGSL struct `Params`.

#[macro_use]
mod structs;

mod gemm;
mod kernels;
mod rasterizer;
mod template;

pub use gemm::{Arithmetic, Gemm, GemmParams, Operands, Tile};
pub use kernels::*;
pub use rasterizer::{
    LANES, Quads, Rasterizer, RasterizerGemmParams, RasterizerWeightGradParams, TILE, width,
};
pub use structs::{Divisor, Motion, OutLayout, PackedAxis, PaddedAxis, WgslStruct};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::structs::Layout;
    use crate::structs::tests::check_layout;

    fn validate(name: &str, source: &str, workgroup: u32, params: Layout) {
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
        check_layout(name, &module, params);
        let entry = &module.entry_points[0];
        assert_eq!((entry.name.as_str(), entry.workgroup_size), ("main", [workgroup, 1, 1]));
        for line in ["bindings", "workgroup", "dispatch", "limits", "reference"] {
            assert!(source.contains(&format!("// {line}")), "{name} lacks `// {line}`");
        }
        let memory: u32 = module
            .global_variables
            .iter()
            .filter(|(_, v)| v.space == naga::AddressSpace::WorkGroup)
            .map(|(_, v)| module.types[v.ty].inner.size(module.to_ctx()))
            .sum();
        // Devices with matrix units have more workgroup memory than the 16 KiB that every device has.
        let most = if source.contains("cooperative_matrix") { 32_768 } else { 16_384 };
        assert!(
            workgroup <= 256 && memory <= most,
            "{name}: {workgroup} invocations, {memory} bytes of workgroup memory"
        );
    }

    #[test]
    fn every_source_is_valid() {
        for &(shader, params) in kernels::ALL {
            validate(shader.name, shader.source, shader.workgroup, params);
        }
    }

    #[test]
    fn every_specialisation_is_valid() {
        for wide in [false, true] {
            for quads in [None, Some(Quads::Pixels), Some(Quads::Rows)] {
                for add in [false, true] {
                    let gemm = Rasterizer::Gemm { wide, add, quads };
                    let params = RasterizerGemmParams::LAYOUT;
                    validate(&format!("{gemm:?}"), &gemm.source(), LANES, params);
                }
            }
            let weight_grad = Rasterizer::WeightGrad { wide };
            let params = RasterizerWeightGradParams::LAYOUT;
            validate(&format!("{weight_grad:?}"), &weight_grad.source(), LANES, params);
        }
        let mut operands = vec![
            Operands::Convolution { flat: false },
            Operands::Convolution { flat: true },
            Operands::WeightGrad,
        ];
        for (left_rows, right_columns) in
            [(false, false), (false, true), (true, false), (true, true)]
        {
            operands.push(Operands::Matrices { left_rows, right_columns });
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
            for (&operands, tile) in
                operands.iter().flat_map(|o| tiles.iter().map(move |t| (o, *t)))
            {
                for runs in [false, true] {
                    let gemm = Gemm { operands, tile, runs, arithmetic };
                    let (name, params) = (format!("{gemm:?}"), GemmParams::LAYOUT);
                    validate(&name, &gemm.source(), gemm.workgroup(), params);
                }
            }
        }
    }

    #[test]
    fn dispatch_covers_everything() {
        for n in [1, 2, 65_535, 65_536, 65_535 * 2 + 1, 1 << 31] {
            let (x, y) = dispatch("test", n);
            assert!(x as usize * y as usize >= n && x <= 65_535 && y <= 65_535);
        }
    }
}
