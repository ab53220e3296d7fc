//! Exchange ActiveSync for a gateway: bytes to typed messages and back, without I/O.
