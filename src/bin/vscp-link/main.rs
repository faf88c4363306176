//! `vscp-link`: the driver for people.

fn main() {}
