//! Programs that tests need, deadlines, and where the built library is.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// Long enough for a machine that does something else as well; nothing waits for it to pass.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The root of the repository.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The built library, beside the test program.
pub fn library() -> PathBuf {
    let program = std::env::current_exe().expect("the test program has a path");
    let deps = program.parent().expect("it lies in a directory");
    let places = [
        deps.join("libvscpl2drv_link.so"),
        deps.join("../libvscpl2drv_link.so"),
    ];
    let found = places.iter().find(|place| place.is_file());
    found
        .unwrap_or_else(|| panic!("no libvscpl2drv_link.so beside {program:?}"))
        .clone()
}

/// Fails, saying how to install it, where a program is missing.
pub fn need(program: &str) -> PathBuf {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let extra = ["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from);
    std::env::split_paths(&paths)
        .chain(extra)
        .map(|place| place.join(program))
        .find(|place| place.is_file())
        .unwrap_or_else(|| panic!("this test needs {program}: run `tests/setup all`"))
}

/// Runs a program to its end and gives what it printed; it must end well.
pub fn run(command: &mut Command) -> String {
    let output = command
        .output()
        .unwrap_or_else(|e| panic!("{command:?}: {e}"));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{command:?}: {}\n{text}\n{errors}",
        output.status
    );
    text
}

/// Looks until something is so.
pub fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < PATIENCE, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
