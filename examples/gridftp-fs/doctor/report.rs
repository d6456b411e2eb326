//! What has come of the steps, and how it is told.

use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

use gridftp::Url;
use serde_json::{Value, json};

use crate::context::Context;
use crate::exit::Code;
use crate::failure::Failure;
use crate::show;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Status {
    Good,
    Warned,
    Failed(Code),
    Skipped,
}

/// What has come of one step.
#[derive(Debug)]
pub(super) struct Outcome {
    status: Status,
    text: String,
    advice: Vec<String>,
}

impl Outcome {
    fn of(status: Status, text: impl Into<String>) -> Self {
        Self { status, text: show::text(&text.into()), advice: Vec::new() }
    }

    pub(super) fn good(text: impl Into<String>) -> Self {
        Self::of(Status::Good, text)
    }

    pub(super) fn warned(text: impl Into<String>) -> Self {
        Self::of(Status::Warned, text)
    }

    pub(super) fn failed(failure: &Failure) -> Self {
        Self::of(Status::Failed(failure.code()), failure.line().unwrap_or_default())
    }

    pub(super) fn skipped(why: &str) -> Self {
        Self::of(Status::Skipped, why)
    }

    pub(super) fn advise(mut self, advice: &str) -> Self {
        self.advice.push(show::text(advice));
        self
    }
}

struct Step {
    name: &'static str,
    time: Duration,
    outcome: Outcome,
}

pub(super) struct Report<'a> {
    context: &'a Context,
    url: &'a Url,
    steps: Vec<Step>,
    /// How long the next step to be told has taken.
    time: Duration,
    coloured: bool,
}

impl<'a> Report<'a> {
    pub(super) fn new(context: &'a Context, url: &'a Url) -> Self {
        let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let coloured = std::io::stdout().is_terminal() && !refused;
        Self { context, url, steps: Vec::new(), time: Duration::ZERO, coloured }
    }

    /// Does a step's work and takes its time.
    pub(super) async fn timed<T: Send>(&mut self, work: impl Future<Output = T> + Send) -> T {
        let begun = Instant::now();
        let result = work.await;
        self.time = begun.elapsed();
        result
    }

    /// Tells a step.
    pub(super) async fn step(&mut self, name: &'static str, outcome: Outcome) -> Result<(), Failure> {
        let time = if outcome.status == Status::Skipped { Duration::ZERO } else { self.time };
        self.time = Duration::ZERO;
        let step = Step { name, time, outcome };
        self.steps.push(step);
        let Some(step) = self.steps.last().filter(|_| !self.context.json) else { return Ok(()) };
        let (word, colour) = match step.outcome.status {
            Status::Good => ("OK", "32"),
            Status::Warned => ("WARN", "33"),
            Status::Failed(_) => ("FAIL", "31"),
            Status::Skipped => ("skipped", "2"),
        };
        let word = format!("{word:<7}");
        let word = if self.coloured { format!("\x1b[{colour}m{word}\x1b[0m") } else { word };
        let number = self.steps.len();
        let time = match step.outcome.status {
            Status::Skipped => format!("{:>8}", ""),
            _ => format!("{:>5} ms", time.as_millis()),
        };
        let line = format!("{word} {number:>2} {name:<10} {time}  {}", step.outcome.text);
        self.context.out.line(&line).await?;
        // Each as it is done: the next one may take its time.
        self.context.out.flush().await
    }

    /// What is wrong and what to do, and the class of the first failure.
    pub(super) async fn end(self) -> Result<Code, Failure> {
        let failures = self.steps.iter().filter_map(|step| match step.outcome.status {
            Status::Failed(code) => Some(code),
            _ => None,
        });
        let code = failures.into_iter().next().unwrap_or(Code::Success);
        if self.context.json {
            let steps: Vec<Value> =
                self.steps.iter().enumerate().map(|(index, step)| step.json(index + 1)).collect();
            let object = json!({
                "url": self.url.to_string(),
                "ok": code == Code::Success,
                "exit_code": code.number(),
                "steps": steps,
            });
            self.context.out.json(&object).await?;
            return Ok(code);
        }
        let told: Vec<&Step> = self
            .steps
            .iter()
            .filter(|step| {
                matches!(step.outcome.status, Status::Failed(_)) || !step.outcome.advice.is_empty()
            })
            .collect();
        if told.is_empty() {
            self.context.out.line("\nNothing is wrong.").await?;
            return Ok(code);
        }
        self.context.out.line("\nWhat is wrong, and what to do:").await?;
        for step in told {
            self.context.out.line(&format!("- {}: {}", step.name, step.outcome.text)).await?;
            for advice in &step.outcome.advice {
                self.context.out.line(&format!("    {advice}")).await?;
            }
        }
        Ok(code)
    }
}

impl Step {
    fn json(&self, number: usize) -> Value {
        let status = match self.outcome.status {
            Status::Good => "ok",
            Status::Warned => "warn",
            Status::Failed(_) => "fail",
            Status::Skipped => "skipped",
        };
        json!({
            "step": number,
            "name": self.name,
            "status": status,
            "ms": u64::try_from(self.time.as_millis()).unwrap_or(u64::MAX),
            "text": self.outcome.text,
            "advice": self.outcome.advice,
        })
    }
}
