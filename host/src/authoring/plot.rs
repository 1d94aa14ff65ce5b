//! plot

pub mod figure;
mod svg;

#[cfg(test)]
mod tests;
