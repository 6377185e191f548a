//! Corpora as they are met: whole, damaged, hostile.

mod corpora;
#[path = "../../../repository/tests/it/damage.rs"]
mod damage;
#[path = "../../../repository/tests/it/archives.rs"]
#[expect(dead_code, reason = "the tests of one repository use the rest")]
mod archives;
mod fuzz;
