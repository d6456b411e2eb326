//! `stat`: everything a server tells.

use gridftp::{Entry, Url};

use crate::args::{self, verbs::Urls};
use crate::context::{Context, Tally, remote};
use crate::exit::Code;
use crate::failure::Failure;
use crate::show;
use crate::when;

pub(crate) async fn run(context: &Context, words: &Urls) -> Result<Code, Failure> {
    let urls = args::urls(&words.urls)?;
    let mut tally = Tally::default();
    for url in &urls {
        let result = match context.client.stat(url).await {
            Ok(entry) => print(context, url, &entry).await,
            Err(error) => Err(remote(error)),
        };
        tally.add(result)?;
    }
    Ok(tally.code())
}

async fn print(context: &Context, url: &Url, entry: &Entry) -> Result<(), Failure> {
    if context.json {
        let name = url.file_name().unwrap_or_else(|| url.path());
        let mut object = show::object(name, url.path(), Some(url), entry);
        object.insert("created".into(), serde_json::json!(entry.created().map(when::rfc3339)));
        object.insert("facts".into(), show::facts(entry));
        return context.out.json(&object.into()).await;
    }
    let mut rows = vec![("URL", url.to_string()), ("type", show::text(&show::kind(entry)))];
    let mut add = |what, value: Option<String>| rows.extend(value.map(|value| (what, value)));
    add(
        "size",
        entry.size().map(|bytes| match bytes {
            0..1024 => bytes.to_string(),
            _ => format!("{bytes} ({})", show::human(bytes)),
        }),
    );
    add("modified", entry.modified().map(when::rfc3339));
    add("created", entry.created().map(when::rfc3339));
    add("mode", entry.unix_mode().map(|mode| format!("{mode:04o} ({})", show::mode(entry))));
    add("owner", entry.owner().map(show::text));
    add("group", entry.group().map(show::text));
    add("leads to", entry.link_target().map(|target| show::name(&target)));
    for (what, value) in rows {
        context.out.line(&format!("{what:>8}  {value}")).await?;
    }
    // As the server wrote them: there may be some that have no name here.
    for (name, value) in entry.facts() {
        context.out.line(&format!("    fact  {}={}", show::name(name), show::name(value))).await?;
    }
    Ok(())
}
