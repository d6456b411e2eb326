//! The switches of unit tests are nowhere else.

use std::fs;
use std::path::Path;

use crate::table::sources;

/// A use of the switches is known in unit tests only: whoever forgets the attribute cannot build the library. This sees to it
/// that nobody makes them known elsewhere.
#[test]
fn every_switch_stands_behind_cfg_test() {
    let mut uses = 0;
    let mut wrong = Vec::new();
    for (path, text) in sources("src") {
        let lines: Vec<_> = text.lines().collect();
        let in_tests = path.iter().any(|part| part == "tests" || part == "tests.rs" || part == "hooks.rs");
        for (number, line) in lines.iter().enumerate() {
            if in_tests || !(line.contains("hooks::") || line.trim().ends_with("mod hooks;")) {
                continue;
            }
            uses += 1;
            // Above the statement that the use is in: at most a few lines up, over its own beginning.
            let above = lines[..number].iter().rev().take(4).take_while(|line| !line.trim().ends_with(';'));
            if !above.into_iter().any(|line| line.trim() == "#[cfg(test)]") {
                wrong.push(format!("{}:{}: {}", path.display(), number + 1, line.trim()));
            }
        }
    }
    assert!(uses > 15, "{uses} uses: is the module still called so?");
    assert!(wrong.is_empty(), "not behind #[cfg(test)]:\n{}", wrong.join("\n"));
}

/// The name of the variable is in the unit tests' binary, and in no library that is built.
#[test]
fn the_library_knows_no_switch() {
    let folder = std::env::current_exe().unwrap();
    let folder = folder.parent().unwrap();
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/hooks.rs")).unwrap();
    let name = text.split("VARIABLE: &str = \"").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
    let names = [name, "GRIDFTP_TEST_C_RECEIVER"];
    let holds = |path: &Path| {
        let bytes = fs::read(path).unwrap();
        let text = String::from_utf8_lossy(&bytes);
        names.iter().any(|name| text.contains(name))
    };
    let mut libraries = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let file = path.file_name().unwrap().to_string_lossy().into_owned();
        if file.starts_with("libgridftp-") && file.ends_with(".rlib") {
            libraries.push((fs::metadata(&path).unwrap().modified().unwrap(), path));
        }
    }
    // Those of earlier builds lie about as well.
    let (_, newest) =
        libraries.into_iter().max().unwrap_or_else(|| panic!("no library in {}", folder.display()));
    assert!(!holds(&newest), "one of {names:?} is in {}", newest.display());
}
