//! Counter of damaged images that a pass leaves out.

use std::sync::Mutex;

use crate::Error;

/// Count of damaged images, with the first error.
#[derive(Debug, Default)]
pub struct Skipped(Mutex<(usize, String)>);

impl Skipped {
    /// Number of skipped reads and the first error, or `None` if nothing was skipped. An image that is needed twice
    /// counts twice.
    pub fn so_far(&self) -> Option<(usize, String)> {
        let skipped = self.0.lock().expect("nothing panics in between");
        (skipped.0 > 0).then(|| skipped.clone())
    }

    pub(crate) fn add(&self, error: &Error) {
        let mut skipped = self.0.lock().expect("nothing panics in between");
        if skipped.0 == 0 {
            skipped.1 = error.to_string();
        }
        skipped.0 += 1;
    }
}
