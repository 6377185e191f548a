//! Whole repositories, small enough to know every edge by the language's rules.

mod c;
mod expect;
mod go;
mod hostile;
mod javascript;
mod jvm;
mod outline;
mod output;
mod python;
mod reading;
mod rust;
mod stable;
