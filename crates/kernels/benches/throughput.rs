//! Prints what each operation reaches on this machine; nothing is asserted.
fn main() {}
