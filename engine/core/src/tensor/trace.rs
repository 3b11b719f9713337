//! Traces: the running closures of transforms that a node depends on.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::Tensor;

/// One run of a transform's closure. While it is open, nodes that depend on its inputs keep their history.
#[derive(Default, Debug)]
pub(crate) struct Trace {
    /// Number of guards that keep the trace open.
    open: AtomicUsize,
}

impl Trace {
    pub fn is_open(&self) -> bool {
        self.open.load(Ordering::Acquire) > 0
    }
}

/// Returns the open traces that any of the tensors depends on, without duplicates.
pub(crate) fn open_traces(tensors: &[Tensor]) -> Vec<Arc<Trace>> {
    let mut traces: Vec<Arc<Trace>> = Vec::new();
    for trace in tensors.iter().flat_map(|t| &t.0.traces) {
        if trace.is_open() && !traces.iter().any(|t| Arc::ptr_eq(t, trace)) {
            traces.push(trace.clone());
        }
    }
    traces
}

/// Guard that keeps traces open while it lives.
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
