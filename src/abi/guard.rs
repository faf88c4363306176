//! No panic crosses into the host.

use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs `call`; a panic becomes `otherwise`.
pub(super) fn guarded<T>(otherwise: T, call: impl FnOnce() -> T) -> T {
    // What a panic leaves behind is behind locks that do not mind being poisoned.
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(value) => value,
        Err(payload) => {
            // Even dropping the payload may panic.
            let _ = catch_unwind(AssertUnwindSafe(|| {
                crate::driver::report("a call of the host met a bug of the driver");
                drop(payload);
            }));
            otherwise
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_panic_becomes_a_code() {
        assert_eq!(super::guarded(36, || -> i32 { panic!("of a test") }), 36);
        assert_eq!(super::guarded(36, || 0), 0);
    }
}
