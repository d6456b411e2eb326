//! What is said beside failures: options that are not done, attributes that were not kept, half files that may be left; and
//! the control channels, for `-dbg`.

use std::fmt;

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::args::Settings;
use crate::{events, progress};

/// Has warnings shown from now on, `notes` first.
pub(crate) fn install(settings: &Settings, notes: &[String]) {
    let json = settings.show.json;
    for note in notes {
        say(json, settings.show.quiet, note);
    }
    for (name, note) in ENVIRONMENT {
        if std::env::var_os(name).is_some() {
            say(json, settings.show.quiet, &format!("{name} is not heard: {note}"));
        }
    }
    if settings.show.trace {
        let filter = tracing_subscriber::EnvFilter::new("gridftp=debug,gridftp::session::control=trace");
        tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_writer(std::io::stderr)
            .with_ansi(false)
            .with_target(false)
            .with_level(false)
            .without_time()
            .init();
    } else {
        let quiet = settings.show.quiet;
        tracing_subscriber::registry().with(Warnings { json, quiet }).init();
    }
}

/// Variables of `globus-url-copy` that have no meaning here.
const ENVIRONMENT: [(&str, &str); 2] = [
    (
        "GLOBUS_FTP_CLIENT_SOURCE_PASV",
        "in extended block mode it is the source that connects; --through-client is for servers that cannot reach each other",
    ),
    (
        "GLOBUS_FTP_CLIENT_NO_SERVER_PASV",
        "servers listen in stream mode; -fast makes this machine listen for what it is sent",
    ),
];

fn say(json: bool, quiet: bool, text: &str) {
    if json {
        events::warning(text, false);
    } else if !quiet {
        progress::warn(text);
    }
}

struct Warnings {
    json: bool,
    quiet: bool,
}

impl<S: Subscriber> Layer<S> for Warnings {
    // What is said below transfers is about an attempt, of which the outcome tells.
    fn enabled(&self, metadata: &tracing::Metadata<'_>, _: Context<'_, S>) -> bool {
        *metadata.level() <= Level::WARN && metadata.target().starts_with("gridftp::transfer")
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut text = Text::default();
        event.record(&mut text);
        say(self.json, self.quiet, &text.line());
    }
}

/// What a warning says, with what it is about behind it.
#[derive(Default)]
struct Text {
    message: String,
    fields: Vec<String>,
}

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let value = format!("{value:?}");
        if field.name() == "message" { self.message = value } else { self.fields.push(value) }
    }
}

impl Text {
    fn line(self) -> String {
        let fields = self.fields.join(", ");
        let whole = if fields.is_empty() { self.message } else { format!("{} ({fields})", self.message) };
        let mut line = String::with_capacity(whole.len());
        for c in whole.chars() {
            if c.is_control() { line.extend(c.escape_default()) } else { line.push(c) }
        }
        line
    }
}
