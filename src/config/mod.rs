//! Configuration files: from JSON with places to validated values.

pub mod model;
