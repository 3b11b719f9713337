//! Traces: which runs of transforms' closures a node depends on.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// One run of a transform's closure. While it is open, nodes that depend on its inputs keep their history.
#[derive(Default, Debug)]
pub(crate) struct Trace {
    open: AtomicUsize,
}

impl Trace {
    pub fn is_open(&self) -> bool {
        self.open.load(Ordering::Acquire) > 0
    }
}

/// Keeps traces open as long as it lives.
pub(crate) struct TraceGuard(Vec<Arc<Trace>>);

impl TraceGuard {
    pub fn open(traces: Vec<Arc<Trace>>) -> Self {
        for trace in &traces {
            trace.open.fetch_add(1, Ordering::AcqRel);
        }
        TraceGuard(traces)
    }
}

impl Drop for TraceGuard {
    fn drop(&mut self) {
        for trace in &self.0 {
            trace.open.fetch_sub(1, Ordering::AcqRel);
        }
    }
}
