//! The macro behind `#[derive(Tree)]`. Use it through `prospr` or `prospr_engine`, which export it with the trait.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::spanned::Spanned;
use syn::{
    Attribute, Data, DeriveInput, Error, Fields, Ident, Member, Result, parse_macro_input,
    parse_quote,
};

/// Implements `prospr_engine::Tree` for a struct or an enum whose fields are trees. A field marked `#[tree(static)]`
/// holds no tensors; functions are compiled once for each of its values. A mark on the type itself applies to all
/// fields.
#[proc_macro_derive(Tree, attributes(tree))]
pub fn derive_tree(input: proc_macro::TokenStream) -> proc_macro::TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    expand(input, &quote!(::prospr_engine)).unwrap_or_else(Error::into_compile_error).into()
}

/// Implements `prospr::Tree`, for programs that depend on `prospr` alone: the generated code names no other crate.
/// `prospr` exports this macro as `Tree`.
#[proc_macro_derive(FacadeTree, attributes(tree))]
pub fn derive_facade_tree(input: proc_macro::TokenStream) -> proc_macro::TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    expand(input, &quote!(::prospr)).unwrap_or_else(Error::into_compile_error).into()
}

/// Generates the implementation; `root` is the path of the crate that exports the trait.
fn expand(input: DeriveInput, root: &TokenStream) -> Result<TokenStream> {
    let (tree, fixed) = (quote!(#root::Tree), quote!(#root::Static));
    let variants: Vec<(TokenStream, &Fields)> = match &input.data {
        Data::Struct(data) => vec![(quote!(Self), &data.fields)],
        Data::Enum(data) => data
            .variants
            .iter()
            .map(|variant| {
                let ident = &variant.ident;
                (quote!(Self::#ident), &variant.fields)
            })
            .collect(),
        Data::Union(_) => {
            return Err(Error::new(
                input.ident.span(),
                "`Tree` can be derived for structs and enums, not for unions",
            ));
        }
    };
    let all_static = is_static(&input.attrs)?;
    let [mut collected, mut rebuilt, mut hashed] = [const { Vec::new() }; 3];
    for (path, fields) in variants {
        let fields = fields
            .members()
            .zip(fields)
            .enumerate()
            .map(|(index, (member, field))| {
                // Errors about the field's type point at the field.
                let span = field.ident.as_ref().map_or(field.ty.span(), Ident::span);
                Ok(Field {
                    member,
                    name: format_ident!("field_{index}", span = span),
                    is_static: all_static || is_static(&field.attrs)?,
                })
            })
            .collect::<Result<Vec<Field>>>()?;
        let pattern = fields.iter().map(|Field { member, name, .. }| quote!(#member: #name));
        let pattern = quote!(#path { #(#pattern),* });
        let trees = fields.iter().filter(|f| !f.is_static).map(|f| &f.name);
        collected.push(quote!(#pattern => { #(#tree::collect_leaves(#trees, out);)* }));
        let values = fields.iter().map(|f| {
            let (member, name) = (&f.member, &f.name);
            match f.is_static {
                true => quote!(#member: ::core::clone::Clone::clone(#name)),
                false => quote!(#member: #tree::rebuild(#name, next)),
            }
        });
        rebuilt.push(quote!(#pattern => #path { #(#values),* }));
        let hashes = fields.iter().map(|f| {
            let (name, part) = (&f.name, if f.is_static { &fixed } else { &tree });
            quote!(#part::hash_structure(#name, state);)
        });
        hashed.push(quote!(#pattern => { #(#hashes)* }));
    }
    let is_enum = matches!(input.data, Data::Enum(_));
    let discriminant =
        is_enum.then(|| quote!(::core::hash::Hash::hash(&::core::mem::discriminant(self), state);));
    let mut generics = input.generics;
    for parameter in generics.type_params_mut() {
        parameter.bounds.push(parse_quote!(#tree));
    }
    let (parameters, arguments, bounds) = generics.split_for_impl();
    let ident = &input.ident;
    Ok(quote! {
        #[automatically_derived]
        #[allow(unused_variables)]
        impl #parameters #tree for #ident #arguments #bounds {
            fn collect_leaves(&self, out: &mut ::std::vec::Vec<#root::Tensor>) {
                match self { #(#collected)* }
            }
            fn rebuild(&self, next: &mut dyn ::core::ops::FnMut() -> #root::Tensor) -> Self {
                match self { #(#rebuilt,)* }
            }
            fn hash_structure<__H: ::core::hash::Hasher>(&self, state: &mut __H) {
                #discriminant
                match self { #(#hashed)* }
            }
        }
    })
}

/// A field, and the name that the generated patterns bind to it.
struct Field {
    member: Member,
    name: Ident,
    is_static: bool,
}

/// Returns true if `#[tree(static)]` is among the attributes.
fn is_static(attributes: &[Attribute]) -> Result<bool> {
    let mut found = false;
    for attribute in attributes.iter().filter(|a| a.path().is_ident("tree")) {
        attribute.parse_nested_meta(|meta| {
            found = meta.path.is_ident("static");
            match found {
                true => Ok(()),
                false => Err(meta.error("write `#[tree(static)]`; there is no other attribute")),
            }
        })?;
    }
    Ok(found)
}
