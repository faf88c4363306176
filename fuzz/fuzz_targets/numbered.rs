#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| vscpl2drv_link_fuzz::checks::numbered(bytes));
