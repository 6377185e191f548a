//! Whole repositories, small enough to know every edge by the language's rules.

mod c;
mod cmake_conditions;
mod computed;
mod cpp_modules;
mod csharp;
mod expect;
mod fuzz;
mod go;
mod hostile;
mod include_paths;
mod javascript;
mod jvm;
mod jvm_projects;
mod node;
mod output;
mod php;
mod python;
mod python_paths;
mod ruby;
mod rust;
mod rust_modules;
mod scripts;
mod stable;
