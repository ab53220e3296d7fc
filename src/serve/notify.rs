//! What a service manager is told (sd_notify(3)): that the ports answer, and that the end has begun. One datagram each, to the socket
//! that it names in `NOTIFY_SOCKET`; where nobody named one, nothing.

use std::{
    ffi::OsStr,
    io,
    os::{
        linux::net::SocketAddrExt,
        unix::{
            ffi::OsStrExt,
            net::{SocketAddr, UnixDatagram},
        },
    },
    time::Duration,
};

/// For the manager to take a word.
const PATIENCE: Duration = Duration::from_secs(1);

/// How far the server is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Word {
    /// Both ports answer.
    Ready,
    /// No new connections; those that are open end.
    Stopping,
}

/// Says it. A manager that does not hear is told of in the log and keeps nobody from serving.
pub(super) fn tell(word: Word) {
    if let Some(socket) = std::env::var_os("NOTIFY_SOCKET").filter(|name| !name.is_empty())
        && let Err(error) = send(&socket, word)
    {
        tracing::warn!(%error, socket = %socket.display(), "the service manager could not be told: {word:?}");
    }
}

fn send(socket: &OsStr, word: Word) -> io::Result<()> {
    // A name that begins with @ is in no folder.
    let address = match socket.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(socket)?,
    };
    let message: &[u8] = match word {
        Word::Ready => b"READY=1\n",
        Word::Stopping => b"STOPPING=1\n",
    };
    let from = UnixDatagram::unbound()?;
    // A manager that does not read holds nothing up.
    from.set_write_timeout(Some(PATIENCE))?;
    from.send_to_addr(message, &address).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manager_hears_by_a_path_and_by_a_name_in_no_folder() {
        let name = format!("lanyard-{}", uuid::Uuid::new_v4().simple());
        let path = std::env::temp_dir().join(&name);
        let by_path = UnixDatagram::bind(&path).unwrap();
        let by_name = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(name.as_bytes()).unwrap()).unwrap();
        for (socket, named) in [(by_path, path.clone().into_os_string()), (by_name, format!("@{name}").into())] {
            for (word, want) in [(Word::Ready, "READY=1\n"), (Word::Stopping, "STOPPING=1\n")] {
                send(&named, word).unwrap();
                let mut heard = [0; 64];
                let length = socket.recv(&mut heard).unwrap();
                assert_eq!(&heard[..length], want.as_bytes());
            }
        }
        std::fs::remove_file(path).unwrap();
        assert!(send(OsStr::new("/nowhere/socket"), Word::Ready).is_err());
    }
}
