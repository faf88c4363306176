//! Linker arguments only.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    // A host that calls dlclose while a thread of its own may still call us must find the code
    // mapped. Daemons do exactly that when their broker answers late.
    if std::env::var("CARGO_CFG_TARGET_OS").as_deref() == Ok("linux") {
        println!("cargo:rustc-cdylib-link-arg=-Wl,-z,nodelete");
    }
}
