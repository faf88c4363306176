//! What the host needs of a daemon's configuration: which drivers to load, and with what.

use std::path::Path;

use serde_json::Value;
use vscpl2drv_link::config;
use vscpl2drv_link::config::model::{AbiChoice, DriverConfig};
use vscpl2drv_link::driver::{Layout, layout_of_host};
use vscpl2drv_link::event::Guid;

/// One driver that the host opens.
pub(crate) struct Entry {
    pub(crate) name: String,
    /// As it goes to VSCPOpen.
    pub(crate) config: String,
    pub(crate) guid: Guid,
    /// True where the daemon's entry has an `mqtt` section.
    pub(crate) has_mqtt: bool,
}

/// The enabled level II entries of a daemon's file that are this driver: by their library, or
/// because there is just one.
pub(crate) fn entries(file: &Path, text: &str) -> Result<Vec<Entry>, String> {
    let at = |why: String| format!("{}: {why}", file.display());
    let root: Value = serde_json::from_str(text).map_err(|error| at(error.to_string()))?;
    let all = root
        .pointer("/drivers/level2")
        .and_then(Value::as_array)
        .ok_or_else(|| at("there is no drivers.level2 list in it".to_owned()))?;
    let enabled: Vec<&Value> = all
        .iter()
        .filter(|entry| entry.get("enable").and_then(Value::as_bool) == Some(true))
        .collect();
    let ours = |entry: &&&Value| {
        let library = entry.get("path-driver").and_then(Value::as_str);
        config::is_driver(Path::new(library.unwrap_or_default()))
    };
    let chosen: Vec<&Value> = match &enabled[..] {
        [one] => vec![one],
        several => several.iter().filter(ours).copied().collect(),
    };
    if chosen.is_empty() {
        return Err(at(
            "no enabled level2 entry has this driver as its path-driver".to_owned(),
        ));
    }
    chosen
        .into_iter()
        .map(|entry| read(entry).map_err(at))
        .collect()
}

fn read(entry: &Value) -> Result<Entry, String> {
    let text = |key: &str| {
        let value = entry.get(key).and_then(Value::as_str);
        value.ok_or_else(|| format!("a level2 entry has no {key}"))
    };
    let name = text("name")?.to_owned();
    let guid = text("guid")?;
    let guid = guid
        .parse()
        .map_err(|error| format!("the guid of {name:?}: {error}"))?;
    Ok(Entry {
        config: text("path-config")?.to_owned(),
        has_mqtt: entry.get("mqtt").is_some_and(Value::is_object),
        name,
        guid,
    })
}

/// The layout that the driver will take for this host's.
pub(crate) fn layout(config: &DriverConfig) -> Layout {
    match config.abi {
        AbiChoice::Auto => layout_of_host(),
        AbiChoice::Classic => Layout::Classic,
        AbiChoice::V2 => Layout::V2,
    }
}
