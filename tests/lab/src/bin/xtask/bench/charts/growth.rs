//! What it costs as the work grows: time for each file and memory, by the number of files; time for each GiB, by the size of one.

use anyhow::Result;

use super::super::figures::figure;
use super::super::lab::{Lab, Plan, check_tree, clear};
use super::super::measure;
use super::super::results::{Axis, Chart, Series};
use super::super::session::{Session, size, words};
use super::super::table::mib;
use super::Copier;

/// 10^2 to 10^6 files of 1 KiB, on loopback.
pub(super) fn files(session: &mut Session) -> Result<Vec<Chart>> {
    let lab = Lab::new(Plan::default())?;
    let copiers = [Copier::ours(session, "-r")?, Copier::guc("-r -cd -cc 4 -fast", None)?];
    let most = session.sized(1_000_000, 1000);
    let mut times: Vec<Series> = Vec::new();
    let mut memories: Vec<Series> = Vec::new();
    for copier in &copiers {
        let series = || Series { name: copier.name.clone(), points: Vec::new() };
        let (mut time, mut memory) = (series(), series());
        let mut count = 100;
        while count <= most {
            // Each takes a page, here and in the copy.
            lab.require_space(count * 2 * 4096)?;
            let tree = lab.tree("source", count, 1024, 1000)?;
            clear(&lab.path("copy"))?;
            let (wall, ..) = measure::time(&mut copier.folder(&lab, "source"))?;
            check_tree(&tree, &lab.path("copy"))?;
            // Not while it is timed: reading memory takes processor time.
            clear(&lab.path("copy"))?;
            let (peak, _) = measure::peak_memory(&mut copier.folder(&lab, "source"))?;
            check_tree(&tree, &lab.path("copy"))?;
            clear(&lab.path("copy"))?;
            clear(&lab.path("source"))?;
            let each = wall.as_secs_f64() * 1e6 / figure(count);
            println!("{}, {count} files: {each:.0} µs each, {:.1} MiB at most", copier.name, mib(peak));
            time.points.push((figure(count), each));
            memory.points.push((figure(count), mib(peak)));
            count *= 10;
        }
        times.push(time);
        memories.push(memory);
    }
    let x = || Axis { label: "files".to_owned(), log: true };
    Ok(vec![
        Chart {
            name: "growth-files-memory".to_owned(),
            title: "Memory of the client, by number of files (1 KiB each, fetched, loopback)".to_owned(),
            x: x(),
            y: Axis { label: "peak MiB".to_owned(), log: true },
            series: memories,
            measured: session.stamp(),
        },
        Chart {
            name: "growth-files-time".to_owned(),
            title: "Time for each file, by number of files (1 KiB each, fetched, loopback)".to_owned(),
            x: x(),
            y: Axis { label: "µs for each file".to_owned(), log: true },
            series: times,
            measured: session.stamp(),
        },
    ])
}

/// 1 MiB to 16 GiB in one file, on loopback. Where a copy has no room beside it, the data is thrown away.
pub(super) fn bytes(session: &mut Session) -> Result<Vec<Chart>> {
    let lab = Lab::new(Plan::default())?;
    let copiers = [Copier::ours(session, "")?, Copier::guc("-fast", None)?];
    let most = session.sized(16 << 30, 4 << 20);
    let mut series: Vec<Series> = Vec::new();
    let mut bytes = 1 << 20;
    while bytes <= most {
        // Files in /dev/shm are memory, and the programs need some as well.
        let room = lab.free()?.min(available_memory()).saturating_sub(1 << 30);
        if room < bytes {
            session.leave_out(&format!("growth-bytes with {}", size(bytes)), "there is no room in /dev/shm");
            break;
        }
        let to_file = room >= 2 * bytes + (64 << 20);
        let original = lab.original("source", bytes)?;
        let copy = lab.path("copy");
        let command = |copier: &Copier| match to_file {
            true => copier.file(&lab, "source"),
            false => {
                lab.command(&copier.program, &words(&copier.flags, &[&lab.url("source"), "file:///dev/null"]))
            }
        };
        // Once without counting: memory that the machine has not used before is dearer, for whoever comes first.
        measure::time(&mut command(&copiers[0]))?;
        clear(&copy)?;
        for copier in &copiers {
            let (wall, ..) = measure::time(&mut command(copier))?;
            if to_file {
                original.check(&copy)?;
                clear(&copy)?;
            }
            let each = wall.as_secs_f64() * figure(1 << 30) / figure(bytes);
            let name = format!("{}, to {}", copier.name, if to_file { "a file" } else { "/dev/null" });
            println!("{name}, {}: {each:.3} s per GiB", size(bytes));
            let point = (figure(bytes) / figure(1 << 20), each);
            match series.iter_mut().find(|series| series.name == name) {
                Some(series) => series.points.push(point),
                None => series.push(Series { name, points: vec![point] }),
            }
        }
        clear(&lab.path("source"))?;
        bytes *= 4;
        // 1, 4, … 4096, 16384 MiB.
    }
    Ok(vec![Chart {
        name: "growth-bytes".to_owned(),
        title: "Time for each GiB, by size of one file (fetched, loopback)".to_owned(),
        x: Axis { label: "MiB".to_owned(), log: true },
        y: Axis { label: "seconds for each GiB".to_owned(), log: true },
        series,
        measured: session.stamp(),
    }])
}

/// What the kernel says can be had without swapping.
fn available_memory() -> u64 {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
    let kib = line.and_then(|rest| rest.trim().trim_end_matches("kB").trim().parse::<u64>().ok());
    kib.unwrap_or(0).saturating_mul(1024)
}
