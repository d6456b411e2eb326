//! Files that are being cleaned up: whoever cannot do it says so.

use crate::url::Url;

/// Says that an incomplete file may be left, unless it was [seen to](Unseen::seen): a runtime that is shut down throws the
/// task away that would have deleted the file.
#[derive(Debug)]
pub(super) struct Unseen(Option<Url>);

impl Unseen {
    pub(super) fn new(url: &Url) -> Self {
        Self(Some(url.clone()))
    }

    /// What became of the file is known, and told where it has to be.
    pub(super) fn seen(mut self) {
        self.0 = None;
    }
}

impl Drop for Unseen {
    fn drop(&mut self) {
        if let Some(url) = &self.0 {
            tracing::warn!(%url, "an incomplete file may be left: the runtime was shut down before it could be deleted");
        }
    }
}
