//! The Apple MDM protocol: bytes to typed messages and back, without I/O.
