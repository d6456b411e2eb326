//! What a server says it can do.

/// The extensions a server lists in its reply to FEAT (RFC 2389 §3), in its order.
///
/// Names are compared without regard to case. A server may do more than it lists, and lists more after a login than before:
/// globus-gridftp-server names no checksums until then and never its `SITE` commands. An empty set is what a server
/// without FEAT has.
///
/// Corresponds to `globus_ftp_client_features_t` and `globus_ftp_client_is_feature_supported` (RFC 2389).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FeatureSet {
    /// Names in upper case with their parameters, which are empty where there are none.
    lines: Vec<(String, String)>,
}

impl FeatureSet {
    /// `lines` hold names in upper case.
    pub(crate) fn from_lines(lines: impl IntoIterator<Item = (String, String)>) -> Self {
        Self { lines: lines.into_iter().collect() }
    }

    /// Whether nothing is listed.
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// Every feature with its parameters, which are empty where there are none. A name may come more than once.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &str)> {
        self.lines.iter().map(|(name, parameters)| (name.as_str(), parameters.as_str()))
    }

    /// Whether `name`, a command's or an extension's, is listed.
    pub fn has(&self, name: &str) -> bool {
        self.parameters(name).is_some()
    }

    /// What stands behind `name`, empty when nothing does; `None` when it is not listed. Where a name comes more than once,
    /// the first counts.
    pub fn parameters(&self, name: &str) -> Option<&str> {
        self.lines
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, parameters)| parameters.as_str())
    }

    /// `MLST` and `MLSD`: facts about files in a form for programs (RFC 3659 §7).
    pub fn mlst(&self) -> bool {
        self.has("MLST")
    }

    /// The facts that `MLST` can tell, each with whether it does without being asked to.
    pub fn mlst_facts(&self) -> impl Iterator<Item = (&str, bool)> {
        let facts = self.parameters("MLST").unwrap_or_default().split(';').map(str::trim);
        let facts = facts.map(|fact| match fact.strip_suffix('*') {
            Some(name) => (name, true),
            None => (fact, false),
        });
        facts.filter(|(name, _)| !name.is_empty())
    }

    /// `MLSR`: recursive listings in a form for programs (Globus).
    pub fn mlsr(&self) -> bool {
        self.has("MLSR")
    }

    /// `SIZE` (RFC 3659 §4).
    pub fn size(&self) -> bool {
        self.has("SIZE")
    }

    /// `MDTM`: times of last change (RFC 3659 §3).
    pub fn mdtm(&self) -> bool {
        self.has("MDTM")
    }

    /// `MFMT`: setting times of last change.
    pub fn mfmt(&self) -> bool {
        self.has("MFMT")
    }

    /// `REST STREAM`: beginning a transfer in stream mode at an offset (RFC 3659 §5).
    pub fn rest_stream(&self) -> bool {
        self.parameters("REST").is_some_and(|parameters| parameters.eq_ignore_ascii_case("STREAM"))
    }

    /// `CKSM`: checksums computed by the server (GFD.47).
    pub fn cksm(&self) -> bool {
        self.has("CKSM")
    }

    /// The algorithms that `CKSM` knows, by the server's names.
    pub fn checksums(&self) -> impl Iterator<Item = &str> {
        // Globus: `MD5:10;ADLER32:10;`, with what each costs; dCache: `ADLER32,MD5`.
        let parts = self.parameters("CKSM").unwrap_or_default().split([';', ',']);
        parts.map(|part| part.split(':').next().unwrap_or(part).trim()).filter(|name| !name.is_empty())
    }

    /// `DCAU`: authentication of data channels (GFD.20).
    pub fn dcau(&self) -> bool {
        self.has("DCAU")
    }

    /// `DCSC`: a credential for the data channels alone (Globus).
    pub fn dcsc(&self) -> bool {
        self.has("DCSC")
    }

    /// `PARALLEL`: several data channels per transfer in extended block mode (GFD.20).
    pub fn parallel(&self) -> bool {
        self.has("PARALLEL")
    }

    /// `ERET`: reading a part of a file (GFD.20).
    pub fn eret(&self) -> bool {
        self.has("ERET")
    }

    /// `ESTO`: writing a part of a file (GFD.20).
    pub fn esto(&self) -> bool {
        self.has("ESTO")
    }

    /// `SPAS`: striped transfers, the server listening (GFD.20).
    pub fn spas(&self) -> bool {
        self.has("SPAS")
    }

    /// `SPOR`: striped transfers, the server connecting (GFD.20).
    pub fn spor(&self) -> bool {
        self.has("SPOR")
    }

    /// `SBUF`: setting the size of the TCP buffers (GFD.20).
    pub fn sbuf(&self) -> bool {
        self.has("SBUF")
    }

    /// `EPSV`: passive mode for IPv6 (RFC 2428). globus-gridftp-server knows it without listing it.
    pub fn epsv(&self) -> bool {
        self.has("EPSV")
    }

    /// Whether the server may give its data address after it knows which file is asked for (`OPTS PASV AllowDelayed=1`;
    /// GFD.47).
    pub fn delayed_passive(&self) -> bool {
        let parameters = self.parameters("PASV").unwrap_or_default();
        parameters.split(';').any(|option| option.trim().eq_ignore_ascii_case("AllowDelayed"))
    }

    /// `UTF8`: names are UTF-8 (RFC 2640).
    pub fn utf8(&self) -> bool {
        self.has("UTF8")
    }
}
