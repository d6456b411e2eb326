//! Files that are being cleaned up: whoever cannot do it says so.

use bytes::Bytes;

use crate::error::Error;
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

/// Says which temporary files are not known to be gone.
pub(super) fn warn_of(url: &Url, paths: &[Bytes], error: Option<Error>) {
    if paths.is_empty() {
        return;
    }
    let names: Vec<_> = paths.iter().map(|path| path.escape_ascii().to_string()).collect();
    let names = names.join(", ");
    match error {
        Some(error) => tracing::warn!(%url, %names, %error, "temporary files may be left"),
        None => tracing::warn!(%url, %names, "temporary files may be left"),
    }
}
