//! What is fuzzed. The targets in `fuzz_targets` and the test `tests/corpus.rs` of the driver run
//! the same checks.

pub mod checks;
