//! Whole repositories, small enough to know every edge by the language's rules.

mod expect;
mod hostile;
mod outline;
mod python;
mod reading;
mod rust;
mod stable;
