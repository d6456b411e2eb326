//! What the path of a URL means to a server.

use std::borrow::Cow;

use super::Client;
use crate::error::Result;
use crate::url::Url;

impl Client {
    /// The path that commands about this URL name: [`Url::server_path`], or what RFC 1738 makes of it where the client was
    /// told so. Every operation asks here and nowhere else.
    pub(crate) fn server_path<'u>(&self, url: &'u Url) -> Cow<'u, [u8]> {
        if !self.config.rfc1738_paths {
            return url.server_path();
        }
        match url.path() {
            // Nothing is left: the folder of the login itself.
            [b'/'] | [] => Cow::Borrowed(b"."),
            // Behind LIST and its kin many servers would take it for options.
            [b'/', relative @ ..] if relative.starts_with(b"-") => Cow::Owned([b"./", relative].concat()),
            [b'/', relative @ ..] => Cow::Borrowed(relative),
            other => Cow::Borrowed(other),
        }
    }

    /// The URL of an absolute path on the server of `url`: [`Client::server_path`] of it is `path` again.
    pub(crate) fn url_of_path(&self, url: &Url, path: &[u8]) -> Result<Url> {
        let is_home_in_a_url = path.starts_with(b"/~");
        if self.config.rfc1738_paths || is_home_in_a_url {
            url.with_path([b"/", path].concat())
        } else {
            url.with_path(path)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absolute_unless_rfc_1738_is_asked_for() {
        let client = Client::new().unwrap();
        let relative = Client::builder().rfc1738_paths(true).build().unwrap();
        for (url, usual, rfc1738) in [
            ("ftp://h/a/b", "/a/b", "a/b"),
            ("ftp://h//a/b", "//a/b", "/a/b"),
            ("ftp://h/%2Fa/b", "//a/b", "/a/b"),
            ("ftp://h/~/x", "~/x", "~/x"),
            ("ftp://h/~ada/x", "~ada/x", "~ada/x"),
            ("ftp://h/", "/", "."),
            ("ftp://h", "/", "."),
            ("ftp://h//", "//", "/"),
            ("ftp://h/-la", "/-la", "./-la"),
        ] {
            let url = Url::parse(url).unwrap();
            assert_eq!(&*client.server_path(&url), usual.as_bytes(), "{url}");
            assert_eq!(&*relative.server_path(&url), rfc1738.as_bytes(), "{url}");
        }
    }

    #[test]
    fn absolute_paths_and_their_urls() {
        let base = Url::parse("ftp://ada@h:2121/x").unwrap();
        for rfc1738 in [false, true] {
            let client = Client::builder().rfc1738_paths(rfc1738).build().unwrap();
            for path in ["/", "/a/b", "/~", "/~ada/c", "/a b"] {
                let url = client.url_of_path(&base, path.as_bytes()).unwrap();
                let back = client.server_path(&url).into_owned();
                // A second slash at the beginning means nothing to a server.
                assert!(back == path.as_bytes() || back == [b"/", path.as_bytes()].concat(), "{path} {url}");
                assert_eq!((url.endpoint(), url.user()), (base.endpoint(), base.user()));
            }
        }
    }
}
