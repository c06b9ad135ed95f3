//! Compiled filters against a naive interpreter.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| twinroute_tests::fuzz::filter_verdicts(data));
