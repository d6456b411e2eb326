//! What happens, as JSON lines: one object a line, each with the version of the schema (`v`), its kind (`event`) and the time.
//!
//! docs/events.md describes them. Fields may be added; the meaning of one never changes within a version.

use std::io::Write as _;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use gridftp::transfer::{Explanation, Outcome, ReportEntry, ReportKind};
use serde_json::{Map, Value, json};

use crate::exit::Code;
use crate::failure::Failure;
use crate::outcome::Totals;
use crate::progress::Snapshot;
use crate::tasks::Task;

/// The version of the schema.
pub(crate) const VERSION: u32 = 1;

fn emit(event: &str, fields: Value, on_stderr: bool) {
    let mut all = Map::new();
    all.insert("v".to_owned(), VERSION.into());
    all.insert("event".to_owned(), event.into());
    let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    all.insert("time".to_owned(), seconds(time));
    if let Value::Object(fields) = fields {
        all.extend(fields);
    }
    let mut line = Value::Object(all).to_string();
    line.push('\n');
    crate::progress::say(on_stderr, &line);
    let _ = std::io::stdout().flush();
}

/// To the millisecond.
fn seconds(time: Duration) -> Value {
    let millis = u32::try_from(time.as_millis() % 1000).unwrap_or(0);
    let text = format!("{}.{millis:03}", time.as_secs());
    text.parse::<serde_json::Number>().map_or(Value::Null, Value::Number)
}

/// A path in bytes: as text, and where it is not UTF-8 its bytes as well.
fn path(fields: &mut Map<String, Value>, path: &[u8]) {
    fields.insert("path".to_owned(), String::from_utf8_lossy(path).into());
    if std::str::from_utf8(path).is_err() {
        let hex: String = path.iter().map(|byte| format!("{byte:02x}")).collect();
        fields.insert("path_hex".to_owned(), hex.into());
    }
}

/// It begins.
pub(crate) fn start(tasks: usize, on_stderr: bool) {
    emit(
        "start",
        json!({ "program": "gridftp-cp", "version": env!("CARGO_PKG_VERSION"), "tasks": tasks }),
        on_stderr,
    );
}

pub(crate) fn warning(text: &str, on_stderr: bool) {
    emit("warning", json!({ "message": text }), on_stderr);
}

/// How far it is, each second.
pub(crate) fn progress(now: &Snapshot, bytes_per_second: f64, eta: Option<Duration>, on_stderr: bool) {
    let current: Vec<_> = now
        .current
        .iter()
        .map(|(path, bytes, size)| json!({ "path": path, "bytes": bytes, "size": size }))
        .collect();
    let fields = json!({
        "elapsed": seconds(now.elapsed),
        "files_found": now.files_found,
        "files_done": now.files_done,
        "bytes_found": now.bytes_found,
        "bytes_done": now.bytes_done,
        "planned": now.is_planned,
        "skipped": now.skipped,
        "failed": now.failed,
        "retries": now.retries,
        "sessions": now.sessions,
        "bytes_per_second": bytes_per_second.round(),
        "eta": eta.map(seconds),
        "current": current,
    });
    emit("progress", fields, on_stderr);
}

/// What became of an entry of a task.
pub(crate) fn entry(task: &Task, entry: &ReportEntry, on_stderr: bool) {
    let mut fields = Map::new();
    fields.insert("source".to_owned(), task.from.to_string().into());
    fields.insert("destination".to_owned(), task.to.to_string().into());
    path(&mut fields, &entry.path);
    let kind = match entry.kind {
        ReportKind::File => "file",
        ReportKind::Folder => "folder",
        ReportKind::Link => "link",
        _ => "other",
    };
    fields.insert("kind".to_owned(), kind.into());
    match &entry.outcome {
        Outcome::Copied { bytes } => {
            fields.insert("outcome".to_owned(), "copied".into());
            fields.insert("bytes".to_owned(), (*bytes).into());
        }
        Outcome::Skipped(reason) => {
            fields.insert("outcome".to_owned(), "skipped".into());
            fields.insert("reason".to_owned(), reason.as_str().into());
        }
        Outcome::Deleted => {
            fields.insert("outcome".to_owned(), "deleted".into());
        }
        Outcome::Failed(error) => {
            fields.insert("outcome".to_owned(), "failed".into());
            let failure = crate::run::failed(task, error.clone());
            fields.insert("error".to_owned(), error_of(&failure));
        }
        _ => {}
    }
    emit("entry", Value::Object(fields), on_stderr);
}

/// A task that is one stream, or did not come as far as entries.
pub(crate) fn task(task: &Task, result: Result<u64, &Failure>, on_stderr: bool) {
    let mut fields = Map::new();
    fields.insert("source".to_owned(), task.from.to_string().into());
    fields.insert("destination".to_owned(), task.to.to_string().into());
    fields.insert("path".to_owned(), "".into());
    fields.insert("kind".to_owned(), "file".into());
    match result {
        Ok(bytes) => {
            fields.insert("outcome".to_owned(), "copied".into());
            fields.insert("bytes".to_owned(), bytes.into());
        }
        Err(failure) => {
            fields.insert("outcome".to_owned(), "failed".into());
            fields.insert("error".to_owned(), error_of(failure));
        }
    }
    emit("entry", Value::Object(fields), on_stderr);
}

/// What kept a copy from being faster.
pub(crate) fn explanation(task: &Task, explanation: &Explanation, on_stderr: bool) {
    let evidence = &explanation.evidence;
    let connections = evidence.connections.as_ref().map(|seen| {
        json!({
            "count": seen.count,
            "most": seen.most,
            "shortest_round_trip": micros(seen.shortest_round_trip),
            "loaded_round_trip": micros(seen.loaded_round_trip),
            "incoming": seen.incoming,
            "packets": seen.packets,
            "disordered": seen.disordered,
            "peer_full": seen.peer_full,
            "buffer_full": seen.buffer_full,
        })
    });
    let choices: Vec<_> = explanation
        .choices
        .iter()
        .map(|choice| {
            json!({
                "after": seconds(choice.after),
                "sessions": choice.sessions,
                "streams": choice.streams,
                "why": format!("{:?}", choice.why),
            })
        })
        .collect();
    let fields = json!({
        "source": task.from.to_string(),
        "destination": task.to.to_string(),
        "bound": format!("{:?}", explanation.bound),
        "elapsed": seconds(evidence.elapsed),
        "before_first_byte": seconds(evidence.before_first_byte),
        "waited_for_network": seconds(evidence.waited_for_network),
        "waited_for_disk": seconds(evidence.waited_for_disk),
        "waited_for_limit": seconds(evidence.waited_for_limit),
        "cpu": seconds(evidence.cpu),
        "cores": evidence.cores,
        "busiest_thread": evidence.busiest_thread.as_ref().map(|(name, part)| json!({ "name": name, "part": part })),
        "round_trip": micros(evidence.round_trip),
        "pipelines": evidence.pipelines,
        "busy_replies": evidence.busy_replies,
        "window": explanation.window_bytes,
        "connections": connections,
        "choices": choices,
        "text": explanation.to_string(),
    });
    emit("explanation", fields, on_stderr);
}

/// To the microsecond, in seconds.
fn micros(time: Duration) -> Value {
    let text = format!("{}.{:06}", time.as_secs(), time.subsec_micros());
    text.parse::<serde_json::Number>().map_or(Value::Null, Value::Number)
}

/// A source that need not be there is not.
pub(crate) fn missing(task: &Task, on_stderr: bool) {
    let reason = gridftp::transfer::SkipReason::Missing.as_str();
    let fields = json!({
        "source": task.from.to_string(),
        "destination": task.to.to_string(),
        "path": "",
        "kind": "file",
        "outcome": "skipped",
        "reason": reason,
    });
    emit("entry", fields, on_stderr);
}

fn error_of(failure: &Failure) -> Value {
    let code = failure.code();
    let mut fields = json!({
        "class": code.name(),
        "code": code.number(),
        "message": failure.line(),
        "side": failure.side(),
    });
    if let (Some(error), Value::Object(fields)) = (failure.error(), &mut fields) {
        fields.insert("kind".to_owned(), format!("{:?}", error.kind()).into());
        fields.insert("transient".to_owned(), error.is_transient().into());
        fields.insert("reply".to_owned(), error.reply().map(ToString::to_string).into());
    }
    fields
}

/// It is over.
pub(crate) fn end(totals: &Totals, code: Code, failure: Option<&Failure>, on_stderr: bool) {
    let counts = &totals.counts;
    let fields = json!({
        "exit_code": code.number(),
        "class": code.name(),
        "files": counts.files,
        "bytes": counts.bytes,
        "folders": counts.folders,
        "links": counts.links,
        "skipped": counts.skipped,
        "skipped_bytes": counts.skipped_bytes,
        "failed": counts.failed,
        "deleted": counts.deleted,
        "of_other_shares": totals.of_others,
        "retries": totals.retries,
        "bytes_moved": totals.bytes_moved,
        "elapsed": seconds(totals.elapsed),
        "error": failure.map(error_of),
    });
    emit("end", fields, on_stderr);
}
