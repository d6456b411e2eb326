//! placeholder
/// placeholder
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Url;
impl std::fmt::Display for Url {
    fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        Ok(())
    }
}
