//! The data owner's side: put, get and repair over the nodes
