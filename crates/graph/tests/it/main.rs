//! Whole repositories, small enough to know every edge by the language's rules.

mod c;
mod csharp;
mod expect;
mod fuzz;
mod go;
mod hostile;
mod javascript;
mod jvm;
mod node;
mod output;
mod php;
mod python;
mod python_paths;
mod ruby;
mod rust;
mod scripts;
mod stable;
