//! The client: who is asked for what, over which session, and for how long.
//!
//! [`Client`] is what users hold; `builder` makes it, `view` gives it another identity or other limits, `identity` decides
//! who logs in, `paths` what the path of a URL means, `pool` keeps the sessions of each endpoint, `claims` knows who writes to
//! which name, `limits` puts deadlines around operations, `metrics` counts.
//!
//! Never here: replies and their meaning (`ops`), data channels (`session`), C (`engine`).

mod builder;
mod claims;
mod identity;
mod limits;
mod metrics;
mod pair;
mod paths;
mod pool;
mod process;
mod view;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;

use crate::credential::Credential;
use crate::engine::fork;
use crate::error::{Error, ErrorKind, Phase, Result, Side};
use crate::options::Timeouts;
use crate::protocol::secret::Secret;
use crate::session::Counters;
use crate::url::Url;

pub use builder::ClientBuilder;
pub(crate) use builder::{check_assertion, check_subject};
pub(crate) use claims::Claim;
pub(crate) use limits::{Repeat, span};
pub use metrics::Metrics;
pub(crate) use pair::Half;
pub(crate) use pool::{Exclusive, Shared};
pub(crate) use process::{Connection, connections};
pub use process::{EngineMetrics, engine_metrics, init, library_versions, shutdown};

use builder::Config;
use identity::{Credentials, Who};
use pool::Pool;

/// Sessions in the map of pools before unused ones are looked for.
const FIRST_SWEEP: usize = 64;

/// A GridFTP client: the sessions to any number of servers, shared by all its clones.
///
/// Making one costs nothing; connections are made when they are needed, used by many operations at once, and closed when
/// they were idle for a while or the last clone is gone. A client is `Send` and `Sync`, its operations can be started
/// from any number of tasks, and thousands may wait at once: the client decides how many connections live.
///
/// Everything that waits has a [deadline](crate::options::Timeouts) by default. Operations must be polled within a tokio
/// runtime with I/O and time enabled. A client may be used from several runtimes: each has its own sessions.
///
/// # Examples
/// ```no_run
/// # async fn example() -> gridftp::Result<()> {
/// let client = gridftp::Client::new()?;
/// let size = client.size("ftp://ftp.example.org/pub/data.root").await?;
/// println!("{size} bytes");
/// # Ok(())
/// # }
/// ```
///
/// Corresponds to `globus_ftp_client_handle_init` with `globus_ftp_client_handleattr_set_cache_all`.
#[derive(Clone)]
pub struct Client {
    inner: Arc<Inner>,
    /// The choices of this client; views of it share everything else.
    config: Arc<Config>,
}

struct Inner {
    common: Arc<Common>,
    pools: Mutex<Pools>,
    turns: pair::Turns,
}

impl Drop for Inner {
    fn drop(&mut self) {
        if fork::is_child() {
            return;
        }
        let pools = self.pools.get_mut().unwrap_or_else(PoisonError::into_inner);
        // Leases keep their pools, but not what nobody uses.
        pools.by_key.values().for_each(Pool::retire);
    }
}

#[derive(Default)]
struct Pools {
    by_key: HashMap<Key, Arc<Pool>>,
    sweep_at: usize,
}

/// What every pool of a client needs.
#[derive(Debug)]
struct Common {
    counters: Arc<Counters>,
    operations: metrics::Operations,
    credentials: Credentials,
}

/// Sessions are shared by operations that agree in all of this.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    who: Who,
    delegate: bool,
    /// A connection that does not answer in time is given up, so who waits longer uses another one.
    connect_limit: Duration,
    reply_limit: Duration,
    /// Whether it may go over IPv6.
    ipv6: bool,
    /// What servers are told to connect to.
    data_address: Option<std::net::IpAddr>,
    /// A session lives and dies with the runtime that drives it.
    runtime: tokio::runtime::Id,
}

/// What one operation wants otherwise than its client.
#[derive(Debug, Clone, Default)]
pub(crate) struct SessionOptions {
    pub(crate) credential: Option<Credential>,
    /// The distinguished name the server has to have.
    pub(crate) subject: Option<Arc<str>>,
    pub(crate) timeouts: Option<Timeouts>,
    /// The credential that the server uses on data channels.
    pub(crate) data_security: Option<Credential>,
    /// What the server is told after the login.
    pub(crate) authz_assertion: Option<Secret>,
    /// The server needs a proxy. Whether it gets one is the client's policy.
    pub(crate) delegate: bool,
}

impl Client {
    /// A client with defaults: the default credential search for `gsiftp`, anonymous for `ftp`.
    ///
    /// # Errors
    /// None at present.
    pub fn new() -> Result<Self> {
        Self::builder().build()
    }

    /// Everything that can be chosen.
    pub fn builder() -> ClientBuilder {
        ClientBuilder::default()
    }

    fn from_config(config: Config) -> Self {
        let common = Common {
            counters: Arc::default(),
            operations: metrics::Operations::default(),
            credentials: Credentials::default(),
        };
        let inner =
            Inner { common: Arc::new(common), pools: Mutex::default(), turns: pair::Turns::default() };
        Self { inner: Arc::new(inner), config: Arc::new(config) }
    }

    /// What this client, its clones and its views have done so far, and what they are doing now.
    pub fn metrics(&self) -> Metrics {
        Metrics::of(&self.inner.common.counters, &self.inner.common.operations)
    }

    /// How many transfers with one server may go on at the same time.
    pub(crate) fn sessions_per_endpoint(&self) -> usize {
        self.config.sessions
    }

    pub(crate) fn timeouts(&self) -> &Timeouts {
        &self.config.timeouts
    }

    /// A place on a session that many operations use at once, for commands whose replies come on the control channel.
    ///
    /// # Errors
    /// As [`Login::open`](crate::session::Login::open), and what is wrong with the credential.
    ///
    /// # Cancel safety
    /// Cancel safe; a login under way goes on for others.
    pub(crate) async fn shared(&self, url: &Url, options: &SessionOptions) -> Result<Shared> {
        // Commands need no data channel, so the server needs no proxy.
        self.pool(url, options, false)?.shared().await
    }

    /// A session of one's own, for a transfer. Dropped, it goes back to the pool unless it was marked as broken.
    ///
    /// # Errors
    /// As [`Client::shared`].
    ///
    /// # Cancel safety
    /// Cancel safe; the place in the queue is lost.
    pub(crate) async fn exclusive(&self, url: &Url, options: &SessionOptions) -> Result<Exclusive> {
        let delegate = options.delegate && self.config.delegation == crate::options::Delegation::WhenNeeded;
        self.pool(url, options, delegate)?.exclusive().await
    }

    /// Logs in, so that a session is there when one is wanted. What it fails with is told to whoever wants one then.
    ///
    /// # Cancel safety
    /// Cancel safe; a login under way goes on for others.
    pub(crate) async fn warm(&self, url: &Url) {
        if let Err(error) = self.exclusive(url, &SessionOptions::default()).await {
            tracing::debug!(%error, "a login ahead of time failed");
        }
    }

    fn pool(&self, url: &Url, options: &SessionOptions, delegate: bool) -> Result<Arc<Pool>> {
        // Before any lock, which a child may find held for ever.
        fork::watch();
        fork::check()?;
        let Ok(handle) = Handle::try_current() else {
            let message = "an operation was polled outside of a tokio runtime";
            return Err(Error::new(ErrorKind::InvalidInput, Phase::Input, message).with_side(Side::Local));
        };
        let who = Who::of(&self.config, url, options)?;
        let timeouts = options.timeouts.as_ref().unwrap_or(&self.config.timeouts);
        let key = Key {
            delegate: delegate && who.credential.is_gsi(),
            who,
            connect_limit: timeouts.connect_limit(),
            reply_limit: timeouts.reply_limit(),
            ipv6: self.config.ipv6,
            data_address: self.config.data_address,
            runtime: handle.id(),
        };
        let mut pools = self.inner.pools.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pool) = pools.by_key.get(&key) {
            return Ok(Arc::clone(pool));
        }
        // A pool holds on to its runtime, and so to the descriptors of that: the first one of a new runtime looks for those of
        // runtimes that have ended.
        let new_runtime = pools.by_key.keys().all(|other| other.runtime != key.runtime);
        if new_runtime || pools.by_key.len() >= pools.sweep_at.max(FIRST_SWEEP) {
            // A pool that only the map holds cannot be in anybody's hands, since it is given out under this lock.
            pools.by_key.retain(|_, pool| Arc::strong_count(pool) > 1 || pool.is_used());
            pools.sweep_at = pools.by_key.len() * 2;
        }
        let pool = Arc::new(Pool::new(key.clone(), &self.config, Arc::clone(&self.inner.common), handle));
        pools.by_key.insert(key, Arc::clone(&pool));
        Ok(pool)
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("config", &self.config).finish_non_exhaustive()
    }
}
