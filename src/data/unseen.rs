//! Files that are being cleaned up: whoever cannot do it says so.

use crate::url::Url;

/// Says that an incomplete file may be left, unless it was [seen to](Unseen::seen): a runtime that is shut down throws the
/// task away that would have deleted the file.
#[derive(Debug)]
pub(super) struct Unseen {
    url: Option<Url>,
    /// What files are called that are not called by the URL.
    names: Option<String>,
}

impl Unseen {
    pub(super) fn new(url: &Url) -> Self {
        Self { url: Some(url.clone()), names: None }
    }

    /// Several files, in the folder of this URL and perhaps in others.
    pub(super) fn of_many(url: &Url, names: String) -> Self {
        Self { url: Some(url.clone()), names: Some(names) }
    }

    /// What became of the file is known, and told where it has to be.
    pub(super) fn seen(mut self) {
        self.url = None;
    }
}

impl Drop for Unseen {
    fn drop(&mut self) {
        let Some(url) = &self.url else { return };
        match &self.names {
            None => tracing::warn!(
                %url,
                "an incomplete file may be left: the runtime was shut down before it could be deleted"
            ),
            Some(names) => tracing::warn!(
                %url,
                %names,
                "temporary files may be left: the runtime was shut down before they could be deleted"
            ),
        }
    }
}
