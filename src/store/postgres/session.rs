//! One connection, driven by the thread that uses it. Nothing that is asked on it hangs: each exchange has a deadline, and a
//! connection that misses one is not used again. What is asked together in one exchange goes out in one message.

use super::{Place, tls::Tls};
use crate::store::Fault;
use std::{future::Future, time::Duration};
use tokio::{
    runtime::{Builder, Runtime},
    time::timeout,
};
use tokio_postgres::{
    Client, Config, Error, NoTls,
    config::{SslMode, TargetSessionAttrs},
    error::{DbError, Severity, SqlState},
};

/// What one exchange may take. With [`CONNECT`] it makes the ten seconds after which a caller has an answer.
pub(super) const EXCHANGE: Duration = Duration::from_secs(6);
/// What a new connection, with all that is asked before it is used, may take.
pub(super) const CONNECT: Duration = Duration::from_secs(4);

/// A batch ends by itself where its node stops in its turn, or is cut off; so does what waits for such a turn. A node reads the feed
/// four times a second: a session that is idle (from PostgreSQL 14 on that can be told) is a dead one and must not keep its name.
const OF_THE_WRITER: &str = "SET statement_timeout = '6s'; SET lock_timeout = '5500ms'; \
    SET idle_in_transaction_session_timeout = '4s'; \
    SELECT set_config(name, '10s', false) FROM pg_settings WHERE name = 'idle_session_timeout'";
/// Readers come and go with long pauses.
const OF_READERS: &str = "SET statement_timeout = '6s'; SET idle_in_transaction_session_timeout = '60s'";
/// Migrations and checks take as long as they take.
const OF_MIGRATIONS: &str = "SET statement_timeout = 0; SET lock_timeout = '20s'";
const OF_ALL: &str = "SET synchronous_commit = on; SET client_min_messages = error; SET tcp_keepalives_idle = 10; \
    SET tcp_keepalives_interval = 5; SET tcp_keepalives_count = 3; SET tcp_user_timeout = 10000";

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    Writer,
    Reader,
    Migration,
}

impl Purpose {
    fn settings(self) -> &'static str {
        match self {
            Self::Writer => OF_THE_WRITER,
            Self::Reader => OF_READERS,
            Self::Migration => OF_MIGRATIONS,
        }
    }
}

/// Why an exchange came to nothing.
#[derive(Debug)]
pub(super) enum Failure {
    /// No answer in time.
    Late(Duration),
    /// The database said no.
    Said(Box<DbError>),
    /// The connection is not there, or went.
    Gone(String),
}

impl Failure {
    /// The cause in words.
    pub(super) fn words(&self) -> String {
        match self {
            Self::Late(limit) => format!("the database gave no answer within {} s", limit.as_secs()),
            Self::Said(error) => error.message().to_string(),
            Self::Gone(text) => text.clone(),
        }
    }

    /// Of something of which surely nothing stays.
    pub(super) fn undone(&self) -> Fault {
        match self {
            Self::Said(_) | Self::Gone(_) => Fault::Busy,
            Self::Late(_) => Fault::Away(self.words()),
        }
    }

    /// A word of the database after which the session, and what else was asked on it, goes on.
    pub(super) fn is_plain(&self) -> bool {
        matches!(self, Self::Said(error) if error.parsed_severity().is_none_or(|s| s == Severity::Error))
    }

    /// The session has ended, perhaps long ago.
    pub(super) fn is_end(&self) -> bool {
        !self.is_plain() && !matches!(self, Self::Late(_))
    }

    /// Nothing that waiting mends: who we are, or where we go, is wrong.
    pub(super) fn is_lasting(&self) -> bool {
        let Self::Said(error) = self else { return false };
        let code = error.code();
        [
            &SqlState::INVALID_PASSWORD,
            &SqlState::INVALID_AUTHORIZATION_SPECIFICATION,
            &SqlState::INVALID_CATALOG_NAME,
            &SqlState::INSUFFICIENT_PRIVILEGE,
        ]
        .contains(&code)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        if let Some(said) = error.as_db_error() {
            return Self::Said(Box::new(said.clone()));
        }
        let below = std::error::Error::source(&error);
        Self::Gone(below.map_or_else(|| error.to_string(), |source| format!("{error}: {source}")))
    }
}

/// See the module.
pub(super) struct Session {
    client: Client,
    driver: Driver,
}

/// Ends without waiting, wherever it is dropped.
struct Driver(Option<Runtime>);

impl Drop for Driver {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

impl Session {
    /// Connects; the caller's thread may block.
    pub(super) fn open(place: &Place, purpose: Purpose) -> Result<Self, Failure> {
        let gone = |e: std::io::Error| Failure::Gone(e.to_string());
        let runtime = Builder::new_current_thread().enable_all().build().map_err(gone)?;
        let made = runtime.block_on(async { timeout(CONNECT, connect(place, purpose)).await });
        let client = made.map_err(|_| Failure::Late(CONNECT))??;
        Ok(Self { client, driver: Driver(Some(runtime)) })
    }

    /// Asks, and waits for the answer until the deadline. After `Late` or `Gone` the session is of no use.
    pub(super) fn ask<T>(
        &mut self,
        limit: Duration,
        work: impl AsyncFnOnce(&Client) -> Result<T, Error>,
    ) -> Result<T, Failure> {
        self.each(limit, async |client| Ok(work(client).await?))
    }

    /// Likewise, for several answers of which each may be another failure.
    pub(super) fn each<T>(
        &mut self,
        limit: Duration,
        work: impl AsyncFnOnce(&Client) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let Some(runtime) = &self.driver.0 else { return Err(Failure::Gone("closed".into())) };
        let answer = runtime.block_on(async { timeout(limit, work(&self.client)).await });
        answer.unwrap_or(Err(Failure::Late(limit)))
    }

    /// Whether it is known to have ended.
    pub(super) fn is_closed(&self) -> bool {
        self.client.is_closed()
    }
}

/// The address, made to fail soon.
pub(super) fn config(url: &str) -> Result<Config, String> {
    let mut config: Config = url.parse().map_err(|e| Failure::from(e).words())?;
    config.connect_timeout(Duration::from_secs(2)).keepalives_idle(Duration::from_secs(5));
    config.tcp_user_timeout(Duration::from_secs(10)).application_name(super::APPLICATION);
    // Of several hosts that one which takes writes; a standby alone is no store.
    config.target_session_attrs(TargetSessionAttrs::ReadWrite);
    Ok(config)
}

/// Whether the address asks for encryption.
pub(super) fn is_encrypted(config: &Config) -> bool {
    config.get_ssl_mode() == SslMode::Require
}

async fn connect(place: &Place, purpose: Purpose) -> Result<Client, Failure> {
    let client = match &place.tls {
        Some(tls) => driven(place.config.connect(Tls::clone(tls)).await?),
        None => driven(place.config.connect(NoTls).await?),
    };
    client.batch_execute(&format!("{OF_ALL}; {}", purpose.settings())).await?;
    Ok(client)
}

fn driven<C>((client, connection): (Client, C)) -> Client
where
    C: Future<Output = Result<(), Error>> + Send + 'static,
{
    // Its failure shows in what is asked.
    tokio::spawn(async { drop(connection.await) });
    client
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_stays_of_what_was_refused_before_its_commit() {
        assert!(matches!(Failure::Gone("x".into()).undone(), Fault::Busy));
        assert!(matches!(Failure::Late(EXCHANGE).undone(), Fault::Away(text) if text.contains("within 6 s")));
        assert!(Failure::Gone("x".into()).is_end() && !Failure::Late(EXCHANGE).is_end());
        assert!(!Failure::Gone("x".into()).is_plain() && !Failure::Gone("x".into()).is_lasting());
    }

    #[test]
    fn a_caller_has_an_answer_within_ten_seconds() {
        assert!(EXCHANGE + CONNECT <= Duration::from_secs(10));
    }
}
