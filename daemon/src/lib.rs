//! What every Probity process does the same: configuration, exit codes, telemetry, health, keys, pinned TLS
