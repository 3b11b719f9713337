//! Pruning methods by name, the settings that they read, and the registry that a command line chooses from.

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
    /// Allocation that belongs to the method. With none, the user's setting counts.
    pub allocation: Option<Allocation>,
    /// Makes the pruner from settings. It asks for every setting that it reads, each time: what it asks for is what
    /// [`Setup::settings`] lists, and any other setting is refused.
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

    /// Method of this name, [`Method::DENSE`] included.
    pub fn named(name: &str) -> Option<Method> {
        let all = std::iter::once(Method::DENSE).chain(methods());
        all.into_iter().find(|method| method.name == name)
    }

    /// Pruner and mask options for these settings. `values` holds every setting by its name, `null` where an optional one
    /// is unset.
    ///
    /// # Errors
    /// [`Error::Setting`] if the method reads a setting that does not exist or that has the wrong type.
    pub fn setup(&self, values: &Map<String, Value>, sparsity: Sparsity) -> Result<Setup> {
        let settings = Settings {
            allocation: self.allocation,
            ..Settings::new(values, sparsity)
        };
        let pruner = (self.pruner)(&settings)?;
        let mask = settings.mask()?;
        Ok(Setup {
            pruner,
            mask,
            settings: settings.read.into_inner(),
        })
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

/// A method that is ready to score.
pub struct Setup {
    /// The pruner.
    pub pruner: Box<dyn Pruner>,
    /// Options for the mask that is made of the scores.
    pub mask: MaskOptions,
    /// Settings that the method has read, in the order in which it asked for them.
    pub settings: Vec<ReadSetting>,
}

/// A setting that a method reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadSetting {
    /// Its name in settings files; flags have `-` in the place of `_`.
    pub name: &'static str,
    /// The method's own default for an optional setting.
    pub default: Option<String>,
}

/// Settings by name, as a method reads them.
pub struct Settings<'a> {
    values: &'a Map<String, Value>,
    sparsity: Sparsity,
    allocation: Option<Allocation>,
    read: RefCell<Vec<ReadSetting>>,
}

impl<'a> Settings<'a> {
    /// Settings from values by name.
    pub fn new(values: &'a Map<String, Value>, sparsity: Sparsity) -> Settings<'a> {
        Settings {
            values,
            sparsity,
            allocation: None,
            read: RefCell::default(),
        }
    }

    /// Value of a setting.
    ///
    /// # Errors
    /// [`Error::Setting`] if no setting has this name, or its value is of another type.
    pub fn get<T: DeserializeOwned>(&self, name: &'static str) -> Result<T> {
        self.value(name, None)
    }

    /// Value of an optional setting, or the method's own default.
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

    /// Options for masks.
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
            keep_uncounted: self.get("keep_uncounted")?,
        })
    }

    /// Marks the settings of image batches as read: their size, or the images of each class. The task's batches have it
    /// already.
    ///
    /// # Errors
    /// As [`Settings::get`].
    pub fn images(&self) -> Result<()> {
        self.get::<usize>("prune_batch_size")?;
        self.get::<Option<usize>>("prune_per_class").map(drop)
    }

    /// Number of image batches, as many as `prune_batches` says or else `default`; reads [`Settings::images`] too.
    ///
    /// # Errors
    /// As [`Settings::get`].
    pub fn batches(&self, default: usize) -> Result<usize> {
        self.images()?;
        self.get_or("prune_batches", default)
    }

    /// Rounds of an iterative method, as many as `iterations` says or else `default`.
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

/// Makes a method of another crate known by its name, in this process. Register before settings are read or a command line
/// is parsed.
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

/// All methods that prune: those of this crate, then the registered ones in their order.
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
            let method = Method {
                name,
                ..Method::DENSE
            };
            let error = register(method).unwrap_err().to_string();
            assert!(
                error.contains(name) && error.contains("another name"),
                "{error}"
            );
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
