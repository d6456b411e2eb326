//! How `sshftp://` runs ssh.

use std::ffi::OsString;

use crate::error::{Error, Escaped, Result};

/// Longest argument, in bytes.
const MAX_ARGUMENT: usize = 8 * 1024;

/// What the Globus client has the server run: the user's own start script, else the machine's. Quoted for `sh` once more,
/// because the user's shell over there need not be one that knows `if`.
const REMOTE: &str = "exec /bin/sh -c 'for f in .globus/sshftp /etc/grid-security/sshftp; do test -x $f && exec $f; done; echo 500 This machine is not set up for sshftp.'";

/// How `sshftp://` URLs are served: the program that is run, and what it runs on the other side.
///
/// Given to [`ClientBuilder::ssh`](crate::ClientBuilder::ssh), which is what allows such URLs at all. For each session one
/// process is started, without a shell:
///
/// ```text
/// PROGRAM ARGUMENTS… -T -x -o BatchMode=yes -p PORT [-l USER] -- HOST REMOTE-COMMAND
/// ```
///
/// What can come from a URL is host, port and user, and nothing else: the path never gets there. A host is an address or a
/// name of letters, digits, `-`, `.` and `_` that does not begin with a hyphen; the port is a number; a user is made of
/// letters, digits, `.`, `_`, `-` and `@` and does not begin with a hyphen, or the URL is refused. So none of them can
/// become an option, nor a word for the shells that ssh hands them to (`%h` and `%r` of a `ProxyCommand`).
///
/// # Examples
/// ```
/// use gridftp::options::SshOptions;
///
/// let client = gridftp::Client::builder()
///     .ssh(SshOptions::new().arg("-i").arg("/home/ada/.ssh/transfer").arg("-o").arg("ConnectionAttempts=2"))
///     .build()?;
/// # Ok::<(), gridftp::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[must_use]
pub struct SshOptions {
    program: OsString,
    arguments: Vec<OsString>,
    remote: String,
}

impl Default for SshOptions {
    fn default() -> Self {
        Self::new()
    }
}

impl SshOptions {
    /// `ssh` from `PATH`, no further arguments, and the scripts that a server for `sshftp` has: `.globus/sshftp` in the
    /// user's home folder, else `/etc/grid-security/sshftp`, as `globus-gridftp-server-enable-sshftp` makes them.
    pub fn new() -> Self {
        Self { program: "ssh".into(), arguments: Vec::new(), remote: REMOTE.to_owned() }
    }

    /// Another program than `ssh`: a name that is looked for in `PATH`, or a path. It has to take OpenSSH's options.
    pub fn program(mut self, program: impl Into<OsString>) -> Self {
        self.program = program.into();
        self
    }

    /// A further argument of ssh, in front of this crate's own: `-i`, `-o`, `-F` and what follows them, each by itself.
    /// Where an option is given twice ssh takes the first.
    pub fn arg(mut self, argument: impl Into<OsString>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// What is run on the server, in the words of the user's shell there; it has to become a GridFTP server on its standard
    /// input and output, as `globus-gridftp-server -ssh` does.
    pub fn remote_command(mut self, command: impl Into<String>) -> Self {
        self.remote = command.into();
        self
    }

    pub(crate) fn program_name(&self) -> &OsString {
        &self.program
    }

    pub(crate) fn arguments(&self) -> &[OsString] {
        &self.arguments
    }

    pub(crate) fn remote(&self) -> &str {
        &self.remote
    }

    /// What ssh could not be given, or would take for something else.
    pub(crate) fn check(&self) -> Result<()> {
        for (what, value) in std::iter::once(("program", &self.program))
            .chain(self.arguments.iter().map(|argument| ("argument", argument)))
        {
            let bytes = value.as_encoded_bytes();
            if bytes.is_empty()
                || bytes.len() > MAX_ARGUMENT
                || bytes.iter().any(u8::is_ascii_control)
                || bytes == b"--"
            {
                return Err(refused(
                    what,
                    bytes,
                    "1 to 8192 bytes without control bytes, and not -- which ends the options",
                ));
            }
        }
        let remote = self.remote.as_bytes();
        let bad = remote.is_empty() || remote.len() > MAX_ARGUMENT || remote.iter().any(u8::is_ascii_control);
        if bad || remote.starts_with(b"-") {
            return Err(refused(
                "remote command",
                remote,
                "1 to 8192 bytes without control bytes, not beginning with a hyphen",
            ));
        }
        Ok(())
    }
}

/// A user name from a URL, as ssh may be given it.
pub(crate) fn check_ssh_user(user: &str) -> Result<()> {
    let plain =
        user.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-' | b'@'));
    if plain && !user.is_empty() && user.len() <= 256 && !user.starts_with('-') {
        return Ok(());
    }
    Err(refused(
        "user",
        user.as_bytes(),
        "letters, digits, dots, underscores, hyphens and @, not beginning with a hyphen",
    ))
}

fn refused(what: &str, value: &[u8], expected: &str) -> Error {
    let shown = Escaped(&value[..value.len().min(100)]).to_string();
    Error::invalid(format!("the {what} \"{shown}\" for ssh: expected {expected}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;

    #[test]
    fn what_ssh_cannot_be_given() {
        let good = SshOptions::new;
        good().check().unwrap();
        good().program("/usr/bin/ssh").arg("-4").arg("-o").arg("User=a b").check().unwrap();
        for (bad, part) in [
            (good().program(""), "program \"\""),
            (good().arg(""), "argument \"\""),
            (good().arg("--"), "argument \"--\""),
            (good().arg("a\nb"), "a\\nb"),
            (good().remote_command(""), "remote command"),
            (good().remote_command("-oProxyCommand=x"), "hyphen"),
            (good().remote_command("a\0b"), "remote command"),
        ] {
            let error = bad.check().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
            assert!(error.to_string().contains(part), "{error}");
        }
    }

    #[test]
    fn users_that_ssh_may_be_given() {
        for user in ["ada", "a.b-c_d", "ada@EXAMPLE.ORG", "7"] {
            check_ssh_user(user).unwrap();
        }
        for user in
            ["", "-oProxyCommand=x", "-", "a b", "a;b", "$(x)", "a`b", "a'b", "a\"b", "a%h", "a/b", "\u{e4}"]
        {
            assert!(check_ssh_user(user).is_err(), "{user}");
        }
    }
}
