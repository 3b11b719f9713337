//! Registry of the pruning methods, by name, with the settings that they read.

use std::cell::RefCell;
use std::fmt;
use std::sync::{PoisonError, RwLock};

use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

use crate::{Allocation, Error, MaskOptions, Pruner, Result, Rounds, Sparsity};

/// A pruning method that users choose by its name.
#[derive(Clone, Copy)]
pub struct Method {
    /// Name on the command line, in settings files and in results.
    pub name: &'static str,
    /// One line for lists of methods, with the paper.
    pub summary: &'static str,
    /// Formula of the scores, in Markdown.
    pub score: &'static str,
    /// Allocation that belongs to the method; without one, the setting `allocation` counts.
    pub allocation: Option<Allocation>,
    /// Constructor of the pruner. It must read every setting of the method on each call, even one that has no effect
    /// because of another, because command lines refuse settings that the constructor does not read.
    pub pruner: fn(&Settings<'_>) -> Result<Box<dyn Pruner>>,
}

impl Method {
    /// No pruning. It has no scores, and [`Method::setup`] gives an error.
    pub const DENSE: Method = Method {
        name: "dense",
        summary: "No pruning",
        score: "",
        allocation: None,
        pruner: |_| {
            Err(Error::Setting {
                name: "pruner",
                reason: "is dense, which has no scores; choose another".into(),
            })
        },
    };

    /// Finds a method by its name, [`Method::DENSE`] included.
    pub fn named(name: &str) -> Option<Method> {
        let all = std::iter::once(Method::DENSE).chain(methods());
        all.into_iter().find(|method| method.name == name)
    }

    /// Builds the pruner and its mask options. `values` holds all settings by name, with `null` for optional ones that
    /// are not set.
    ///
    /// # Errors
    /// [`Error::Setting`] if the method reads a setting that does not exist or that has the wrong type.
    pub fn setup(&self, values: &Map<String, Value>, sparsity: Sparsity) -> Result<Setup> {
        let settings = Settings { allocation: self.allocation, ..Settings::new(values, sparsity) };
        let pruner = (self.pruner)(&settings)?;
        let mask = settings.mask()?;
        Ok(Setup { pruner, mask, settings: settings.read.into_inner() })
    }
}

impl PartialEq for Method {
    fn eq(&self, other: &Method) -> bool {
        self.name == other.name
    }
}

impl fmt::Debug for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl Serialize for Method {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name)
    }
}

impl<'de> Deserialize<'de> for Method {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Method, D::Error> {
        let name = String::deserialize(deserializer)?;
        Method::named(&name).ok_or_else(|| {
            let known: Vec<&str> = methods().iter().map(|method| method.name).collect();
            let known = known.join(", ");
            D::Error::custom(format!("unknown method `{name}`, expected dense, {known}"))
        })
    }
}

/// A pruner with its settings applied.
pub struct Setup {
    /// The pruner.
    pub pruner: Box<dyn Pruner>,
    /// Options for turning its scores into a mask.
    pub mask: MaskOptions,
    /// Settings that the method reads, in reading order.
    pub settings: Vec<ReadSetting>,
}

/// A setting that a method reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadSetting {
    /// Name in settings files; flags have `-` for `_`.
    pub name: &'static str,
    /// Default of the method, for an optional setting.
    pub default: Option<String>,
}

/// Values of all settings by name, from which a method builds its pruner. Records the settings that the method reads.
pub struct Settings<'a> {
    values: &'a Map<String, Value>,
    sparsity: Sparsity,
    allocation: Option<Allocation>,
    read: RefCell<Vec<ReadSetting>>,
}

impl<'a> Settings<'a> {
    /// Makes settings from values by name and the fraction of weights to remove. An optional setting that is not set
    /// has the value null.
    pub fn new(values: &'a Map<String, Value>, sparsity: Sparsity) -> Settings<'a> {
        Settings { values, sparsity, allocation: None, read: RefCell::default() }
    }

    /// Returns the value of a setting.
    ///
    /// # Errors
    /// [`Error::Setting`] if no setting has this name, or its value is of another type.
    pub fn get<T: DeserializeOwned>(&self, name: &'static str) -> Result<T> {
        self.value(name, None)
    }

    /// Returns the value of an optional setting, or `default` if the value is null. A name without an entry is an
    /// error.
    ///
    /// # Errors
    /// As [`Settings::get`].
    pub fn get_or<T>(&self, name: &'static str, default: T) -> Result<T>
    where
        T: DeserializeOwned + ToString,
    {
        let value: Option<T> = self.value(name, Some(default.to_string()))?;
        Ok(value.unwrap_or(default))
    }

    /// Records that the method reads a setting, and converts its value.
    fn value<T: DeserializeOwned>(&self, name: &'static str, default: Option<String>) -> Result<T> {
        let mut read = self.read.borrow_mut();
        if read.iter().all(|setting| setting.name != name) {
            read.push(ReadSetting { name, default });
        }
        let error = |reason| Error::Setting { name, reason };
        let value = self.values.get(name);
        let value = value.ok_or_else(|| error("is read, but there is no such setting".into()))?;
        serde_json::from_value(value.clone()).map_err(|e| error(format!("cannot be {value}: {e}")))
    }

    /// Fraction of weights to remove.
    pub fn sparsity(&self) -> Sparsity {
        self.sparsity
    }

    /// Reads the mask options. The setting `allocation` is read only if the method has no allocation of its own.
    ///
    /// # Errors
    /// As [`Settings::get`].
    pub fn mask(&self) -> Result<MaskOptions> {
        Ok(MaskOptions {
            allocation: match self.allocation {
                Some(allocation) => allocation,
                None => self.get("allocation")?,
            },
            min_per_layer: self.get("min_per_layer")?,
            keep: self.get("keep")?,
            sparsity_excludes_kept: self.get("sparsity_excludes_kept")?,
        })
    }

    /// Declares that the method reads images, and so the settings of their batches, `prune_batch_size` and
    /// `prune_per_class`. It returns no values, because the batches of a [`Task`](crate::Task) already follow these
    /// settings.
    ///
    /// # Errors
    /// As [`Settings::get`].
    pub fn images(&self) -> Result<()> {
        self.get::<usize>("prune_batch_size")?;
        self.get::<Option<usize>>("prune_per_class").map(drop)
    }

    /// Reads the number of image batches, `prune_batches`, or takes `default` if it is not set. Calls
    /// [`Settings::images`].
    ///
    /// # Errors
    /// As [`Settings::get`].
    pub fn batches(&self, default: usize) -> Result<usize> {
        self.images()?;
        self.get_or("prune_batches", default)
    }

    /// Reads the options of an iterative method. The number of rounds is `iterations`, or `default` if that is not set.
    ///
    /// # Errors
    /// As [`Settings::get`].
    pub fn rounds(&self, default: usize) -> Result<Rounds> {
        Ok(Rounds {
            iterations: self.get_or("iterations", default)?,
            sparsity: self.sparsity,
            options: self.mask()?,
        })
    }
}

static REGISTERED: RwLock<Vec<Method>> = RwLock::new(Vec::new());

/// Registers a method of another crate in this process, under its name. Call it before settings are read or a command
/// line is parsed.
///
/// # Errors
/// [`Error::NameTaken`] if a method of this name exists.
pub fn register(method: Method) -> Result<()> {
    if Method::named(method.name).is_some() {
        return Err(Error::NameTaken { name: method.name });
    }
    let mut registered = REGISTERED.write().unwrap_or_else(PoisonError::into_inner);
    registered.push(method);
    Ok(())
}

/// All methods except [`Method::DENSE`]: those of this crate, then the registered ones in order of registration.
pub fn methods() -> Vec<Method> {
    let registered = REGISTERED.read().unwrap_or_else(PoisonError::into_inner);
    let own = crate::METHODS.iter().copied().flatten();
    own.chain(registered.iter()).copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_name_is_refused() {
        for name in ["snip", "dense"] {
            let method = Method { name, ..Method::DENSE };
            let error = register(method).unwrap_err().to_string();
            assert!(error.contains(name) && error.contains("another name"), "{error}");
        }
    }

    #[test]
    fn settings_that_do_not_exist_or_have_another_type_are_named() {
        let values = serde_json::json!({"steps": "three", "iterations": null});
        let settings = Settings::new(values.as_object().unwrap(), Sparsity::new(0.5).unwrap());
        let error = settings.get::<usize>("steps").unwrap_err().to_string();
        assert!(error.contains("`steps` cannot be \"three\""), "{error}");
        let error = settings.get::<usize>("temperature").unwrap_err();
        assert!(error.to_string().contains("no such setting"), "{error}");
        assert_eq!(settings.get_or("iterations", 60).unwrap(), 60);
    }
}
