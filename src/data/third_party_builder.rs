//! What can be chosen for one file that goes from server to server.

use std::future::IntoFuture;

use crate::client::Client;
use crate::credential::Credential;
use crate::data::ThirdParty;
use crate::data::choices::{Boxed, Watched};
use crate::data::third_party_choices::{PairChoices, pair_setters};
use crate::error::{Error, Result};
use crate::options::{DataChannelAuth, ProtectionLevel, StorageModule, StripeLayout, Timeouts, TransferMode};
use crate::session::third_party::Part;
use crate::types::{ByteRange, RestartMarker};
use crate::url::{IntoUrl, Url};

/// A transfer between two servers to be started: made by [`Client::third_party`], started by `.await`.
#[derive(Debug, Clone)]
#[must_use = "a transfer is started by `.await`"]
pub struct ThirdPartyBuilder {
    pub(super) choices: PairChoices,
    pub(super) from: Result<Url>,
    pub(super) to: Result<Url>,
    range: ByteRange,
    restart: Option<RestartMarker>,
    resume: bool,
    pub(super) check_size: bool,
    pub(super) source_module: Option<StorageModule>,
    pub(super) destination_module: Option<StorageModule>,
}

impl ThirdPartyBuilder {
    pair_setters!();

    /// The transmission mode (MODE, RFC 959 §4.1.2). Default: [`TransferMode::Auto`]: stream mode, and extended block mode for
    /// parallel and striped transfers.
    ///
    /// In stream mode globus-gridftp-server sends no markers; in extended block mode it does every five seconds.
    pub fn mode(mut self, mode: TransferMode) -> Self {
        self.choices.options.mode = mode;
        self
    }

    /// Whether both servers may use several data nodes at once (SPAS and SPOR, GFD.20); means extended block mode. Default:
    /// false.
    pub fn striped(mut self, striped: bool) -> Self {
        self.choices.options.striped = striped;
        self
    }

    /// Which stripe carries which bytes (`OPTS RETR StripeLayout=`). Another one than the default means
    /// [`striped`](Self::striped). Default: [`StripeLayout::Default`].
    pub fn layout(mut self, layout: StripeLayout) -> Self {
        self.choices.options.layout = layout;
        self
    }

    /// Moves only these bytes, to the same place of a file that may exist already (`ERET P` and `ESTO A`, GFD.20). What lies
    /// beyond the source's end is left out. Not together with a restart. Default: all, and the file is replaced.
    ///
    /// Corresponds to `globus_ftp_client_partial_third_party_transfer`.
    pub fn range(mut self, range: impl Into<ByteRange>) -> Self {
        self.range = range.into();
        self
    }

    /// Moves only what a marker does not name (REST at both servers): what [`ThirdParty::abort`] gave. In stream mode of an
    /// extended marker only what is contiguous from the start counts. Default: none.
    pub fn restart(mut self, marker: RestartMarker) -> Self {
        self.restart = Some(marker);
        self
    }

    /// Whether the transfer continues where the destination's file ends (SIZE there, then REST at both servers): for a file
    /// that was moved in order before, and whose contents nobody has changed since. A destination that does not exist is
    /// written whole. Default: false.
    ///
    /// Corresponds to `globus_ftp_client_operationattr_set_resume_third_party_transfer`.
    pub fn resume(mut self, resume: bool) -> Self {
        self.resume = resume;
        self
    }

    /// Whether the sizes that both servers tell (SIZE) are compared at the end. Default: true. Turn it off for what has no
    /// size, such as a device.
    pub fn check_size(mut self, check: bool) -> Self {
        self.check_size = check;
        self
    }

    /// The number of bytes that the destination is told to make room for (ALLO). Default: it is told nothing.
    pub fn allocate(mut self, bytes: u64) -> Self {
        self.choices.options.allocate = Some(bytes);
        self
    }

    /// A storage module of the source with its arguments: `ERET name="arguments" path` instead of RETR (GFD.20). What it
    /// sends is not compared in size. Default: none.
    ///
    /// Corresponds to `globus_ftp_client_extended_third_party_transfer`.
    pub fn source_module(mut self, name: impl Into<String>, arguments: impl Into<String>) -> Self {
        self.source_module = Some(StorageModule { name: name.into(), arguments: arguments.into() });
        self
    }

    /// A storage module of the destination with its arguments: `ESTO name="arguments" path` instead of STOR (GFD.20). What it
    /// stores is not compared in size. Default: none.
    ///
    /// Corresponds to `globus_ftp_client_extended_third_party_transfer`.
    pub fn destination_module(mut self, name: impl Into<String>, arguments: impl Into<String>) -> Self {
        self.destination_module = Some(StorageModule { name: name.into(), arguments: arguments.into() });
        self
    }

    /// Which part is asked for, everything checked that can be checked here.
    pub(super) fn part(&self) -> Result<Part> {
        let range = self.range.check()?;
        let modules = self.source_module.is_some() || self.destination_module.is_some();
        for module in [&self.source_module, &self.destination_module].into_iter().flatten() {
            module.check()?;
        }
        if modules && !range.is_all() {
            return Err(Error::invalid(format!(
                "byte range {range} with a storage module: expected one of them, as both are said by ERET and ESTO"
            )));
        }
        match (range.is_all(), &self.restart, self.resume) {
            (true, None, false) => Ok(Part::Whole),
            (true, None, true) => Ok(Part::Resume),
            (true, Some(marker), false) => Ok(Part::Rest(marker.clone())),
            (false, None, false) => Ok(Part::Range { offset: range.offset(), length: range.length() }),
            _ => Err(Error::invalid(format!(
                "byte range {range}, restart {:?}, resume {}: expected one of them",
                self.restart.as_ref().map(ToString::to_string),
                self.resume
            ))),
        }
    }
}

impl IntoFuture for ThirdPartyBuilder {
    type Output = Result<ThirdParty>;
    type IntoFuture = Boxed<ThirdParty>;

    fn into_future(self) -> Self::IntoFuture {
        let watched = Watched::new(&self.choices.client, "third_party", self.from.as_ref().ok());
        let span = watched.span();
        Box::pin(watched.start(ThirdParty::start(self, span)))
    }
}

impl Client {
    /// Moves a file from one server to another, or within one, without its bytes coming here: the builder's `.await` gives a
    /// [`ThirdParty`] once both servers were told.
    ///
    /// On the wire, over a session with each server: PASV (SPAS) at the destination and SIZE at the source, PORT (EPRT, SPOR)
    /// at the source, then STOR and RETR. The source connects to the destination, so it must be able to reach it; the address
    /// that the destination tells is passed on as it is.
    ///
    /// A source whose SIZE says that there is no such file is reported before the destination's file is touched.
    ///
    /// Nothing is delegated, and the servers do not prove to each other who they are, unless protection or data channel
    /// authentication is asked for. One side may be `ftp`, the other `gsiftp` then.
    ///
    /// # Errors
    /// An error's [`side`](Error::side) is [`Source`](crate::Side::Source) or [`Destination`](crate::Side::Destination), its
    /// URL that side's. `NotFound`, `PermissionDenied`, `IsADirectory`, `NoSpace`; what a login can fail with; `Unsupported`
    /// for a protection, range or restart that a server does not have; `InvalidInput` for choices that exclude each other;
    /// `Timeout` of any kind; `Protocol`.
    ///
    /// # Cancel safety
    /// Dropping the future, or the [`ThirdParty`], ends the transfer by closing the session with the source; the incomplete
    /// file is then deleted in the background, unless it was written in part.
    ///
    /// # Examples
    /// ```no_run
    /// # async fn example() -> gridftp::Result<()> {
    /// let client = gridftp::Client::new()?;
    /// let transfer = client
    ///     .third_party("gsiftp://one.example.org/data/run7.root", "gsiftp://two.example.org/data/run7.root")
    ///     .parallelism(4)
    ///     .await?;
    /// let summary = transfer.join().await?;
    /// println!("{:?} bytes", summary.size);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// Corresponds to `globus_ftp_client_third_party_transfer` (RFC 959 §5.2, GFD.20).
    pub fn third_party(&self, from: impl IntoUrl, to: impl IntoUrl) -> ThirdPartyBuilder {
        ThirdPartyBuilder {
            choices: PairChoices::new(self),
            from: from.into_url(),
            to: to.into_url(),
            range: ByteRange::ALL,
            restart: None,
            resume: false,
            check_size: true,
            source_module: None,
            destination_module: None,
        }
    }
}
