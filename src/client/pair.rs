//! Two sessions at once, for transfers between servers.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::{Client, Exclusive, SessionOptions};
use crate::error::{Error, Result};
use crate::url::{Endpoint, Url};

/// Servers in the map before unused ones are looked for.
const SWEEP: usize = 64;

/// Who takes two sessions of one server has to be the only one: eight who held one each, and waited for a second, would wait
/// for ever.
#[derive(Debug, Default)]
pub(super) struct Turns(Mutex<HashMap<Endpoint, Arc<tokio::sync::Mutex<()>>>>);

impl Turns {
    fn of(&self, endpoint: &Endpoint) -> Arc<tokio::sync::Mutex<()>> {
        let mut turns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if turns.len() >= SWEEP {
            turns.retain(|_, turn| Arc::strong_count(turn) > 1);
        }
        Arc::clone(turns.entry(endpoint.clone()).or_default())
    }
}

/// Which of two sessions could not be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Half {
    First,
    Second,
}

impl Client {
    /// Two sessions of one's own, also on one server.
    ///
    /// All who need two ask in the same order, so that nobody holds what another one waits for.
    ///
    /// # Errors
    /// As [`Client::shared`], with the half it was about; `InvalidInput` for two sessions of a server with which only one may
    /// be open.
    ///
    /// # Cancel safety
    /// Cancel safe; the place in the queue is lost.
    pub(crate) async fn exclusive_pair(
        &self,
        first: (&Url, &SessionOptions),
        second: (&Url, &SessionOptions),
    ) -> Result<(Exclusive, Exclusive), (Half, Error)> {
        let one = || async { self.exclusive(first.0, first.1).await.map_err(|error| (Half::First, error)) };
        let two =
            || async { self.exclusive(second.0, second.1).await.map_err(|error| (Half::Second, error)) };
        let order = |url: &Url| {
            let endpoint = url.endpoint();
            (endpoint.host().to_owned(), endpoint.port(), format!("{endpoint}"))
        };
        if first.0.endpoint() == second.0.endpoint() {
            if self.config.sessions < 2 {
                let message = "a transfer within one server takes two sessions; expected sessions_per_endpoint of 2 or more";
                return Err((Half::First, Error::invalid(message)));
            }
            let turn = self.inner.turns.of(first.0.endpoint());
            let _turn = turn.lock().await;
            let first = one().await?;
            return Ok((first, two().await?));
        }
        if order(first.0) < order(second.0) {
            let first = one().await?;
            Ok((first, two().await?))
        } else {
            let second = two().await?;
            Ok((one().await?, second))
        }
    }
}
