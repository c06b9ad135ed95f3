//! The filter parser on any text.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| twinroute_tests::fuzz::filter_text(data));
