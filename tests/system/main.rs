//! Whole-system tests, in one binary so that Burn is linked once.

mod bench;
mod bridge;
mod cli;
mod contract;
mod data;
mod devices;
mod doors;
mod fetch;
mod golden;
mod memory;
mod methods;
mod models;
mod networks;
mod optimizers;
mod oracle;
mod place;
mod pruning;
mod reproducible;
mod runs;
mod support;
mod transforms;
mod unroll;
mod verify;
mod verify_own;
