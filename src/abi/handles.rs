//! Handles of open drivers. Hosts call with handles that are not open yet, or not any more: they
//! are looked up, never taken for pointers.

use std::collections::BTreeMap;
use std::ffi::c_long;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::driver::Driver;

/// The first handle of the drivers that hosts have known.
const FIRST: i32 = 1681;

struct Table {
    drivers: BTreeMap<i32, Arc<Driver>>,
    next: i32,
}

static TABLE: Mutex<Table> = Mutex::new(Table {
    drivers: BTreeMap::new(),
    next: FIRST,
});

/// A handle that no driver has; it is not given again until all others have been.
pub(super) fn insert(driver: Driver) -> c_long {
    let mut table = table();
    while table.drivers.contains_key(&table.next) {
        table.next = following(table.next);
    }
    let handle = table.next;
    table.next = following(handle);
    table.drivers.insert(handle, Arc::new(driver));
    c_long::from(handle)
}

pub(super) fn get(handle: c_long) -> Option<Arc<Driver>> {
    table().drivers.get(&number(handle)?).cloned()
}

/// Takes a driver out; calls that have it already go on with it.
pub(super) fn remove(handle: c_long) -> Option<Arc<Driver>> {
    table().drivers.remove(&number(handle)?)
}

fn number(handle: c_long) -> Option<i32> {
    #[allow(clippy::useless_conversion)] // 32 bits wide on some machines
    i32::try_from(handle).ok()
}

fn following(handle: i32) -> i32 {
    handle.checked_add(1).unwrap_or(FIRST)
}

fn table() -> MutexGuard<'static, Table> {
    TABLE.lock().unwrap_or_else(PoisonError::into_inner)
}
