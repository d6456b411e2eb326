//! `features` and `df`: about servers.

use serde_json::{Value, json};

use crate::args::{self, verbs::Urls};
use crate::context::{Context, Tally, remote};
use crate::exit::Code;
use crate::failure::Failure;
use crate::show;

pub(crate) async fn features(context: &Context, words: &Urls) -> Result<Code, Failure> {
    let urls = args::urls(&words.urls)?;
    let mut tally = Tally::default();
    for (index, url) in urls.iter().enumerate() {
        let features = match context.client.features(url).await {
            Ok(features) => features,
            Err(error) => {
                tally.add(Err(remote(error)))?;
                continue;
            }
        };
        tally.add(Ok(()))?;
        if context.json {
            let list: Vec<Value> = features
                .iter()
                .map(|(name, parameters)| json!({ "name": name, "parameters": parameters }))
                .collect();
            let checksums: Vec<&str> = features.checksums().collect();
            let object = json!({
                "url": url.to_string(),
                "server": url.endpoint().to_string(),
                "features": list,
                "checksums": checksums,
            });
            context.out.json(&object).await?;
            continue;
        }
        if urls.len() > 1 {
            let between = if index == 0 { "" } else { "\n" };
            context.out.line(&format!("{between}{}:", url.endpoint())).await?;
        }
        for (name, parameters) in features.iter() {
            let line = format!("{} {}", show::text(name), show::text(parameters));
            context.out.line(line.trim_end()).await?;
        }
    }
    Ok(tally.code())
}

/// FTP has no command for it, and what single servers have behind `SITE` differs: nothing is made up.
pub(crate) async fn df(context: &Context, words: &Urls) -> Result<Code, Failure> {
    let urls = args::urls(&words.urls)?;
    let mut tally = Tally::default();
    for url in &urls {
        // A server that cannot be reached is another failure.
        let failure = match context.client.stat(url).await {
            Ok(_) => Failure::told(
                Code::Server,
                format!(
                    "{url}: the server does not tell how much space is free, as FTP has no command that asks for it"
                ),
            ),
            Err(error) => remote(error),
        };
        tally.add(Err(failure))?;
    }
    Ok(tally.code())
}
