//! Sockets, TLS and HTTP for the rest of the server: who may connect, who a connection is, and calls to other servers.
//! Knows nothing of devices, protocols or the store; a handler finds the connection it serves as `Extension<Arc<Peer>>`.

pub mod client_auth;
pub mod client_cert_header;
pub mod connector;
pub mod crypto;
pub mod drain;
mod early;
pub mod fitness;
pub mod forwarded;
pub mod gate;
pub mod h2;
mod held;
mod host;
pub mod limits;
pub mod listener;
pub mod outgoing;
pub mod peer;
pub mod server_certificate;
pub mod tickets;
pub mod tls;

#[cfg(test)]
mod testbed;
#[cfg(test)]
mod tests;

pub use drain::{Drain, DrainSignal};
pub use gate::Gate;
pub use listener::{Listener, Serving};
pub use peer::{ClientCertificate, Peer};
pub use server_certificate::ServerCertificate;
pub use tls::Tls;
