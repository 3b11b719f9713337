//! Whole-system tests, in one binary so that Burn is linked once.

mod bench;
mod bridge;
mod checks;
mod cli;
mod data;
mod devices;
mod doors;
mod fetch;
mod golden;
mod inspect;
mod memory;
mod models;
mod networks;
mod optimizers;
mod oracle;
mod place;
mod probe;
mod pruning;
mod reproducible;
mod runs;
mod statistics;
mod support;
mod transforms;
mod unroll;
mod verify;
mod verify_own;
