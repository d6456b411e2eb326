//! Whether a server is given a proxy of the user.

/// Whether a server may be given a proxy of the user's credential when logging in with GSI.
///
/// A server needs one to authenticate data channels in the user's name and for nothing else that this crate does; while
/// it lives, whoever controls the server can act as the user. Metadata operations never delegate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Delegation {
    /// Never. Data channels are not authenticated then, and private or integrity protected ones are not possible.
    Never,
    /// Only for operations that cannot be done without it.
    #[default]
    WhenNeeded,
}
