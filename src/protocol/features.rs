//! The reply to FEAT (RFC 2389 §3).

use crate::error::{Reply, Result};
use crate::protocol::expect_code;
use crate::types::FeatureSet;

/// Reads `211-…`, one feature per line, `211 End`. A reply of one line names none.
///
/// Lines are taken with or without the blank in front that the RFC asks for (NorduGrid ARC leaves it out), and lines whose
/// name is not a word are left out: nobody can ask for them.
///
/// # Errors
/// `Protocol` for another code than 211.
pub(crate) fn parse_features(reply: &Reply) -> Result<FeatureSet> {
    expect_code(reply, 211)?;
    let between = reply.lines().len().saturating_sub(2);
    let lines = reply.lines().skip(1).take(between).filter_map(|line| {
        let line = line.trim_ascii();
        let (name, parameters) = match line.iter().position(|&byte| byte == b' ') {
            Some(at) => (&line[..at], line[at..].trim_ascii()),
            None => (line, &b""[..]),
        };
        let word = !name.is_empty() && name.iter().all(u8::is_ascii_graphic);
        word.then(|| {
            (
                String::from_utf8_lossy(name).to_ascii_uppercase(),
                String::from_utf8_lossy(parameters).into_owned(),
            )
        })
    });
    Ok(FeatureSet::from_lines(lines))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;

    fn features(lines: &[&'static str]) -> FeatureSet {
        let lines = [&["Extensions supported"], lines, &["End."]].concat();
        parse_features(&Reply::new(211, lines.into_iter().map(Bytes::from).collect())).unwrap()
    }

    /// What globus-gridftp-server 13.24 lists after a login; before it, CKSM is missing.
    const GLOBUS: &[&str] = &[
        " CKSM MD5:10;ADLER32:10;SHA1:10;SHA256:11;SHA512:12;",
        " DSI file-13.24",
        " STORATTR",
        " HTTP",
        " DCSC P,D",
        " MFMT",
        " WHOAMI",
        " AUTHZ_ASSERT",
        " MLSR",
        " MLSC",
        " UTF8",
        " LANG EN",
        " DCAU",
        " PARALLEL",
        " SIZE",
        " MLST Type*;Size*;Modify*;Perm*;Charset;UNIX.mode*;UNIX.owner*;UNIX.uid*;UNIX.group*;UNIX.gid*;Unique*;UNIX.slink*;X.count;",
        " ERET",
        " ESTO",
        " SPAS",
        " SPOR",
        " REST STREAM",
        " MDTM",
        " PASV AllowDelayed;",
    ];

    #[test]
    fn globus() {
        let set = features(GLOBUS);
        assert_eq!(set.iter().len(), GLOBUS.len());
        assert!(
            set.mlst()
                && set.size()
                && set.mdtm()
                && set.cksm()
                && set.dcau()
                && set.parallel()
                && set.dcsc()
        );
        assert!(set.eret() && set.esto() && set.spas() && set.spor() && set.utf8() && set.rest_stream());
        assert!(set.delayed_passive() && set.mfmt() && set.mlsr());
        assert!(!set.epsv() && !set.sbuf() && !set.has("CLIENTINFO"));
        assert_eq!(set.parameters("DCSC"), Some("P,D"));
        assert_eq!(set.parameters("dcau"), Some(""));
        assert_eq!(set.parameters("EPSV"), None);
        assert_eq!(set.checksums().collect::<Vec<_>>(), ["MD5", "ADLER32", "SHA1", "SHA256", "SHA512"]);
        let facts: Vec<_> = set.mlst_facts().collect();
        assert_eq!((facts.len(), facts[0], facts[4]), (13, ("Type", true), ("Charset", false)));
    }

    #[test]
    fn other_servers() {
        // ARC leaves out the blank in the last lines and says no more than MLST.
        let arc = features(&[" MLSD", " MLST", "EPRT", "EPSV"]);
        assert!(arc.mlst() && arc.epsv() && arc.has("EPRT"));
        assert_eq!(arc.mlst_facts().count(), 0);
        let vsftpd = features(&[" EPRT", " EPSV", " MDTM", " PASV", " REST STREAM", " SIZE", " TVFS"]);
        assert!(!vsftpd.mlst() && vsftpd.size() && vsftpd.epsv() && !vsftpd.delayed_passive());
        let dcache = features(&["  CKSM ADLER32,MD4,MD5", " pasv AllowDelayed;"]);
        assert_eq!(dcache.checksums().collect::<Vec<_>>(), ["ADLER32", "MD4", "MD5"]);
        assert!(dcache.delayed_passive());
        let repeated = features(&[" AUTH SSL", " AUTH TLS"]);
        assert_eq!(repeated.iter().collect::<Vec<_>>(), [("AUTH", "SSL"), ("AUTH", "TLS")]);
    }

    #[test]
    fn what_is_not_a_list_of_features() {
        let parse = |code, lines: &[&'static str]| {
            parse_features(&Reply::new(code, lines.iter().copied().map(Bytes::from).collect()))
        };
        assert!(parse(211, &["No features"]).unwrap().is_empty());
        assert!(parse(211, &["a", "b"]).unwrap().is_empty());
        assert!(parse(211, &[]).unwrap().is_empty());
        assert!(parse(211, &["a", "", " ", " \x1b[2J", " \u{e4}x", "b"]).unwrap().is_empty());
        assert!(parse(500, &["x"]).unwrap_err().to_string().contains("expected 211"));
    }

    proptest! {
        #[test]
        fn never_panics(lines in proptest::collection::vec(any::<Vec<u8>>(), 0..6)) {
            let set = parse_features(&Reply::new(211, lines.into_iter().map(Into::into).collect())).unwrap();
            for (name, _) in set.iter() {
                prop_assert!(set.has(name) && name.bytes().all(|byte| byte.is_ascii_graphic()));
            }
            let _ = (set.checksums().count(), set.mlst_facts().count());
        }
    }
}
