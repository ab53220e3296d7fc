//! OMA-DM and Windows enrolment: bytes to typed messages and back, without I/O.
