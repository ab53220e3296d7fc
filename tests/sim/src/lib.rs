//! Simulated devices that speak real bytes over TLS with encoders of their own.
