//! Sets up what is missing, then runs, tests, measures or fuzzes.
fn main() {}
