//! The images and the compose file as their users run them: healthy, hardened, silent about secrets; and while a factory is
//! busy, containers are killed, paused, stopped and scaled, and nothing is lost.
//!
//! They share one project and take turns. A Docker engine is needed: `tests/install/install.sh containers` sees to it.

mod command;
mod container;
mod images;
mod project;
mod teardown;

mod factory;
mod scene;
mod sinks;

mod faults;
mod hardening;
mod health;
mod logs;
mod scaling;
mod stopping;
