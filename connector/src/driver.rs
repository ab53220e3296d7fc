//! One Exchange, however it is reached.

use lanyard_exchange::{
    calls::Kind,
    cmdlet::{Cmdlet, Failure, Row},
};
use std::{future::Future, pin::Pin};

/// What a call brought.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Answer {
    /// The objects.
    pub rows: Vec<Row>,
    /// There are more: the same call with this brings them.
    pub next: Option<Page>,
}

/// Where an answer goes on. Opaque but for its driver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page(pub String);

/// A call under way.
pub type Calling<'a> = Pin<Box<dyn Future<Output = Result<Answer, Failure>> + Send + 'a>>;

/// Calls cmdlets. All else (which, in what order, and what an answer means) is `lanyard-exchange`'s.
pub trait Driver: Send + Sync {
    /// Calls one, or fetches its next page.
    fn call<'a>(&'a self, cmdlet: &'a Cmdlet, page: Option<&'a Page>) -> Calling<'a>;
    /// What stands behind it.
    fn kind(&self) -> Kind;
    /// Leaves nothing open there. What is called afterwards begins anew.
    fn end(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(std::future::ready(()))
    }
}

/// All rows of a call, page by page. For those that return few.
pub async fn all(driver: &dyn Driver, cmdlet: &Cmdlet) -> Result<Vec<Row>, Failure> {
    let (mut rows, mut page) = (Vec::new(), None);
    loop {
        let answer = driver.call(cmdlet, page.as_ref()).await?;
        rows.extend(answer.rows);
        match answer.next {
            Some(next) => page = Some(next),
            None => return Ok(rows),
        }
    }
}
