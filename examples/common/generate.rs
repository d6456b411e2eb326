//! Completions for shells, and manual pages, out of what clap knows. `cargo xtask docs` writes them into docs/.

use clap::Command;
use clap_complete::Shell;

/// What can be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum What {
    Man,
    Bash,
    Zsh,
    Fish,
}

/// Makes it; `behind` is roff for the end of the manual page.
pub(crate) fn generate(what: What, command: &mut Command, behind: &str) -> std::io::Result<Vec<u8>> {
    let mut out = Vec::new();
    let name = command.get_name().to_owned();
    let shell = match what {
        What::Man => {
            let page = clap_mangen::Man::new(command.clone()).date("").source("gridftp");
            page.render_title(&mut out)?;
            page.render_name_section(&mut out)?;
            page.render_synopsis_section(&mut out)?;
            page.render_description_section(&mut out)?;
            page.render_options_section(&mut out)?;
            if command.has_subcommands() {
                page.render_subcommands_section(&mut out)?;
            }
            page.render_extra_section(&mut out)?;
            out.extend_from_slice(behind.as_bytes());
            return Ok(out);
        }
        What::Bash => Shell::Bash,
        What::Zsh => Shell::Zsh,
        What::Fish => Shell::Fish,
    };
    clap_complete::generate(shell, command, name, &mut out);
    Ok(out)
}

/// Text for roff, where a backslash and a dot at the beginning of a line mean something.
pub(crate) fn roff(text: &str) -> String {
    let escaped = text.replace('\\', "\\e").replace('-', "\\-");
    let lines = escaped
        .lines()
        .map(|line| if line.starts_with(['.', '\'']) { format!("\\&{line}") } else { line.to_owned() });
    lines.collect::<Vec<_>>().join("\n")
}
