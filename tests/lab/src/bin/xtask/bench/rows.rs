//! The rows P1 to P20: what each one is called, and how it is measured. The cases are in the files beside this, by what they are
//! about; the goals are those of the design, ours over theirs.

mod derived;
mod large;
mod listings;
mod metadata;
mod small;

use std::str::FromStr;

use anyhow::Result;

use super::session::Session;

pub(crate) use large::FAR;

/// A row.
pub(crate) struct Row {
    pub(crate) number: u8,
    pub(crate) title: &'static str,
    run: fn(&mut Session) -> Result<()>,
}

/// All of them. Those that look at what others needed stand where their number says, and are run last.
pub(crate) static ROWS: [Row; 20] = [
    Row { number: 1, title: "a large file to /dev/null", run: large::to_null },
    Row { number: 2, title: "a large file to a file", run: large::to_file },
    Row { number: 3, title: "a large file put", run: large::put },
    Row { number: 4, title: "a large file, GSI, encrypted", run: large::private },
    Row { number: 5, title: "small files fetched, loopback", run: small::get },
    Row { number: 6, title: "small files stored, loopback", run: small::put },
    Row { number: 7, title: "small files fetched, 50 ms", run: small::get_far },
    Row { number: 8, title: "small files stored, 50 ms", run: small::put_far },
    Row { number: 9, title: "a large file, 50 ms, 1 Gbit/s", run: large::far },
    Row { number: 10, title: "a walk through a tree", run: listings::walk },
    Row { number: 11, title: "a folder of many entries", run: listings::list },
    Row { number: 12, title: "small files from server to server", run: small::third_party },
    Row { number: 13, title: "facts of a file, connection kept", run: metadata::stat },
    Row { number: 14, title: "processor time of the client, per GiB", run: derived::processor },
    Row { number: 15, title: "memory of the client", run: derived::memory },
    Row { number: 16, title: "operations that wait", run: metadata::waiting },
    Row { number: 17, title: "contents compared by checksum", run: large::verified },
    Row { number: 18, title: "facts of a file, from nothing, 50 ms", run: metadata::cold },
    Row { number: 19, title: "small files fetched, GSI", run: small::gsi },
    Row { number: 20, title: "a large file, striped server", run: large::striped },
];

/// The rows that others derive from.
const BASIS: [(u8, &[u8]); 2] = [(14, &[1, 2, 3]), (15, &[1, 2, 3, 5, 6])];

/// The name of a row: `P7`, `p7` or `7`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RowName(u8);

impl FromStr for RowName {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        let number = word.strip_prefix(['P', 'p']).unwrap_or(word);
        // Digits alone: `+7` would be a number for Rust as well.
        let number = number.bytes().all(|byte| byte.is_ascii_digit()).then(|| number.parse().ok()).flatten();
        let found = number.filter(|number| ROWS.iter().any(|row| row.number == *number));
        found.map(Self).ok_or_else(|| format!("\"{word}\" is no row, expected one of P1 to P{}", ROWS.len()))
    }
}

/// The rows to run, in their order: those wanted, or all.
fn chosen(wanted: &[RowName]) -> Vec<&'static Row> {
    let is_wanted = |number: u8| wanted.is_empty() || wanted.iter().any(|name| name.0 == number);
    let is_needed =
        |number: u8| BASIS.iter().any(|(derived, from)| is_wanted(*derived) && from.contains(&number));
    let is_derived = |row: &Row| BASIS.iter().any(|(derived, _)| *derived == row.number);
    let rows = ROWS.iter().filter(|row| is_wanted(row.number) || is_needed(row.number));
    let (last, mut first): (Vec<_>, Vec<_>) = rows.partition(|row| is_derived(row));
    first.extend(last);
    first
}

/// Measures them; `keep` is called after each.
pub(crate) fn run(
    session: &mut Session,
    wanted: &[RowName],
    keep: &dyn Fn(&Session) -> Result<()>,
) -> Result<()> {
    for row in chosen(wanted) {
        println!("==== P{}: {}", row.number, row.title);
        if let Err(error) = (row.run)(session) {
            session.fail(&format!("P{}", row.number), &error);
        }
        session.lines.sort_by_key(|line| line.row);
        keep(session)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(words: &[&str]) -> Vec<u8> {
        let names: Vec<RowName> = words.iter().map(|word| word.parse().unwrap()).collect();
        chosen(&names).iter().map(|row| row.number).collect()
    }

    #[test]
    fn rows_are_named_by_their_number() {
        assert_eq!("P7".parse(), Ok(RowName(7)));
        assert_eq!("p20".parse(), Ok(RowName(20)));
        assert_eq!("1".parse(), Ok(RowName(1)));
        for wrong in ["P0", "P21", "P", "", "large", "P+7", "PP7", "P7x", "P999"] {
            let error = wrong.parse::<RowName>().unwrap_err();
            assert!(error.contains("expected one of P1 to P20"), "{error}");
        }
    }

    #[test]
    fn each_row_stands_at_its_number() {
        assert!(ROWS.iter().zip(1..).all(|(row, number)| row.number == number));
    }

    #[test]
    fn what_derives_from_others_has_them_run_before() {
        assert_eq!(numbers(&["P7", "P1"]), [1, 7]);
        assert_eq!(numbers(&["P14"]), [1, 2, 3, 14]);
        assert_eq!(numbers(&["P15", "P20"]), [1, 2, 3, 5, 6, 20, 15]);
        let all = numbers(&[]);
        assert_eq!((all.len(), &all[18..]), (20, &[14, 15][..]));
    }
}
