//! What must hold for any bytes: the entry points of the fuzz targets in `fuzz/`, which a short run of each in
//! `make test` shares.
//!
//! Each panics when something does not hold.

mod agtype;
mod filter_text;
mod filter_verdicts;
mod naive;
mod pgoutput;
mod samples;

pub use agtype::agtype;
pub use filter_text::filter_text;
pub use filter_verdicts::filter_verdicts;
pub use pgoutput::pgoutput;

#[cfg(test)]
mod tests;
