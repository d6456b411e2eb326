//! Where the bytes of a put go in the file, how to say so, and what the file must look like afterwards.

use bytes::Bytes;

use crate::error::{Error, ErrorKind, Phase, Reply, Result, Side};
use crate::options::DataOptions;
use crate::protocol::command::Command;
use crate::session::get::{shorter, size_of, told, with_path};
use crate::session::put::account::Layout;
use crate::session::watch::Limits;
use crate::types::{FeatureSet, RestartMarker};

/// What becomes of what the name held before.
#[derive(Debug, Clone)]
pub(crate) enum Placement {
    /// It is replaced.
    Replace,
    /// It stays, and is written over from this byte on.
    At(u64),
    /// It stays, and the new bytes come behind it.
    Append,
    /// It is what an earlier put left; these bytes of it are right.
    Restart(RestartMarker),
    /// A module of the server decides: the words between ESTO and the path.
    Algorithm(String),
}

/// Where and how to store.
#[derive(Debug, Clone)]
pub(crate) struct PutRequest {
    /// The path as the server takes it.
    pub(crate) path: Bytes,
    pub(crate) placement: Placement,
    /// Ask for the size afterwards, and compare.
    pub(crate) check_size: bool,
    /// How often the server is to say what it has, in seconds.
    pub(crate) marker_seconds: Option<u32>,
    pub(crate) options: DataOptions,
    pub(crate) limits: Limits,
}

/// What is sent, and where in the file it goes.
#[derive(Debug)]
pub(super) struct Plan {
    /// REST. A transfer that follows one that was refused would replace the file, so the answer is waited for.
    pub(super) restart: Option<Command>,
    pub(super) store: Command,
    pub(super) layout: Layout,
}

impl PutRequest {
    /// Whether the size must be known before.
    pub(super) fn asks_size(&self, features: &FeatureSet) -> bool {
        let known = match &self.placement {
            Placement::Replace | Placement::Algorithm(_) => true,
            Placement::Restart(marker) => marker.is_empty(),
            Placement::At(_) | Placement::Append => false,
        };
        !known && features.size()
    }

    /// What goes ahead of everything else: hints, which a server that does not know them refuses without harm.
    pub(super) fn hints(&self) -> Result<Vec<Command>> {
        let mut hints = Vec::new();
        if let Some(bytes) = self.options.allocate {
            hints.push(Command::with("ALLO", bytes.to_string())?);
        }
        if let (Some(seconds), true) = (self.marker_seconds, self.options.extended_block()) {
            hints.push(Command::with("TREV", format!("RESTART {seconds}"))?);
        }
        Ok(hints)
    }

    /// `told` is the answer to SIZE, where that was asked.
    pub(super) fn plan(&self, features: &FeatureSet, told: Option<Reply>) -> Result<Plan> {
        let path = &self.path;
        let before = match &told {
            Some(reply) => size_before(reply),
            None => None,
        };
        let store = match &self.options.storage_module {
            None => Command::with("STOR", path)?,
            Some(module) => with_path("ESTO", &module.to_string(), path)?,
        };
        let unknown = self.options.storage_module.is_some() || self.options.disk_stack.is_some();
        let text = self.options.ascii;
        let whole = Layout { shift: (!unknown).then_some(0), before: Some(0), text, ..Layout::default() };
        match &self.placement {
            Placement::Replace => Ok(Plan { restart: None, store, layout: whole }),
            Placement::Algorithm(words) => {
                let store = with_path("ESTO", words, path)?;
                Ok(Plan { restart: None, store, layout: Layout::default() })
            }
            Placement::At(offset) if features.esto() => {
                let store = with_path("ESTO", &format!("A {offset}"), path)?;
                let shift = (!unknown).then_some(*offset);
                Ok(Plan {
                    restart: None,
                    store,
                    layout: Layout { shift, before, keeps_rest: true, ..Layout::default() },
                })
            }
            Placement::At(_) => Err(Error::new(
                ErrorKind::Unsupported,
                Phase::Command,
                "the server cannot write into the middle of a file (ESTO)",
            )
            .with_side(Side::Server)),
            Placement::Append => {
                let store = Command::with("APPE", path)?;
                let kept = before.map(|before| 0..before).into_iter().collect();
                let layout = Layout { shift: before, before, kept, keeps_rest: true, ..whole };
                Ok(Plan { restart: None, store, layout })
            }
            Placement::Restart(marker) => {
                if let (Some(reply), None) = (told, before.filter(|&size| size > 0)) {
                    refuse_missing(reply, marker)?;
                }
                self.restarted(marker, before, store, whole)
            }
        }
    }

    fn restarted(
        &self,
        marker: &RestartMarker,
        before: Option<u64>,
        store: Command,
        whole: Layout,
    ) -> Result<Plan> {
        let kept = if self.options.extended_block() {
            marker.ranges()
        } else {
            // A stream goes on where the first gap is; what lies behind is sent once more.
            std::iter::once(0..marker.contiguous()).collect()
        };
        let end = kept.iter().last().map_or(0, |range| range.end);
        if let Some(before) = before
            && end > before
        {
            // Going on would leave a hole of zeros, in a file of the right size.
            return Err(shorter(end, before));
        }
        let restart = match end {
            0 => None,
            _ if self.options.extended_block() => Some(told(&kept).to_string()),
            end => Some(end.to_string()),
        };
        let restart = restart.map(|text| Command::with("REST", text)).transpose()?;
        let before = if restart.is_some() { before } else { Some(0) };
        let position = kept.contiguous_from(0);
        Ok(Plan { restart, store, layout: Layout { before, kept, position, end, ..whole } })
    }
}

/// What SIZE says: nothing there is nothing that stays.
fn size_before(reply: &Reply) -> Option<u64> {
    let missing = || {
        let error = Error::from_reply(reply.clone(), Phase::Command, "no size");
        (error.kind() == ErrorKind::NotFound).then_some(0)
    };
    size_of(reply).or_else(missing)
}

/// A file of which bytes are said to be there must be there.
fn refuse_missing(reply: Reply, marker: &RestartMarker) -> Result<()> {
    if marker.is_empty() || reply.is_completion() {
        return Ok(());
    }
    let error = Error::from_reply(reply, Phase::Command, "the file that is to be continued is not there");
    // A server that does not tell sizes of what it does not let us read is believed.
    if error.kind() == ErrorKind::NotFound { Err(error) } else { Ok(()) }
}
