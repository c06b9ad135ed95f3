//! The agtype converter on any text.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| twinroute_tests::fuzz::agtype(data));
