//! Domain types with their encodings, and every judgement on them
