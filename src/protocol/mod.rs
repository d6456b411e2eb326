//! placeholder
pub(crate) mod classify {
    pub(crate) fn kind_of_reply(_: &crate::Reply) -> crate::ErrorKind {
        crate::ErrorKind::Protocol
    }
}
