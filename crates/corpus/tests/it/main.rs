//! Corpora as they are met: whole, damaged, hostile.

#[path = "../../../repository/tests/it/archives.rs"]
#[expect(dead_code, reason = "the tests of one repository use the rest")]
mod archives;
mod corpora;
#[path = "../../../repository/tests/it/damage.rs"]
mod damage;
mod fuzz;
