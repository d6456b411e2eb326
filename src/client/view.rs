//! Views of a client: the same sessions and counters, another identity or other limits.

use std::sync::Arc;

use super::{Client, check_assertion, check_subject};
use crate::credential::Credential;
use crate::error::Result;
use crate::options::Timeouts;

impl Client {
    /// A view of this client with another credential, for single operations in somebody else's name.
    ///
    /// A GSI credential takes the place of the one for `gsiftp` URLs, a password or an anonymous one that for `ftp`; the
    /// other one stays. The view shares sessions, limits and counters with this client: operations of the same identity use
    /// the same sessions, whichever view they come from, and nothing of one identity is ever done on a session of another.
    /// Making a view costs no more than a clone, and reads nothing.
    ///
    /// # Examples
    /// ```no_run
    /// # async fn example(client: gridftp::Client) -> gridftp::Result<()> {
    /// use gridftp::Credential;
    ///
    /// let alice = client.with_credential(Credential::from_proxy_file("/run/proxies/alice"));
    /// let size = alice.size("gsiftp://data.example.org/home/alice/run7.root").await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// Corresponds to `globus_ftp_client_operationattr_set_authorization`.
    #[must_use = "a view is a client of its own; the one it is made from stays as it is"]
    pub fn with_credential(&self, credential: Credential) -> Self {
        self.changed(|config| {
            if credential.is_gsi() {
                config.gsi = credential;
            } else {
                config.plain = credential;
            }
        })
    }

    /// A view of this client that expects another distinguished name of `gsiftp` servers, as
    /// [`ClientBuilder::subject`](crate::ClientBuilder::subject). It shares everything else, see
    /// [`with_credential`](Client::with_credential).
    ///
    /// # Errors
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) for a subject that is no distinguished name.
    ///
    /// # Examples
    /// ```no_run
    /// # async fn example(client: gridftp::Client) -> gridftp::Result<()> {
    /// let view = client.with_subject("/O=Grid/CN=host/pool7.example.org")?;
    /// let entry = view.stat("gsiftp://10.0.0.7/data/run7.root").await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// Corresponds to the subject of `globus_ftp_client_operationattr_set_authorization`.
    pub fn with_subject(&self, name: impl Into<String>) -> Result<Self> {
        let subject = check_subject(&name.into())?;
        Ok(self.changed(|config| config.subject = Some(subject)))
    }

    /// A view of this client that tells servers what an authorization service said about the user, as
    /// [`ClientBuilder::authz_assertion`](crate::ClientBuilder::authz_assertion). It shares everything else, see
    /// [`with_credential`](Client::with_credential).
    ///
    /// # Errors
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) for a text that is empty, too long, or has control bytes.
    ///
    /// # Examples
    /// ```no_run
    /// # async fn example(client: gridftp::Client, said: String) -> gridftp::Result<()> {
    /// let entry = client.with_authz_assertion(said)?.stat("gsiftp://data.example.org/run7.root").await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// Corresponds to `globus_ftp_client_operationattr_set_authz_assert`.
    pub fn with_authz_assertion(&self, assertion: impl Into<String>) -> Result<Self> {
        let assertion = assertion.into().into();
        check_assertion(&assertion)?;
        Ok(self.changed(|config| config.assertion = Some(assertion)))
    }

    /// A view of this client with other limits.
    ///
    /// It shares everything else, see [`with_credential`](Client::with_credential); only operations whose limits for
    /// connecting or for replies differ use sessions of their own, because a reply that does not come in time ends the
    /// connection for all who use it.
    ///
    /// # Examples
    /// ```no_run
    /// # async fn example(client: gridftp::Client) -> gridftp::Result<()> {
    /// use std::time::Duration;
    /// use gridftp::options::Timeouts;
    ///
    /// // A tape library may take its time.
    /// let patient = client.with_timeouts(Timeouts::default().reply(Duration::from_secs(3600)));
    /// let size = patient.size("gsiftp://tape.example.org/run7.root").await?;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use = "a view is a client of its own; the one it is made from stays as it is"]
    pub fn with_timeouts(&self, timeouts: Timeouts) -> Self {
        self.changed(|config| config.timeouts = timeouts)
    }

    fn changed(&self, change: impl FnOnce(&mut super::builder::Config)) -> Self {
        let mut config = (*self.config).clone();
        change(&mut config);
        Self { inner: Arc::clone(&self.inner), config: Arc::new(config) }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::ErrorKind;
    use crate::session::testing::{Peer, Server, until};

    #[tokio::test]
    async fn views_share_sessions_of_the_same_identity_and_counters() {
        let server = Server::start(Peer::behave).await;
        let client = Client::new().unwrap();
        let url = server.url("/f/7");
        assert_eq!(client.size(&url).await.unwrap(), 7);
        let limited = client.with_timeouts(Timeouts::default().total(Duration::from_secs(60)));
        assert_eq!(limited.size(&url).await.unwrap(), 7);
        assert_eq!(server.connections(), 1, "a limit for whole operations needs no session of its own");

        let lab = client.with_credential(Credential::user_password("lab", "secret").unwrap());
        assert_eq!(lab.size(&url).await.unwrap(), 7);
        assert_eq!(server.connections(), 2, "another user, another session");
        let again = client.with_credential(Credential::user_password("lab", "secret").unwrap());
        assert_eq!(again.size(&url).await.unwrap(), 7);
        assert_eq!(client.size(&url).await.unwrap(), 7);
        assert_eq!(server.connections(), 2, "the same users, the same sessions");

        let patient = lab.with_timeouts(Timeouts::default().reply(Duration::from_secs(600)));
        assert_eq!(patient.size(&url).await.unwrap(), 7);
        assert_eq!(server.connections(), 3);
        assert_eq!(client.metrics().logins, 3);
        assert_eq!(patient.metrics().logins, 3);
    }

    #[tokio::test]
    async fn sessions_live_until_the_last_view_is_gone() {
        let server = Server::start(Peer::behave).await;
        let client = Client::new().unwrap();
        let url = server.url("/f/7");
        let view = client.with_credential(Credential::anonymous_as("a@example.org").unwrap());
        let counters = Arc::clone(&client.inner.common.counters);
        client.size(&url).await.unwrap();
        view.size(&url).await.unwrap();
        drop(client);
        assert_eq!(view.size(&url).await.unwrap(), 7);
        assert_eq!(server.connections(), 2);
        assert_eq!(counters.open.get(), 2);
        drop(view);
        until("all sessions are closed", || counters.open.get() == 0).await;
    }

    #[tokio::test]
    async fn a_view_has_its_own_limits() {
        let server = Server::start(async |mut peer: Peer| {
            peer.say("220 ready\r\n").await;
            // Says nothing to SIZE.
            while let Some(line) = peer.line().await {
                if !line.starts_with("SIZE") {
                    peer.say(crate::session::testing::ordinary_answer(&line)).await;
                }
            }
        })
        .await;
        let client = Client::new().unwrap();
        let hasty = client.with_timeouts(Timeouts::default().reply(Duration::from_millis(50)));
        let error = hasty.size(server.url("/f/7")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Timeout(crate::TimeoutKind::Reply), "{error}");
        let hasty = client.with_timeouts(Timeouts::default().total(Duration::from_millis(50)));
        let error = hasty.size(server.url("/f/7")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Timeout(crate::TimeoutKind::Total), "{error}");
    }

    #[test]
    fn a_subject_is_checked_when_it_is_given() {
        let client = Client::new().unwrap();
        let error = client.with_subject("CN=x").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        let view = client.with_subject("/O=Grid/CN=x").unwrap();
        assert_eq!(view.config.subject.as_deref(), Some("/O=Grid/CN=x"));
        assert_eq!(client.config.subject, None);
    }
}
