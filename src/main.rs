//! The Lanyard server and its command line.
fn main() {}
