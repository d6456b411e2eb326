//! Many processes that divide a tree among them, under a real Slurm.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use gridftp_lab::{Server, Slurm};
use serde_json::Value;

use crate::support::{contents, folder, names, program, signal_pid, text, wait_for};

const FILES: usize = 10_000;
const SHARES: usize = 4;

/// What a run of a share says it has copied, and how it ended.
fn copied(out: &Path) -> (Vec<String>, Value) {
    let text = fs::read_to_string(out).unwrap();
    let events: Vec<Value> = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let files = events
        .iter()
        .filter(|event| event["event"] == "entry" && event["outcome"] == "copied" && event["kind"] == "file")
        .map(|event| event["path"].as_str().unwrap().to_owned())
        .collect();
    (files, events.last().cloned().unwrap_or_default())
}

#[test]
fn four_shares_of_a_tree_are_the_tree() {
    let slurm = Slurm::start(SHARES);
    let server = Server::anonymous().start();
    let local = folder();
    let from = server.dir().join("from");
    for n in 0..FILES {
        if n % 100 == 0 {
            fs::create_dir_all(from.join(format!("run{:03}", n / 100))).unwrap();
        }
        fs::write(from.join(format!("run{:03}/f{n:05}", n / 100)), format!("{n} {}", "x".repeat(n % 997)))
            .unwrap();
    }
    let (to, work) = (local.path().join("to"), local.path().join("work"));
    fs::create_dir(&work).unwrap();
    // Slow enough that a share is not done before it can be ended.
    let script = |round: usize| {
        format!(
            "echo $$ > {work}/pid.$SLURM_ARRAY_TASK_ID\nexec {} -r --shard --json --journal {work}/journal.$SLURM_ARRAY_TASK_ID --bwlimit 512K {}/ {} \
             > {work}/out.{round}.$SLURM_ARRAY_TASK_ID",
            program().display(),
            server.url("from"),
            to.display(),
            work = work.display()
        )
    };
    let job = slurm.submit(&script(0), &["--array=0-3"]);
    // One share is killed, another one is told to end, both in the middle.
    wait_for("files", || {
        let count =
            if to.exists() { names(&to).iter().map(|name| names(&to.join(name)).len()).sum() } else { 0 };
        (count > FILES / 5).then_some(())
    });
    // As the kernel does it when memory runs out: Slurm itself asks before it kills.
    let pid = fs::read_to_string(work.join("pid.2")).unwrap().trim().parse().unwrap();
    signal_pid(pid, "KILL");
    slurm.cancel(&format!("{job}_1"), Some("TERM"));
    slurm.wait(job, Duration::from_secs(100));
    let ended: BTreeMap<u32, (String, String)> =
        slurm.tasks(job).into_iter().map(|(number, state, code)| (number, (state, code))).collect();
    assert_eq!(ended[&0], ("COMPLETED".to_owned(), "0:0".to_owned()), "{ended:?}");
    assert_eq!(ended[&3].1, "0:0", "{ended:?}");
    assert_eq!(ended[&1].1, "143:0", "told to end, it ends in its own way: {ended:?}");
    assert!(ended[&2].1.starts_with("0:9") || ended[&2].1.starts_with("137:"), "killed: {ended:?}");

    // The same again: those that are done have nothing to do, the others go on.
    let again = slurm.submit(&script(1), &["--array=0-3"]);
    slurm.wait(again, Duration::from_secs(100));
    for (number, state, code) in slurm.tasks(again) {
        assert_eq!((state.as_str(), code.as_str()), ("COMPLETED", "0:0"), "{number}");
    }
    assert_eq!(contents(&from), contents(&to));
    let out = |round: usize, share: usize| work.join(format!("out.{round}.{share}"));
    let mut all: BTreeMap<String, usize> = BTreeMap::new();
    for share in 0..SHARES {
        let (mut files, _) = copied(&out(0, share));
        let (more, end) = copied(&out(1, share));
        match share {
            // The rest, and what was copied but not remembered when it was killed.
            1 | 2 => assert!(!more.is_empty(), "share {share} was ended in the middle"),
            _ => assert!(more.is_empty(), "share {share} was done: {more:?}"),
        }
        files.extend(more);
        if share == 2 {
            // Who was killed said nothing; what it had copied is known by who came after it.
            let before = end["skipped"].as_u64().unwrap() + end["files"].as_u64().unwrap();
            assert_eq!(usize::try_from(before).unwrap(), FILES, "{end}");
            continue;
        }
        for file in files {
            assert_eq!(all.insert(file.clone(), share), None, "{file} was copied twice");
        }
    }
    // What the other three did not copy is the share of the one that was killed.
    let killed = text(&out(1, 2)).to_owned();
    let events = fs::read_to_string(killed).unwrap();
    let mut own = 0;
    for event in events.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()) {
        let ours = event["outcome"] == "copied" || event["reason"] == "copied before";
        if event["event"] == "entry" && event["kind"] == "file" && ours {
            own += 1;
            assert!(!all.contains_key(event["path"].as_str().unwrap()), "{event}");
        }
    }
    assert_eq!(all.len() + own, FILES);
    println!("shares of {FILES} files: {} of the three, {own} of the one that was killed", all.len());
}
