//! The names of VSCP classes, types and units, and the values in measurement events. Pure.
//!
//! The three tables beside this module are data of the VSCP project's event database,
//! <https://www.vscp.org/events/>. They are read once, at the first question.

use std::sync::LazyLock;

mod measurement;

pub use measurement::{Measurement, Value, measurement};

static CLASSES: Table<u16, Name> = LazyLock::new(|| table(include_str!("classes.tsv"), class_row));
static TYPES: Table<(u16, u16), &str> =
    LazyLock::new(|| table(include_str!("types.tsv"), type_row));
static UNITS: Table<(u16, u16, u8), Unit> =
    LazyLock::new(|| table(include_str!("units.tsv"), unit_row));

/// Rows sorted by their key.
type Table<K, V> = LazyLock<Vec<(K, V)>>;

/// First class of the level I events that travel over level II.
const PROXY: u16 = 512;
/// Last class of them.
const PROXY_LAST: u16 = 1023;

/// What a class is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Name {
    token: &'static str,
    text: &'static str,
}

/// A unit of measurement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unit {
    /// `Celsius`.
    pub name: &'static str,
    /// `°C`; empty where a unit has none.
    pub symbol: &'static str,
}

/// The token of a class: `CLASS1.MEASUREMENT` for 10.
#[must_use]
pub fn class_token(class: u16) -> Option<&'static str> {
    find(&CLASSES, class).map(|name| name.token)
}

/// The name of a class for people: `Measurement` for 10.
#[must_use]
pub fn class_name(class: u16) -> Option<&'static str> {
    find(&CLASSES, class).map(|name| name.text)
}

/// The token of a type: `VSCP_TYPE_MEASUREMENT_TEMPERATURE` for class 10, type 6.
#[must_use]
pub fn type_token(class: u16, vscp_type: u16) -> Option<&'static str> {
    find(&TYPES, (class, vscp_type))
}

/// The unit of a measurement: `Celsius` for class 10, type 6, unit 1.
///
/// Any measurement class will do; 512 to 1023 have the units of the level I class that they carry.
/// Where the database has two units with one number, the first counts.
#[must_use]
pub fn unit(class: u16, vscp_type: u16, unit: u8) -> Option<Unit> {
    find(&UNITS, (level1(class), vscp_type, unit))
}

/// The level I class that a class of level I events over level II carries; other classes are
/// their own.
fn level1(class: u16) -> u16 {
    if (PROXY..=PROXY_LAST).contains(&class) {
        class - PROXY
    } else {
        class
    }
}

/// The rows below the heading, sorted. A row that cannot be read is left out: the tests see to it
/// that there is none.
fn table<K: Ord + Copy, V>(
    text: &'static str,
    row: fn(&[&'static str]) -> Option<(K, V)>,
) -> Vec<(K, V)> {
    let mut rows: Vec<_> = text
        .lines()
        .skip(1)
        .filter_map(|line| row(&line.split('\t').collect::<Vec<_>>()))
        .collect();
    // Stable, so that the first of two rows with one key stays the first.
    rows.sort_by_key(|(key, _)| *key);
    rows
}

fn class_row(fields: &[&'static str]) -> Option<(u16, Name)> {
    let &[class, token, text] = fields else {
        return None;
    };
    Some((class.parse().ok()?, Name { token, text }))
}

fn type_row(fields: &[&'static str]) -> Option<((u16, u16), &'static str)> {
    let &[class, vscp_type, token] = fields else {
        return None;
    };
    Some(((class.parse().ok()?, vscp_type.parse().ok()?), token))
}

fn unit_row(fields: &[&'static str]) -> Option<((u16, u16, u8), Unit)> {
    let &[class, vscp_type, unit, name, symbol] = fields else {
        return None;
    };
    let key = (
        class.parse().ok()?,
        vscp_type.parse().ok()?,
        unit.parse().ok()?,
    );
    Some((key, Unit { name, symbol }))
}

fn find<K: Ord + Copy, V: Copy>(rows: &[(K, V)], key: K) -> Option<V> {
    let at = rows.partition_point(|(other, _)| *other < key);
    rows.get(at)
        .filter(|(found, _)| *found == key)
        .map(|(_, value)| *value)
}

#[cfg(test)]
mod tests;
