//! `sum`: checksums, by the server where it has them.

use gridftp::{ChecksumAlgorithm, ErrorKind, Url};
use openssl::hash::{Hasher, MessageDigest};
use serde_json::json;

use crate::args::{self, verbs::Sum};
use crate::context::{Context, Tally, remote};
use crate::exit::Code;
use crate::failure::Failure;

pub(crate) async fn run(context: &Context, words: &Sum) -> Result<Code, Failure> {
    let urls = args::urls(&words.urls.urls)?;
    let algorithm: ChecksumAlgorithm = words.algorithm.parse().map_err(remote)?;
    let mut tally = Tally::default();
    for url in &urls {
        tally.add(one(context, url, &algorithm).await)?;
    }
    Ok(tally.code())
}

async fn one(context: &Context, url: &Url, algorithm: &ChecksumAlgorithm) -> Result<(), Failure> {
    let (digits, by) = match context.client.checksum(url, algorithm.clone(), ..).await {
        Ok(checksum) => (checksum.to_hex(), "server"),
        Err(error) if error.kind() == ErrorKind::Unsupported => {
            let Some(digest) = Digest::new(algorithm)? else {
                return Err(remote(error).note(format!("this program cannot compute {algorithm} itself")));
            };
            context.note(&format!("{url}: the server does not compute {algorithm}, so the file is read"));
            (read(context, url, digest).await?, "client")
        }
        Err(error) => return Err(remote(error)),
    };
    if context.json {
        let object = json!({
            "url": url.to_string(),
            "algorithm": algorithm.to_string(),
            "checksum": digits,
            "computed_by": by,
        });
        return context.out.json(&object).await;
    }
    context.out.line(&format!("{digits}  {url}")).await
}

async fn read(context: &Context, url: &Url, mut digest: Digest) -> Result<String, Failure> {
    let mut reader = context.client.get(url).await.map_err(remote)?.into_reader();
    while let Some(chunk) = reader.next_chunk().await.map_err(remote)? {
        digest.update(&chunk)?;
    }
    digest.finish()
}

/// What this program can compute.
enum Digest {
    Adler32(simd_adler32::Adler32),
    Crc32(crc32fast::Hasher),
    Long(Hasher),
}

impl Digest {
    fn new(algorithm: &ChecksumAlgorithm) -> Result<Option<Self>, Failure> {
        let long = |digest| Hasher::new(digest).map(|hasher| Some(Self::Long(hasher))).map_err(failed);
        match algorithm {
            ChecksumAlgorithm::Adler32 => Ok(Some(Self::Adler32(simd_adler32::Adler32::new()))),
            ChecksumAlgorithm::Crc32 => Ok(Some(Self::Crc32(crc32fast::Hasher::new()))),
            ChecksumAlgorithm::Md5 => long(MessageDigest::md5()),
            ChecksumAlgorithm::Sha1 => long(MessageDigest::sha1()),
            ChecksumAlgorithm::Sha256 => long(MessageDigest::sha256()),
            ChecksumAlgorithm::Sha512 => long(MessageDigest::sha512()),
            _ => Ok(None),
        }
    }

    fn update(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        match self {
            Self::Adler32(adler) => adler.write(bytes),
            Self::Crc32(crc) => crc.update(bytes),
            Self::Long(hasher) => hasher.update(bytes).map_err(failed)?,
        }
        Ok(())
    }

    fn finish(self) -> Result<String, Failure> {
        use std::fmt::Write as _;
        match self {
            Self::Adler32(adler) => Ok(format!("{:08x}", adler.finish())),
            Self::Crc32(crc) => Ok(format!("{:08x}", crc.finalize())),
            Self::Long(mut hasher) => {
                let bytes = hasher.finish().map_err(failed)?;
                Ok(bytes.iter().fold(String::new(), |mut text, byte| {
                    // Writing to a String cannot fail.
                    let _ = write!(text, "{byte:02x}");
                    text
                }))
            }
        }
    }
}

/// A machine may forbid MD5, for example.
fn failed(error: openssl::error::ErrorStack) -> Failure {
    Failure::told(Code::Other, format!("OpenSSL does not compute the checksum: {error}"))
}
