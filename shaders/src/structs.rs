//! Rust structs with the layout of WGSL structs. A test compares names, order, types and offsets of their fields.

use bytemuck::Pod;

/// A `#[repr(C)]` struct that WGSL declares with the same fields.
pub trait WgslStruct: Pod {
    /// Element of the runtime-sized array that ends the WGSL struct; `()` if there is none.
    type Element: Pod;

    /// Returns the contents of a buffer with this struct and its array. An empty array is stored as one element of
    /// zeros, because a binding must cover at least one.
    fn bytes(&self, array: &[Self::Element]) -> Vec<u8> {
        let mut bytes = bytemuck::bytes_of(self).to_vec();
        bytes.extend_from_slice(bytemuck::cast_slice(array));
        if array.is_empty() {
            bytes.resize(bytes.len() + size_of::<Self::Element>(), 0);
        }
        bytes
    }
}

/// Name, size and fields (name, type, offset) of a struct.
#[cfg(test)]
#[derive(Clone, Copy)]
pub(crate) struct Layout {
    pub name: &'static str,
    pub size: usize,
    pub fields: &'static [(&'static str, &'static str, usize)],
}

/// Declares a [`WgslStruct`]: `Name { field: type, … }`, then `array: [element]` if a runtime-sized array follows.
macro_rules! wgsl_struct {
    (@element) => { () };
    (@element $element:ty) => { $element };
    ($(#[$meta:meta])* $name:ident { $($field:ident: $type:ty),* $(,)? } $($array:ident: [$element:ty])?) => {
        $(#[$meta])*
        #[repr(C)]
        #[derive(Clone, Copy, Debug, Default, bytemuck::Pod, bytemuck::Zeroable)]
        #[allow(missing_docs)] // WGSL describes the fields.
        pub struct $name {
            $(pub $field: $type),*
        }

        impl $crate::structs::WgslStruct for $name {
            type Element = wgsl_struct!(@element $($element)?);
        }

        #[cfg(test)]
        impl $name {
            pub(crate) const LAYOUT: $crate::structs::Layout = $crate::structs::Layout {
                name: stringify!($name),
                size: size_of::<$name>(),
                fields: &[
                    $((stringify!($field), stringify!($type), std::mem::offset_of!($name, $field)),)*
                    $((stringify!($array), stringify!([$element]), size_of::<$name>()),)?
                ],
            };
        }
    };
}

wgsl_struct! {
    /// Precomputed divisor of `wgsl/divide.wgsl`.
    Divisor { by: u32, magic: u32, shift: u32 }
}

wgsl_struct! {
    /// An axis of [`Pack`](crate::Pack).
    PackedAxis { size: u32, low: u32, limit: u32, stride: u32 }
}

wgsl_struct! {
    /// An axis of [`Pad`](crate::Pad).
    PaddedAxis { out_size: Divisor, step: Divisor, size: u32, low: u32 }
}

wgsl_struct! {
    /// Shift and mirroring of an image, for [`PlaceImages`](crate::PlaceImages).
    Motion { down: i32, right: i32, mirrored: u32 }
}

wgsl_struct! {
    /// Layout of the output of a product or convolution: the first offset, and strides, in floats.
    OutLayout { base: u32, group: u32, image: u32, row: u32, line: u32, column: u32 }
}

impl Divisor {
    /// Precomputes the division by a number.
    ///
    /// # Panics
    /// If the number is 0 or exceeds 2³¹.
    pub fn new(by: u32) -> Divisor {
        assert!((1..=1 << 31).contains(&by), "no divisor: {by}");
        let shift = by.next_power_of_two().trailing_zeros();
        let magic = ((1u64 << 32) * ((1u64 << shift) - u64::from(by))) / u64::from(by) + 1;
        Divisor { by, magic: magic as u32, shift }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    const NESTED: [Layout; 5] = [
        Divisor::LAYOUT,
        PackedAxis::LAYOUT,
        PaddedAxis::LAYOUT,
        Motion::LAYOUT,
        OutLayout::LAYOUT,
    ];

    /// Returns the Rust type of a WGSL type.
    fn rust_type(module: &naga::Module, ty: naga::Handle<naga::Type>) -> String {
        use naga::{ArraySize, TypeInner, VectorSize};
        let scalar = |scalar: naga::Scalar| match scalar {
            naga::Scalar::U32 => "u32",
            naga::Scalar::I32 => "i32",
            other => panic!("no parameters of {other:?}"),
        };
        match &module.types[ty].inner {
            TypeInner::Scalar(s) => scalar(*s).into(),
            // Vectors of three are aligned like four, which `#[repr(C)]` cannot express.
            TypeInner::Vector { size: size @ (VectorSize::Bi | VectorSize::Quad), scalar: s } => {
                format!("[{}; {}]", scalar(*s), *size as u8)
            }
            TypeInner::Array { base, size, .. } => match size {
                ArraySize::Constant(size) => format!("[{}; {size}]", rust_type(module, *base)),
                _ => format!("[{}]", rust_type(module, *base)),
            },
            TypeInner::Struct { .. } => {
                let name = module.types[ty].name.clone().expect("structs have names");
                let declared = NESTED.iter().any(|layout| layout.name == name);
                assert!(declared, "NESTED lacks {name}");
                name
            }
            other => panic!("no parameters of {other:?}"),
        }
    }

    /// Checks that `Params` of a WGSL module, and the structs in it, are equal to the Rust structs.
    pub(crate) fn check_layout(kernel: &str, module: &naga::Module, params: Layout) {
        let params = Layout { name: "Params", ..params };
        let layouts = NESTED.iter().chain([&params]);
        let find = |name: &str| layouts.clone().find(|layout| layout.name == name);
        let mut found = Vec::new();
        for (_, ty) in module.types.iter() {
            let naga::TypeInner::Struct { members, span } = &ty.inner else {
                continue;
            };
            let name = ty.name.as_deref().expect("structs have names");
            let Some(layout) = find(name) else { continue };
            found.push(name);
            let fields: Vec<(&str, String, usize)> = members
                .iter()
                .map(|m| {
                    let name = m.name.as_deref().expect("fields have names");
                    (name, rust_type(module, m.ty), m.offset as usize)
                })
                .collect();
            let expected: Vec<_> =
                layout.fields.iter().map(|&(n, t, at)| (n, t.to_string(), at)).collect();
            assert_eq!(fields, expected, "{kernel}: {name} in WGSL and in Rust");
            let array = fields.last().is_some_and(|&(_, _, at)| at == layout.size);
            assert!(array || *span as usize == layout.size, "{kernel}: the size of {name}");
        }
        assert!(found.contains(&"Params"), "{kernel} has no struct Params");
    }

    #[test]
    fn divisors_divide() {
        let quotient = |n: u32, divisor: Divisor| {
            let high = (u64::from(n) * u64::from(divisor.magic)) >> 32;
            ((high as u32) + n) >> divisor.shift
        };
        for by in (1..300).chain([1023, 1024, 1025, 65_535, 65_537, 1 << 30, (1 << 31) - 1]) {
            for n in (0..3000).chain([by - 1, by, by + 1, by * 2 - 1, i32::MAX as u32]) {
                let n = n.min(i32::MAX as u32);
                assert_eq!(quotient(n, Divisor::new(by)), n / by, "{n} / {by}");
            }
        }
    }

    #[test]
    fn an_empty_array_is_stored_as_one_element() {
        let bytes = |taps: &[[i32; 4]]| crate::ConvDirect::default().bytes(taps).len();
        assert_eq!([bytes(&[]), bytes(&[[0; 4]]), bytes(&[[0; 4]; 2])], [112, 112, 128]);
    }
}
