//! RSA keys, made once and kept in the temporary folder.
//!
//! Elliptic keys would be quick to make, but Globus cannot delegate with them: the server makes an RSA key with as many
//! bits as the client's key has, and 256 are refused; and the client signs with the algorithm its certificate was signed
//! with, which it only knows for RSA, so that the CA needs RSA too. Making an RSA key takes a fifth of a second to two,
//! too long for every test process, so four are kept from one run to the next. They guard nothing but test servers on
//! loopback; the folder is readable by its owner alone all the same. What is signed with them is new every time.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use rcgen::KeyPair;

use crate::{Error, Result, packages};

/// The kept key of this name, made if need be.
pub(crate) fn key(name: &str) -> Result<KeyPair> {
    let path = keep()?.join(format!("{name}-2048.key"));
    if let Some(key) = read(&path)? {
        return Ok(key);
    }
    make(&path)?;
    read(&path)?.ok_or_else(|| Error::Io {
        what: format!("reading the RSA key just made, {}", path.display()),
        source: io::ErrorKind::InvalidData.into(),
    })
}

/// The folder of the kept keys. Somebody else's folder of that name is an error, not a source of keys.
fn keep() -> Result<PathBuf> {
    let uid = rustix::process::geteuid().as_raw();
    let dir = std::env::temp_dir().join(format!("gridftp-lab-keys-{uid}"));
    match fs::DirBuilder::new().mode(0o700).create(&dir) {
        Err(e) if e.kind() != io::ErrorKind::AlreadyExists => {
            return Err(Error::io("making the folder", &dir)(e));
        }
        _ => {}
    }
    let meta = fs::symlink_metadata(&dir).map_err(Error::io("looking at", &dir))?;
    if !meta.is_dir() || meta.uid() != uid || meta.mode() & 0o077 != 0 {
        return Err(Error::Io {
            what: format!("{} must be a folder of this user's with mode 700; remove it", dir.display()),
            source: io::ErrorKind::PermissionDenied.into(),
        });
    }
    Ok(dir)
}

/// A key that cannot be understood counts as absent: it is made again.
fn read(path: &Path) -> Result<Option<KeyPair>> {
    match fs::read_to_string(path) {
        Ok(pem) => Ok(KeyPair::from_pem(&pem).ok()),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(Error::io("reading", path)(e)),
    }
}

/// Two processes may do this at once; each makes a whole key, and the later one stays.
fn make(path: &Path) -> Result<()> {
    let openssl = packages::OPENSSL.program()?;
    let dir = path.parent().unwrap_or_else(|| Path::new("."));
    let file = tempfile::NamedTempFile::new_in(dir).map_err(Error::io("making a file in", dir))?;
    // genpkey rather than genrsa: it writes PKCS#8 in every version of OpenSSL.
    let output = Command::new(openssl)
        .args(["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out"])
        .arg(file.path())
        .output()
        .map_err(Error::io("running openssl for", path))?;
    if !output.status.success() {
        return Err(Error::Program {
            what: "openssl genpkey".into(),
            status: output.status.to_string(),
            output: String::from_utf8_lossy(&output.stderr).into_owned(),
        });
    }
    file.persist(path).map_err(|e| Error::io("renaming to", path)(e.error))?;
    Ok(())
}
