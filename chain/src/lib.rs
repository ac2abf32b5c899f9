//! Typed contract bindings and the chain client
