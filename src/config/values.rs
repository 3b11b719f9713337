//! Parsers for flags whose value is one of a few names.

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use serde::de::DeserializeOwned;

use crate::pruners::{Method, methods};

/// Parser for one of these names, given with their help. Settings files have the same names.
pub(super) fn choice<T: DeserializeOwned + Clone + Send + Sync + 'static>(
    names: &[(&'static str, &'static str)],
) -> impl TypedValueParser<Value = T> {
    let values = names.iter().map(|(name, help)| PossibleValue::new(*name).help(*help));
    PossibleValuesParser::new(values).try_map(|name| serde_json::from_value(name.into()))
}

/// Parser for the name of a pruning method.
pub fn method() -> impl TypedValueParser<Value = Method> {
    let all = std::iter::once(Method::DENSE).chain(methods());
    let names = all.map(|method| PossibleValue::new(method.name).help(method.summary));
    PossibleValuesParser::new(names)
        .map(|name| Method::named(&name).expect("clap lets only these names pass"))
}
