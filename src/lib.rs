//! A VSCP level II driver: the tcp/ip link server and the MQTT bridge in one shared library.

pub mod auth;
pub mod catalog;
pub mod config;
pub mod event;
pub mod hub;
