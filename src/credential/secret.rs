//! Private keys and the pass phrases that open them.

use std::fmt;
use std::io;

use openssl::pkey::{PKey, Private};

use super::files::unusable;
use crate::error::{Error, Result};
use crate::protocol::secret::Secret;

/// Where the pass phrase of a private key comes from.
pub(super) enum Passphrase {
    Known(Secret),
    Asked(Box<dyn FnOnce() -> io::Result<Vec<u8>> + Send>),
}

impl fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Known(_) => "known",
            Self::Asked(_) => "asked for",
        })
    }
}

/// What is wrong with a pass phrase; the source of an error of kind
/// [`Authentication`](crate::ErrorKind::Authentication) from [`ProxyBuilder`](crate::ProxyBuilder).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum PassphraseError {
    /// The private key is encrypted, and no pass phrase was given.
    #[error("the private key is encrypted, and no pass phrase was given")]
    Missing,
    /// The pass phrase does not open the private key.
    #[error("the pass phrase does not open the private key")]
    Wrong,
}

impl From<PassphraseError> for Error {
    fn from(error: PassphraseError) -> Self {
        unusable(error.to_string()).with_source(error)
    }
}

/// The first private key in PEM text, of whichever form.
///
/// # Errors
/// `Authentication`, with [`PassphraseError`] as its source where that is the reason.
pub(super) fn private_key(pem: &[u8], passphrase: Option<Passphrase>) -> Result<PKey<Private>> {
    let mut passphrase = passphrase;
    let mut asked = false;
    let mut missing = false;
    let mut refused = None;
    let key = PKey::private_key_from_pem_callback(pem, |room| {
        // OpenSSL asks once for each way it knows to read the text.
        asked = true;
        let phrase = match passphrase.take() {
            Some(Passphrase::Known(phrase)) => phrase,
            Some(Passphrase::Asked(ask)) => match ask() {
                Ok(phrase) => Secret::new(phrase),
                Err(error) => {
                    refused = Some(error);
                    return Ok(0);
                }
            },
            None => {
                missing = true;
                return Ok(0);
            }
        };
        let length = phrase.bytes().len();
        // One that has no room is not the right one: none of this length can have been set.
        let length = match room.get_mut(..length) {
            Some(room) => {
                room.copy_from_slice(phrase.bytes());
                length
            }
            None => 0,
        };
        passphrase = Some(Passphrase::Known(phrase));
        Ok(length)
    });
    match key {
        Ok(key) => Ok(key),
        Err(_) if refused.is_some() => {
            let error = refused.unwrap_or_else(|| io::Error::other("nobody answered"));
            Err(unusable(format!("the pass phrase could not be asked for: {error}")).with_source(error))
        }
        Err(_) if missing => Err(PassphraseError::Missing.into()),
        Err(_) if asked => Err(PassphraseError::Wrong.into()),
        Err(error) => Err(unusable("the private key cannot be read").with_source(error)),
    }
}
