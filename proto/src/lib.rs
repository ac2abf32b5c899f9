//! Protobuf messages and services between Probity's processes
