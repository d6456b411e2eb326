//! The commands, as a well-behaved server carries them out.

use std::io;

use super::data::Route;
use super::files::{Node, facts_of, normal};
use super::lock;
use super::play::Step;
use super::session::Session;

/// What FEAT lists; a feature is left out when the command of its name is missing.
const FEATURES: [&str; 14] = [
    "CKSM ADLER32:10;SHA256:11;",
    "UTF8",
    "MFMT",
    "PARALLEL",
    "SIZE",
    "MLST Type*;Size*;Modify*;Perm*;UNIX.mode*;UNIX.owner*;UNIX.group*;Unique*;",
    "MLSD",
    "ERET",
    "ESTO",
    "SPAS",
    "SPOR",
    "EPSV",
    "REST STREAM",
    "MDTM",
];

/// All verbs, so that a step can name each by a text that lives for ever.
const VERBS: [&str; 52] = [
    "USER", "PASS", "ACCT", "FEAT", "TYPE", "MODE", "STRU", "OPTS", "PASV", "EPSV", "PORT", "EPRT", "SPAS",
    "SPOR", "REST", "RETR", "ERET", "STOR", "APPE", "ESTO", "ALLO", "MLST", "MLSD", "LIST", "NLST", "STAT",
    "SIZE", "MDTM", "MFMT", "CKSM", "DELE", "MKD", "RMD", "RNFR", "RNTO", "SITE", "NOOP", "QUIT", "DCAU",
    "PBSZ", "PROT", "AUTH", "ADAT", "CWD", "PWD", "SYST", "HELP", "ABOR", "SBUF", "CDUP", "SCKS", "MLSR",
];

impl Session<'_> {
    pub(super) fn path(&self, argument: &[u8]) -> Vec<u8> {
        if argument.starts_with(b"/") {
            normal(argument)
        } else {
            normal(&[&self.folder, &b"/"[..], argument].concat())
        }
    }

    pub(super) fn command(&mut self, verb: &str, argument: &[u8]) -> io::Result<()> {
        let known = VERBS.into_iter().find(|&known| known == verb);
        let Some(verb) = known.filter(|verb| !self.stage.play.missing.iter().any(|missing| missing == verb))
        else {
            return self.write(b"500 Unknown command.\r\n");
        };
        let text = String::from_utf8_lossy(argument).into_owned();
        let path = self.path(argument);
        let free = ["USER", "PASS", "FEAT", "AUTH", "ADAT", "NOOP", "SYST", "HELP"];
        if !self.logged_in && !free.contains(&verb) {
            return self.reply(verb, "530 Please login with USER and PASS.");
        }
        match verb {
            "USER" | "PASS" => self.log_in(verb, &text),
            "FEAT" => {
                let missing = &self.stage.play.missing;
                let has = |feature: &str| {
                    !missing.iter().any(|it| feature.split(' ').next().is_some_and(|name| it == name))
                };
                let list: String =
                    FEATURES.iter().filter(|it| has(it)).map(|feature| format!(" {feature}\r\n")).collect();
                self.reply(verb, &format!("211-Extensions supported\r\n{list}211 End."))
            }
            "MODE" => {
                self.leave_channels();
                let extended = text.eq_ignore_ascii_case("E");
                if extended || text.eq_ignore_ascii_case("S") {
                    self.extended = extended;
                    return self.reply(verb, "200 Mode set.");
                }
                self.reply(verb, "504 Mode not supported.")
            }
            "TYPE" | "STRU" | "ALLO" | "PBSZ" | "ACCT" | "SBUF" | "HELP" | "NOOP" | "SITE" => {
                self.site(&text);
                self.reply(verb, "200 Okay.")
            }
            "OPTS" => {
                if let Some(number) =
                    text.split("Parallelism=").nth(1).and_then(|rest| rest.split(',').next())
                {
                    self.parallelism = number.parse().unwrap_or(1).clamp(1, 64);
                }
                self.reply(verb, "200 Okay.")
            }
            "DCAU" if text.eq_ignore_ascii_case("N") => self.reply(verb, "200 DCAU N."),
            "PROT" if text.eq_ignore_ascii_case("C") => self.reply(verb, "200 Clear."),
            "DCAU" | "PROT" => self.reply(verb, "536 Not without a security exchange."),
            "AUTH" | "ADAT" => self.reply(verb, "504 No security mechanism here."),
            "SYST" => self.reply(verb, "215 UNIX Type: L8"),
            "ABOR" => self.reply(verb, "226 Nothing to abort."),
            "PASV" | "EPSV" | "SPAS" => self.passive(verb),
            "PORT" | "EPRT" | "SPOR" => self.active(verb, &text),
            "REST" => {
                self.rest = Some(text);
                self.reply(verb, "350 Restart marker accepted.")
            }
            "RETR" | "ERET" | "STOR" | "APPE" | "ESTO" | "MLSD" | "LIST" | "NLST" => {
                self.transfer(verb, argument)
            }
            _ => self.about_files(verb, argument, &path),
        }
    }

    fn log_in(&mut self, verb: &'static str, text: &str) -> io::Result<()> {
        let password = self.stage.play.password.as_ref();
        if verb == "USER" {
            self.user = Some(text.to_owned());
            return self.reply(verb, "331 Password required.");
        }
        let right = password.is_none_or(|(user, word)| self.user.as_ref() == Some(user) && word == text);
        self.logged_in = right && self.user.is_some();
        self.reply(verb, if self.logged_in { "230 User logged in." } else { "530 Login incorrect." })
    }

    fn site(&self, text: &str) {
        let words: Vec<_> = text.split(' ').collect();
        if let [verb, target, name] = words[..]
            && verb.eq_ignore_ascii_case("SYMLINK")
        {
            lock(&self.stage.files).link(&self.path(name.as_bytes()), target.as_bytes());
        }
    }

    fn about_files(&mut self, verb: &'static str, argument: &[u8], path: &[u8]) -> io::Result<()> {
        let usual = self.file_command(verb, argument, path);
        // Texts of replies hold names, which need not be UTF-8.
        let act = self.stage.rules.take(Step::Command(verb), self.number, Some(path));
        match act {
            Some(act) => self.perform(act, &String::from_utf8_lossy(&usual)),
            None => {
                self.write(&usual)?;
                self.write(b"\r\n")
            }
        }
    }

    fn file_command(&mut self, verb: &'static str, argument: &[u8], path: &[u8]) -> Vec<u8> {
        let stage = self.stage;
        let mut files = lock(&stage.files);
        let say = |text: &str| text.as_bytes().to_vec();
        let missing = || say("550 No such file or directory.");
        match (verb, files.get(path)) {
            ("PWD", _) => [b"257 \"", &self.folder[..], b"\" is the current directory."].concat(),
            ("CWD", Some(Node::Folder)) => {
                self.folder = path.to_vec();
                say("250 Directory changed.")
            }
            ("CDUP", _) => {
                self.folder = normal(&[&self.folder[..], b"/.."].concat());
                say("250 Directory changed.")
            }
            ("SIZE", Some(Node::File(bytes))) => say(&format!("213 {}", bytes.len())),
            ("SIZE", Some(_)) => say("550 Not a plain file."),
            ("MDTM", Some(_)) => say("213 20260101000000"),
            ("MFMT", Some(_)) => [b"213 Modify=", argument].concat(),
            ("MLST" | "STAT", Some(node)) => {
                let mut line = facts_of(path, &node);
                line.truncate(line.len() - 2);
                [b"250-status\r\n ", &line[..], b"\r\n250 End."].concat()
            }
            ("CKSM", _) => checksum(&files, argument, |path| self.path(path)),
            ("DELE", Some(Node::Folder)) => say("550 Is a directory."),
            ("DELE", Some(_)) => {
                files.remove(path);
                say("250 Deleted.")
            }
            ("RMD", Some(Node::Folder)) => {
                if files.entries(path).is_empty() || files.endless.is_some() {
                    files.remove(path);
                    return say("250 Removed.");
                }
                say("550 Directory not empty.")
            }
            ("RMD", Some(_)) => say("550 Not a directory."),
            ("MKD", Some(_)) => say("550 File exists."),
            ("MKD", None) if files.has_parent(path) => {
                files.make_folder(path);
                [b"257 \"", path, b"\" created."].concat()
            }
            ("RNFR", Some(_)) => {
                self.rename_from = Some(path.to_vec());
                say("350 Ready for destination name.")
            }
            ("RNTO", _) => match self.rename_from.take() {
                Some(from) if files.has_parent(path) => {
                    files.rename(&from, path);
                    say("250 Renamed.")
                }
                Some(_) => missing(),
                None => say("503 RNFR first."),
            },
            ("CWD" | "SIZE" | "MDTM" | "MFMT" | "MLST" | "STAT" | "DELE" | "RMD" | "MKD" | "RNFR", _) => {
                missing()
            }
            _ => say("502 Not implemented."),
        }
    }

    /// Closes what was set up for data.
    pub(super) fn leave_channels(&mut self) {
        self.channels.clear();
        self.route = Route::None;
    }
}

/// `CKSM algorithm offset length path`.
fn checksum(files: &super::Files, argument: &[u8], path: impl Fn(&[u8]) -> Vec<u8>) -> Vec<u8> {
    let words: Vec<_> = argument.splitn(4, |&byte| byte == b' ').collect();
    let [algorithm, offset, length, name] = words[..] else { return b"501 Four arguments.".to_vec() };
    let number = |word: &[u8]| std::str::from_utf8(word).ok().and_then(|word| word.parse::<i64>().ok());
    let Some(Node::File(bytes)) = files.get(&path(name)) else {
        return b"550 No such file or directory.".to_vec();
    };
    let from = number(offset).and_then(|n| usize::try_from(n).ok()).unwrap_or(0).min(bytes.len());
    let length = number(length).and_then(|n| usize::try_from(n).ok()).unwrap_or(usize::MAX);
    let part = &bytes[from..from.saturating_add(length).min(bytes.len())];
    match algorithm.to_ascii_uppercase().as_slice() {
        b"ADLER32" => {
            let (a, b) = part.iter().fold((1_u32, 0_u32), |(a, b), &byte| {
                let a = (a + u32::from(byte)) % 65521;
                (a, (b + a) % 65521)
            });
            format!("213 {:08x}", (b << 16) | a).into_bytes()
        }
        b"SHA256" => format!("213 {}", crate::sha256(part)).into_bytes(),
        _ => b"504 Unknown algorithm.".to_vec(),
    }
}
