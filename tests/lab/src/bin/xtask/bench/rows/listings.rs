//! What is where: P10 and P11.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, bail};
use gridftp_lab::{Tree, packages};

use super::super::figures::Goal;
use super::super::lab::{Lab, Plan};
use super::super::measure::Contest;
use super::super::session::{Entry, Session, called, words};
use super::large::FAR;

const NAMES: &str = "the names of all files after each run";

/// P10.
pub(super) fn walk(session: &mut Session) -> Result<()> {
    let near = Lab::new(Plan::default())?;
    walk_at(session, &near, "loopback", 0.60)?;
    drop(near);
    if let Some(far) = session.across("P10", Plan { wan: Some(FAR), ..Plan::default() })? {
        walk_at(session, &far, "50 ms", 0.05)?;
    }
    Ok(())
}

fn walk_at(session: &mut Session, lab: &Lab, place: &str, goal: f64) -> Result<()> {
    let folders = session.sized(1000, 20);
    let tree = lab.tree("source", folders * 10, 1, 10)?;
    let (ours, guc) = (session.program("gridftp-fs")?, packages::URL_COPY.program()?);
    let (url, listed) = (lab.url("source"), lab.path("listed").display().to_string());
    let from = format!("{url}/");
    let flags = "-r -cc 16 -fast";
    let entry = Entry {
        row: 10,
        case: format!("walk of {folders} folders with 10 files each, {place}"),
        program: "gridftp-fs find",
        peer: &called(&guc, &format!("-do {flags}")),
        goal: Some(Goal::RatioAtMost(goal)),
        files: folders * 10,
        checked: NAMES,
        ..Entry::default()
    };
    let contest = Contest {
        ours: &|| lab.command(&ours, &["find", &url]),
        peer: Some(&|| lab.command(&guc, &words(flags, &["-do", &listed, &from, "file:///nowhere/"]))),
        before: &|| Ok(()),
        after: &|ended| {
            if ended.ours {
                return all_there(&tree, &ended.output);
            }
            let text = std::fs::read(&listed).with_context(|| format!("reading {listed}"))?;
            all_there(&tree, &text)
        },
        told: None,
    };
    session.measure(&entry, &contest);
    Ok(())
}

/// Whether each file of the tree stands once in a list of URLs below `…/source/`; folders may stand there too.
fn all_there(tree: &Tree, list: &[u8]) -> Result<()> {
    let mut wanted: BTreeSet<String> =
        tree.files.iter().map(|file| file.path.to_string_lossy().into_owned()).collect();
    for line in String::from_utf8_lossy(list).lines() {
        let Some((_, rest)) = line.split_once("/source/") else { continue };
        let path = rest.split(['"', ' ']).next().unwrap_or_default();
        let is_file = path.rsplit('/').next().is_some_and(|name| name.starts_with('f'));
        if is_file && !wanted.remove(path) {
            bail!("{path} is listed twice, or is not there");
        }
    }
    match wanted.first() {
        Some(first) => bail!("{} files are not listed: {first}", wanted.len()),
        None => Ok(()),
    }
}

/// P11.
pub(super) fn list(session: &mut Session) -> Result<()> {
    let lab = Lab::new(Plan::default())?;
    let (ours, guc) = (session.program("bench")?, packages::URL_COPY.program()?);
    let full = session.sized(100_000, 1000);
    // A tenth first: memory that is flat is the same for both.
    for (count, goal) in [(full / 10, None), (full, Some(Goal::RatioAtMost(0.55)))] {
        let name = format!("entries{count}");
        lab.tree(&name, count, 0, 0)?;
        let (url, folder) = (lab.url(&name), format!("{}/", lab.url(&name)));
        let entry = Entry {
            row: 11,
            case: format!("list of {count} entries, with kind and size"),
            program: "examples/bench list",
            peer: &called(&guc, "-list"),
            goal,
            files: count,
            checked: "the number of different names after each run",
            ..Entry::default()
        };
        let contest = Contest {
            ours: &|| lab.command(&ours, &["list", &url]),
            peer: Some(&|| lab.command(&guc, &["-list", &folder])),
            before: &|| Ok(()),
            after: &|ended| {
                let text = String::from_utf8_lossy(&ended.output);
                let names = text.lines().filter_map(|line| line.split_whitespace().last());
                // globus-url-copy says first of which URL.
                let names: BTreeSet<&str> = names.filter(|name| is_ours(name)).collect();
                let wanted = usize::try_from(count).unwrap_or(usize::MAX);
                if names.len() != wanted {
                    bail!("{} names instead of {count}", names.len());
                }
                Ok(())
            },
            told: None,
        };
        session.measure(&entry, &contest);
    }
    Ok(())
}

/// `f0`, `f1`, …
fn is_ours(name: &str) -> bool {
    name.strip_prefix('f').is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    #[test]
    fn lists_of_either_program_are_compared_with_the_tree() {
        let file = |path: &str| gridftp_lab::File { path: path.into(), size: 1, sha256: String::new() };
        let tree = Tree { root: PathBuf::new(), files: vec![file("d0/f0"), file("d0/f1")] };
        let ours = b"ftp://h/x/source\nftp://h/x/source/d0\nftp://h/x/source/d0/f1\nftp://h/x/source/d0/f0\n";
        let peer = b"\"ftp://h/x/source/d0/f0\" \"file:///n/d0/f0\"\n\"ftp://h/x/source/d0/f1\" \"file:///n/d0/f1\"\n";
        assert!(all_there(&tree, ours).is_ok());
        assert!(all_there(&tree, peer).is_ok());
        assert!(all_there(&tree, &[&ours[..], b"ftp://h/x/source/d0/f0"].concat()).is_err());
        assert!(all_there(&tree, b"ftp://h/x/source/d0/f0\n").is_err());
    }
}
