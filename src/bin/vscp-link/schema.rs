//! `vscp-link schema`: the JSON schemas of the configuration files, for editors.

use std::io::{self, Write};

use crate::args::{SchemaArgs, SchemaOf};
use crate::failure::Failure;

const DRIVER: &str = include_str!("../../../contrib/schema/driver.schema.json");
const USERS: &str = include_str!("../../../contrib/schema/users.schema.json");

/// Prints one.
pub(crate) fn run(args: &SchemaArgs) -> Result<(), Failure> {
    let text = match args.of {
        SchemaOf::Driver => DRIVER,
        SchemaOf::Users => USERS,
    };
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes()).map_err(Failure::Output)
}
