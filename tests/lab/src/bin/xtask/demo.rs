//! `cargo xtask demo`: a newcomer sees real files go to a real server and come back the same.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use gridftp_lab::{Pki, Server, Tree};

use crate::{deps, step};

const MIB: u64 = 1 << 20;

/// From this size on a file is copied over four streams, in extended block mode.
const LARGE: u64 = 8 * MIB;

/// One line of the table.
struct Row {
    what: String,
    files: usize,
    bytes: u64,
    time: Duration,
    wrong: Vec<String>,
}

/// Runs it.
pub(crate) fn run() -> Result<()> {
    deps::ensure(deps::Wanted::Programs)?;
    let program = step::build_release_example("gridftp-cp")?;
    let work =
        tempfile::Builder::new().prefix("gridftp-demo-").tempdir().context("making a temporary folder")?;
    let tree = Tree::create(work.path().join("original"), 20_240_101, files())?;
    println!(
        "A tree of {} files, {:.1} MB, the largest of {} MiB.",
        tree.files.len(),
        step::megabytes(tree.bytes()),
        tree.files.iter().map(|file| file.size).max().unwrap_or(0) / MIB
    );

    let mut rows = Vec::new();
    {
        let server = Server::anonymous().try_start()?;
        println!("A throw-away anonymous server answers at {}.", server.url_root());
        // On a control channel in clear text this server drops every byte above 127 from what it is told, and so would
        // store the file under another name. Under GSI it does not.
        let mut ascii = tree.clone();
        ascii.files.retain(|file| file.path.to_str().is_some_and(str::is_ascii));
        there_and_back("anonymous", &program, &server, &[], &ascii, work.path(), &mut rows)?;
    }
    {
        let pki = Pki::try_new()?;
        let server = Server::gsi(&pki).try_start()?;
        println!("A throw-away GSI server answers at {}.", server.url_root());
        there_and_back("GSI", &program, &server, &pki.env(), &tree, work.path(), &mut rows)?;
    }
    show(&rows);
    let wrong: usize = rows.iter().map(|row| row.wrong.len()).sum();
    if wrong > 0 {
        bail!("{wrong} copies are not what they should be");
    }
    println!(
        "Every copy is identical to its original. (Names that are not ASCII went over GSI only: without it this"
    );
    println!("server drops such bytes from the names it is given.)");
    Ok(())
}

/// Names and sizes: empty, tiny, around the sizes of blocks, odd, large; folders, and names that have to be encoded.
fn files() -> Vec<(PathBuf, u64)> {
    let mut files: Vec<(PathBuf, u64)> = [
        ("empty", 0),
        ("one-byte", 1),
        ("a name with spaces.txt", 12_345),
        ("Größe 数据.bin", 54_321),
        ("100%.dat", 777),
        ("what#is?this;really=&+.dat", 4_097),
        ("blocks/64k-minus-1", 65_535),
        ("blocks/64k", 65_536),
        ("blocks/64k-plus-1", 65_537),
        ("blocks/256k-minus-1", 262_143),
        ("blocks/256k", 262_144),
        ("blocks/256k-plus-1", 262_145),
        ("blocks/1M-minus-1", MIB - 1),
        ("blocks/1M-plus-1", MIB + 1),
        ("large/7M-and-13", 7 * MIB + 13),
        ("large/16M", 16 * MIB),
        ("large/33M-and-7", 33 * MIB + 7),
        ("large/64M", 64 * MIB),
    ]
    .map(|(path, size)| (path.into(), size))
    .into();
    for number in 0u64..22 {
        let path = format!("small/{}/deep er/file-{number:02}", number % 3);
        files.push((path.into(), number * number * 1_237 + number));
    }
    files
}

fn there_and_back(
    name: &str,
    program: &Path,
    server: &Server,
    env: &[(&'static str, PathBuf)],
    tree: &Tree,
    work: &Path,
    rows: &mut Vec<Row>,
) -> Result<()> {
    let copy = |size: u64, from: &str, to: &str| -> Result<()> {
        let mut command = Command::new(program);
        command.envs(env.iter().map(|(key, value)| (key, value))).arg("-cd");
        if size >= LARGE {
            command.args(["-fast", "-p", "4"]);
        }
        step::run(command.args([from, to]))
    };
    let path =
        |below: &Path| below.to_str().map(str::to_owned).context("the temporary folder's name is not UTF-8");

    let begun = Instant::now();
    for file in &tree.files {
        copy(file.size, &path(&tree.root.join(&file.path))?, &server.url(&file.path))?;
    }
    let time = begun.elapsed();
    let row = |what: &str, time, wrong| Row {
        what: format!("{name} {what}"),
        files: tree.files.len(),
        bytes: tree.bytes(),
        time,
        wrong,
    };
    rows.push(row("put", time, tree.differences(&server.dir())));

    let back = work.join(format!("back-{name}"));
    let begun = Instant::now();
    for file in &tree.files {
        copy(file.size, &server.url(&file.path), &path(&back.join(&file.path))?)?;
    }
    let time = begun.elapsed();
    rows.push(row("get", time, tree.differences(&back)));
    Ok(())
}

fn show(rows: &[Row]) {
    println!("\n{:<16}{:>7}{:>14}{:>10}{:>9}   hashes", "what", "files", "bytes", "seconds", "MB/s");
    for row in rows {
        let hashes = if row.wrong.is_empty() {
            format!("{} of {} equal", row.files, row.files)
        } else {
            format!("{} of {} WRONG", row.wrong.len(), row.files)
        };
        println!(
            "{:<16}{:>7}{:>14}{:>10.2}{:>9.0}   {hashes}",
            row.what,
            row.files,
            row.bytes,
            row.time.as_secs_f64(),
            step::rate(row.bytes, row.time)
        );
        for line in &row.wrong {
            println!("    {line}");
        }
    }
    println!();
}
