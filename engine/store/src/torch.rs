//! State dictionaries in files of `torch.save`, PyTorch 1.6 or later.
//!
//! A file is a zip archive: `NAME/data.pkl` is a pickle whose tensors refer to storages, `NAME/data/KEY` has
//! the values of
//! a storage, `NAME/byteorder` their byte order. The pickle is read as data ([`crate::pickle`]) and may name only the
//! classes and functions that tensors need. Views, shared storages and expanded tensors become separate arrays.
//!
//! Not supported: files of PyTorch before 1.6, quantized, sparse and complex tensors, whole modules.
//!
//! # Source
//! PyTorch's `torch/serialization.py` and `torch/_utils.py`.

use std::collections::{BTreeMap, HashMap};
use std::io::{Cursor, Read};

use safetensors::Dtype;
use zip::ZipArchive;

use crate::pickle::{Node, Pickle, Value};
use crate::strided::row_major;
use crate::values::StoredTensor;

type Result<T> = std::result::Result<T, String>;

/// First bytes of a file of `torch.save`: those of any zip archive.
pub const MAGIC: &[u8] = b"PK\x03\x04";

/// First bytes of a file of PyTorch before 1.6: a pickle of protocol 2 with a magic number.
pub const OLD_MAGIC: &[u8] = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19";

/// Advice for a file that contains more than tensors.
const ADVICE: &str = "in Python, save the tensors alone: `torch.save(model.state_dict(), FILE)`";

/// Largest accepted size of the pickle in bytes. It contains no tensor values, so it is small.
const TEXT_LIMIT: u64 = 64 << 20;

/// PyTorch's limit on the number of axes.
const AXES: usize = 64;

/// Usual keys of the state dictionary in a checkpoint.
const NESTED: [&str; 3] = ["state_dict", "model_state_dict", "model"];

/// Reads the tensors of a file, by name.
///
/// # Errors
/// The error is a message with the expected contents, the found contents, and advice.
pub fn read(bytes: &[u8]) -> Result<BTreeMap<String, StoredTensor>> {
    let mut archive = Archive::open(bytes)?;
    let order = archive.text("byteorder")?;
    if order.is_some_and(|order| order != b"little") {
        return Err("its numbers are big-endian; save it again on a little-endian machine".into());
    }
    let data = archive.text("data.pkl")?.unwrap_or_default();
    let pickle = Pickle::read(&data).map_err(|e| format!("data.pkl: {e}"))?;
    refuse_foreign(&pickle)?;
    let mut entries = BTreeMap::new();
    for &(name, tensor) in state_dict(&pickle)? {
        let name = pickle
            .text(name)
            .ok_or_else(|| format!("expected texts as the names of tensors; {ADVICE}"))?;
        let view = view(&pickle, tensor).ok_or_else(|| {
            format!(
                "expected a tensor of dense numbers as `{name}`, found something else; {ADVICE}"
            )
        })?;
        entries.insert(name.to_string(), archive.tensor(name, view)?);
    }
    Ok(without_module(entries))
}

struct Archive<'a> {
    zip: ZipArchive<Cursor<&'a [u8]>>,
    /// Common prefix of the entries' names.
    folder: String,
    /// Remaining budget for values, in bytes.
    budget: u64,
    storages: HashMap<String, Vec<u8>>,
}

impl<'a> Archive<'a> {
    fn open(bytes: &'a [u8]) -> Result<Archive<'a>> {
        let zip = ZipArchive::new(Cursor::new(bytes)).map_err(|e| {
            format!("expected a whole zip archive of `torch.save`, found damage ({e})")
        })?;
        let names = zip.file_names().filter_map(|name| name.ok());
        let folder = names
            .filter_map(|name| Some(name.strip_suffix("data.pkl")?.to_string()))
            .min_by_key(String::len)
            .ok_or("expected a file of `torch.save`, found a zip archive without `data.pkl`")?;
        Ok(Archive {
            zip,
            folder,
            // Shared and expanded tensors become larger than the file, but much larger ones are an attack.
            budget: 16 * 1024 * 1024 + 8 * bytes.len() as u64,
            storages: HashMap::new(),
        })
    }

    /// Reads a small entry that describes the values; `None` if it is missing.
    fn text(&mut self, name: &str) -> Result<Option<Vec<u8>>> {
        let name = format!("{}{name}", self.folder);
        let there = self.zip.index_for_name(&name).is_some();
        there.then(|| entry(&mut self.zip, &name, &mut { TEXT_LIMIT })).transpose()
    }

    fn tensor(&mut self, name: &str, view: View) -> Result<StoredTensor> {
        if !self.storages.contains_key(view.key) {
            let file = format!("{}data/{}", self.folder, view.key);
            let values = entry(&mut self.zip, &file, &mut self.budget)?;
            self.storages.insert(view.key.into(), values);
        }
        let storage = &self.storages[view.key];
        let width = view.dtype.bitsize() / 8;
        let limit = usize::try_from(self.budget).unwrap_or(usize::MAX);
        let (shape, strides) = (&view.shape, &view.strides);
        let bytes = row_major(storage, width, view.offset, shape, strides, limit).ok_or_else(|| {
            format!(
                "`{name}`, of shape {shape:?} and strides {strides:?} at {} of a storage of {} bytes, does not lie within it or is absurdly large: the file is damaged",
                view.offset,
                storage.len()
            )
        })?;
        self.budget -= bytes.len() as u64;
        Ok(StoredTensor { dtype: view.dtype, shape: view.shape, bytes })
    }
}

/// Reads an entry of the archive and subtracts its length from the budget.
fn entry(zip: &mut ZipArchive<Cursor<&[u8]>>, name: &str, budget: &mut u64) -> Result<Vec<u8>> {
    let damaged = |e: &dyn std::fmt::Display| format!("`{name}` in it cannot be read: {e}");
    let file = zip.by_name(name).map_err(|e| damaged(&e))?;
    let mut bytes = Vec::new();
    let read = file.take(*budget + 1).read_to_end(&mut bytes);
    read.map_err(|e| damaged(&e))?;
    *budget = budget
        .checked_sub(bytes.len() as u64)
        .ok_or_else(|| damaged(&"it unpacks to an absurd size"))?;
    Ok(bytes)
}

/// Checks that a pickle names only the classes and functions that tensors need.
fn refuse_foreign(pickle: &Pickle) -> Result<()> {
    for value in pickle.values() {
        let Value::Global { module, name } = *value else {
            continue;
        };
        let known = match module {
            "collections" => name == "OrderedDict",
            "torch._utils" => matches!(name, "_rebuild_tensor_v2" | "_rebuild_parameter"),
            "torch" => dtype(name).is_some(),
            _ => false,
        };
        if !known {
            return Err(format!(
                "expected nothing but tensors, found `{module}.{name}`, which was not run; {ADVICE}"
            ));
        }
    }
    Ok(())
}

/// Names and tensors of the state dictionary: the whole file, or a checkpoint's entry with a usual key.
fn state_dict<'p>(pickle: &'p Pickle) -> Result<&'p [(Node, Node)]> {
    let root = pickle.root();
    let nested = NESTED.iter().filter_map(|key| pickle.get(root, key));
    let mut dictionaries = nested.chain([root]).filter_map(|node| pickle.items(node));
    let found =
        dictionaries.find(|items| items.iter().any(|&(_, value)| view(pickle, value).is_some()));
    found.ok_or_else(|| {
        let keys = pickle.items(root).unwrap_or_default().iter();
        let keys: Vec<&str> = keys.filter_map(|&(key, _)| pickle.text(key)).collect();
        format!(
            "expected a dictionary of tensors, or one under `{}`, found {}; {ADVICE}",
            NESTED.join("` or `"),
            match keys[..] {
                [] => "none".to_string(),
                _ => format!("the keys {}", keys.join(", ")),
            }
        )
    })
}

/// Storage, offset, shape and strides of a tensor's values.
struct View<'p> {
    key: &'p str,
    dtype: Dtype,
    offset: usize,
    shape: Vec<usize>,
    strides: Vec<usize>,
}

/// Reads the view of a tensor, `_rebuild_tensor_v2(storage, offset, shape, strides, …)`, or of a parameter
/// that contains one; `None` for any other value.
fn view<'p>(pickle: &Pickle<'p>, mut node: Node) -> Option<View<'p>> {
    if let ("torch._utils", "_rebuild_parameter", &[data, ..]) = pickle.call(node)? {
        node = data;
    }
    let ("torch._utils", "_rebuild_tensor_v2", &[storage, offset, shape, strides, ..]) =
        pickle.call(node)?
    else {
        return None;
    };
    let Value::Persistent(storage) = pickle[storage] else {
        return None;
    };
    // ("storage", class, key, device, number of elements)
    let &[_, class, key, ..] = pickle.elements(storage)? else {
        return None;
    };
    let sizes = |node| {
        let nodes = pickle.elements(node).filter(|nodes| nodes.len() <= AXES)?;
        let sizes = nodes.iter().map(|&n| pickle.size(n));
        sizes.collect::<Option<Vec<_>>>()
    };
    let (shape, strides) = (sizes(shape)?, sizes(strides)?);
    (shape.len() == strides.len()).then_some(View {
        key: pickle.text(key)?,
        dtype: dtype(pickle.global(class)?.1)?,
        offset: pickle.size(offset)?,
        shape,
        strides,
    })
}

/// Element type of a storage class.
fn dtype(class: &str) -> Option<Dtype> {
    Some(match class {
        "DoubleStorage" => Dtype::F64,
        "FloatStorage" => Dtype::F32,
        "HalfStorage" => Dtype::F16,
        "BFloat16Storage" => Dtype::BF16,
        "LongStorage" => Dtype::I64,
        "IntStorage" => Dtype::I32,
        "ShortStorage" => Dtype::I16,
        "CharStorage" => Dtype::I8,
        "ByteStorage" => Dtype::U8,
        "BoolStorage" => Dtype::BOOL,
        _ => return None,
    })
}

/// Removes the prefix `module.` that `DataParallel` adds to every name.
fn without_module(entries: BTreeMap<String, StoredTensor>) -> BTreeMap<String, StoredTensor> {
    if !entries.keys().all(|name| name.starts_with("module.")) {
        return entries;
    }
    let rest = |name: String| name["module.".len()..].to_string();
    entries.into_iter().map(|(n, e)| (rest(n), e)).collect()
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn fixture(name: &str) -> Vec<u8> {
        std::fs::read(format!("../../tests/fixtures/torch/{name}")).unwrap()
    }

    /// Returns the archive with a changed pickle and correct checksums.
    fn with_pickle(bytes: &[u8], change: impl Fn(&mut Vec<u8>)) -> Vec<u8> {
        let mut zip = ZipArchive::new(Cursor::new(bytes)).unwrap();
        let names: Vec<String> = zip.file_names().map(|n| n.unwrap().to_string()).collect();
        let mut out = zip::ZipWriter::new(Cursor::new(Vec::new()));
        let options = zip::write::SimpleFileOptions::default();
        for name in names {
            let mut data = entry(&mut zip, &name, &mut 1_000_000).unwrap();
            if name.ends_with("data.pkl") {
                change(&mut data);
            }
            out.start_file(name, options).unwrap();
            out.write_all(&data).unwrap();
        }
        out.finish().unwrap().into_inner()
    }

    #[test]
    fn damage_never_panics() {
        let whole = fixture("views.pt");
        for cut in 0..whole.len() {
            assert!(read(&whole[..cut]).is_err(), "{cut}");
        }
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 0x15;
            let _ = read(&bytes);
        }
        let mut zip = ZipArchive::new(Cursor::new(&whole[..])).unwrap();
        let length = entry(&mut zip, "views/data.pkl", &mut 10_000).unwrap().len();
        for at in 0..length {
            for value in [0, 1, 0x29, 0x4b, 0x7f, 0xff] {
                let _ = read(&with_pickle(&whole, |data| data[at] = value));
            }
            assert!(read(&with_pickle(&whole, |data| data.truncate(at))).is_err());
        }
    }

    #[test]
    fn absurd_sizes_are_refused() {
        // The tensor `expanded` has the size (3, 2), the last one in the file, and the strides (0, 0).
        let absurd = with_pickle(&fixture("views.pt"), |data| {
            let at = data.windows(5).rposition(|w| w == b"K\x03K\x02\x86");
            let at = at.unwrap();
            data.splice(at..at + 2, *b"J\0\0\0\x40");
        });
        let error = read(&absurd).unwrap_err();
        assert!(error.contains("absurdly large"), "{error}");
    }
}
