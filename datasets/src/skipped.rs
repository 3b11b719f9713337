//! What a pass leaves out.

use std::sync::Mutex;

use crate::Error;

/// Damaged images that were left out.
#[derive(Debug, Default)]
pub struct Skipped(Mutex<(usize, String)>);

impl Skipped {
    /// How many, each time that one was needed, and what is wrong with the first; nothing if there were none.
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
