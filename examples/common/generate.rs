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
    command.build();
    let name = command.get_name().to_owned();
    let shell = match what {
        What::Man => {
            let page = clap_mangen::Man::new(command.clone()).date("").source("gridftp");
            page.render_title(&mut out)?;
            page.render_name_section(&mut out)?;
            page.render_synopsis_section(&mut out)?;
            page.render_description_section(&mut out)?;
            page.render_options_section(&mut out)?;
            for verb in command.get_subcommands().filter(|verb| verb.get_name() != "help") {
                render_verb(verb, &mut out)?;
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

/// A verb as a section of its program's page, with the options that are its own.
fn render_verb(verb: &Command, out: &mut Vec<u8>) -> std::io::Result<()> {
    let mut verb = verb.clone();
    let usage = verb.render_usage().to_string().replace("Usage: ", "");
    let about = verb.get_about().map(ToString::to_string).unwrap_or_default();
    let mut text = format!(".SH {}\n{}\n.PP\n.B {}\n", verb.get_name(), roff(&about), roff(&usage));
    let mut options = Vec::new();
    clap_mangen::Man::new(verb.clone()).render_options_section(&mut options)?;
    let options = String::from_utf8_lossy(&options).replace(".SH OPTIONS\n", "");
    // Further sections are of options that all verbs have.
    text += options.split(".SH ").next().unwrap_or_default();
    if let Some(more) = verb.get_after_help().or_else(|| verb.get_after_long_help()) {
        text += &format!(".PP\n.nf\n{}\n.fi\n", roff(&more.to_string()));
    }
    out.extend_from_slice(text.as_bytes());
    Ok(())
}

/// Text for roff, where a backslash and a dot at the beginning of a line mean something.
pub(crate) fn roff(text: &str) -> String {
    let escaped = text.replace('\\', "\\e").replace('-', "\\-");
    let lines = escaped
        .lines()
        .map(|line| if line.starts_with(['.', '\'']) { format!("\\&{line}") } else { line.to_owned() });
    lines.collect::<Vec<_>>().join("\n")
}
