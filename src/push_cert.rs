//! Apple's push certificate: the topic that enrolment profiles name.

use crate::{
    error::Result,
    store::{Record, Tx},
};
use serde::{Deserialize, Serialize};

/// A topic of our own making, until a push certificate is set: simulated devices work with it, real ones are never woken.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Placeholder {
    topic: String,
}

impl Record for Placeholder {
    const KIND: &'static str = "apple-topic";
    fn key(&self) -> String {
        String::new()
    }
}

/// The push topic.
pub fn topic(tx: &mut Tx<'_>) -> Result<String> {
    if let Some(kept) = tx.get::<Placeholder>("")? {
        return Ok(kept.topic);
    }
    let topic = format!("com.apple.mgmt.External.{}", tx.new_id::<uuid::Uuid>());
    tx.put(&Placeholder { topic: topic.clone() })?;
    Ok(topic)
}
