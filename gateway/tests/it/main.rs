//! The program as its user meets it: wrong input ends with one clear line and the right exit code.

mod bad_input;
