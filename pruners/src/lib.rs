//! Pruning methods: one algorithm, one file, one struct that implements one trait.
