//! The decoder on any stream.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| twinroute_tests::fuzz::pgoutput(data));
