//! The kernels whose source is fixed, each as the struct of its parameters.

use crate::structs::{Divisor, OutLayout, PackedAxis, PaddedAxis, WgslStruct};

/// A compute kernel with entry point `main`. All its bindings are `read_write` storage buffers of group 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shader {
    /// Name, unique among the kernels.
    pub name: &'static str,
    /// WGSL source.
    pub source: &'static str,
    /// Number of invocations of a workgroup along x; y and z are 1.
    pub workgroup: u32,
    /// Number of items that a workgroup processes: outputs, or what `dispatch` in the source's first comment counts.
    pub items: u32,
}

impl Shader {
    /// Returns the numbers of workgroups along x and y that process at least `items` items.
    ///
    /// # Panics
    /// If one dispatch cannot have so many workgroups.
    pub fn dispatch(&self, items: usize) -> (u32, u32) {
        dispatch(self.name, items.div_ceil(self.items as usize))
    }
}

/// Returns numbers of workgroups along x and y whose product is at least `workgroups`. Each is at most 65,535, which
/// every WebGPU device allows.
///
/// # Panics
/// If one dispatch cannot have so many workgroups.
pub fn dispatch(name: &str, workgroups: usize) -> (u32, u32) {
    let y = workgroups.div_ceil(65_535).max(1);
    let x = workgroups.div_ceil(y).max(1);
    assert!(y <= 65_535, "{name}: {workgroups} workgroups exceed one dispatch");
    (x as u32, y as u32)
}

/// The parameters of a kernel whose source is fixed.
pub trait FixedKernel: WgslStruct {
    /// The kernel.
    const SHADER: Shader;
}

/// Declares kernels: the file in `wgsl/` and the libraries appended to it, sizes, and the fields of `Params`.
macro_rules! kernels {
    ($(
        $name:ident = $file:literal $(+ $library:literal)*, workgroup: $workgroup:literal, items: $items:literal,
        params: $fields:tt $(, $array:ident: [$element:ty])?;
    )*) => {
        $(
            wgsl_struct! {
                #[doc = concat!("Parameters of `wgsl/", $file, ".wgsl`.")]
                $name $fields $($array: [$element])?
            }

            impl FixedKernel for $name {
                const SHADER: Shader = Shader {
                    name: $file,
                    source: concat!(
                        include_str!(concat!("../wgsl/", $file, ".wgsl")),
                        $(include_str!(concat!("../wgsl/", $library, ".wgsl"))),*
                    ),
                    workgroup: $workgroup,
                    items: $items,
                };
            }
        )*

        #[cfg(test)]
        pub(crate) const ALL: &[(Shader, crate::structs::Layout)] = &[$(($name::SHADER, $name::LAYOUT)),*];
    };
}

kernels! {
    Threefry = "threefry", workgroup: 64, items: 128,
        params: { key: [u32; 2], count: u32, pad: u32 };
    ScatterAdd = "scatter_add", workgroup: 64, items: 64,
        params: { outer: u32, len: u32, inner: u32, size: u32, start: u32, end: u32 };
    Copy = "copy", workgroup: 256, items: 256,
        params: { count: u32 };
    Pack = "pack", workgroup: 64, items: 64,
        params: { count: u32, shares: u32, axes: [PackedAxis; 5] };
    SumParts = "sum_parts", workgroup: 64, items: 64,
        params: { count: u32, parts: u32 };
    ConvDirect = "conv_direct" + "out_layout", workgroup: 64, items: 64,
        params: {
            pixels: u32, grid: u32, grid_width: u32, groups: u32, rows: u32, channels: u32,
            stride: [u32; 2], size: [u32; 2],
            w_group: u32, w_row: u32, w_channel: u32, w_tap: u32,
            out_layout: OutLayout,
            tap_count: u32, pad: [u32; 3],
        },
        taps: [[i32; 4]];
    WeightGradDirect = "weight_grad_direct", workgroup: 64, items: 64,
        params: {
            pixels: u32, grid: u32, grid_width: u32, groups: u32, rows: u32, channels: u32,
            stride: [u32; 2], size: [u32; 2],
            part_pixels: u32, parts: u32,
            tap_count: u32, pad: [u32; 3],
        },
        taps: [[i32; 4]];
    MaxPoolIndex = "max_pool_index" + "divide" + "eight_outputs", workgroup: 64, items: 512,
        params: {
            len: u32, out_plane: Divisor, out_row: Divisor, height: u32, width: u32,
            kernel_height: u32, kernel_width: u32, stride_height: u32, stride_width: u32,
            padding_height: u32, padding_width: u32,
        };
    PoolGather = "pool_gather" + "divide" + "eight_outputs", workgroup: 64, items: 512,
        params: { len: u32, out_size: Divisor, size: u32 };
    PoolScatter = "pool_scatter" + "divide" + "eight_outputs", workgroup: 64, items: 512,
        params: {
            len: u32, plane: Divisor, row: Divisor, stride_height: Divisor, stride_width: Divisor,
            out_height: u32, out_width: u32, kernel_height: u32, kernel_width: u32,
            padding_height: u32, padding_width: u32,
        };
    Pad = "pad" + "divide" + "eight_outputs", workgroup: 64, items: 512,
        params: {
            len: u32, rank: u32,
            axis0: PaddedAxis, axis1: PaddedAxis, axis2: PaddedAxis,
            axis3: PaddedAxis, axis4: PaddedAxis, axis5: PaddedAxis,
        };
    PlaceImages = "place_images" + "divide" + "eight_outputs", workgroup: 64, items: 512,
        params: { len: u32, image: Divisor, plane: Divisor, row: Divisor, channels: u32, height: u32 };
    TopKHistogram = "top_k_histogram" + "score_key", workgroup: 256, items: 16_384,
        params: { len: u32, mask: u32, shift: u32 };
    TopKDigit = "top_k_digit", workgroup: 256, items: 256,
        params: { shift: u32 };
    TopKTies = "top_k_ties" + "score_key", workgroup: 256, items: 2_048,
        params: { len: u32, first: u32 };
    TopKScan = "top_k_scan", workgroup: 256, items: 256,
        params: { blocks: u32 };
    TopKMask = "top_k_mask" + "score_key", workgroup: 256, items: 2_048,
        params: { len: u32, first: u32 };
}
