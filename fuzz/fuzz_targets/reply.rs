#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| gridftp::fuzzing::check("reply", data));
