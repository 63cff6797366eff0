//! What the demonstration shows: bars on a terminal, plain lines elsewhere, JSON lines for programs.

use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use margo_cli::{Deployment, Table};
use serde_json::{Value, json};

/// The states of a deployment on its way, as a bar counts them.
const STATES: [&str; 3] = ["pending", "installing", "installed"];

/// Shows progress.
pub(crate) struct Show {
    manner: Manner,
    started: Instant,
    step: usize,
    steps: usize,
    last: BTreeMap<String, String>,
}

enum Manner {
    Bars { all: MultiProgress, steps: ProgressBar, deployments: BTreeMap<String, ProgressBar> },
    Lines,
    Json,
}

impl Show {
    /// For a demonstration of this many steps.
    pub(crate) fn new(json: bool, steps: usize) -> Self {
        let manner = if json {
            Manner::Json
        } else if std::io::stderr().is_terminal() {
            let all = MultiProgress::new();
            let bar = all.add(ProgressBar::new(steps as u64));
            bar.set_style(style("{bar:24} {pos:>2}/{len} {msg}"));
            bar.enable_steady_tick(Duration::from_millis(200));
            Manner::Bars { all, steps: bar, deployments: BTreeMap::new() }
        } else {
            Manner::Lines
        };
        Self { manner, started: Instant::now(), step: 0, steps, last: BTreeMap::new() }
    }

    /// A new step begins.
    pub(crate) fn step(&mut self, title: &str) {
        self.step += 1;
        match &self.manner {
            Manner::Bars { all, steps, .. } => {
                steps.set_position(self.step as u64);
                steps.set_message(title.to_owned());
                // The bars go on below; what was done stays above.
                let _ = all.println(format!("{} {title}", self.clock()));
            }
            Manner::Lines => self.line(&format!("[{:>2}/{}] {title}", self.step, self.steps)),
            Manner::Json => self.json(&json!({ "event": "step", "step": self.step, "title": title })),
        }
    }

    /// Something worth knowing within a step.
    pub(crate) fn note(&self, note: &str) {
        match &self.manner {
            Manner::Bars { all, .. } => {
                let _ = all.println(format!("{}   {note}", self.clock()));
            }
            Manner::Lines => self.line(&format!("        {note}")),
            Manner::Json => self.json(&json!({ "event": "note", "note": note })),
        }
    }

    /// Where the deployments stand; shows what is different from before.
    pub(crate) fn deployments(&mut self, deployments: &[Deployment]) {
        for deployment in deployments {
            let name = format!("{} on {}", deployment.application_id, deployment.device);
            let state = describe(deployment);
            if self.last.get(&deployment.deployment_id) == Some(&state) {
                continue;
            }
            self.last.insert(deployment.deployment_id.clone(), state.clone());
            match &mut self.manner {
                Manner::Bars { all, deployments, .. } => {
                    let bar = deployments.entry(deployment.deployment_id.clone()).or_insert_with(|| {
                        let bar = all.add(ProgressBar::new(STATES.len() as u64));
                        bar.set_style(style("  {prefix:32} {bar:12} {msg}"));
                        bar
                    });
                    let position = STATES.iter().position(|s| *s == deployment.state);
                    bar.set_position(position.map_or(0, |position| position as u64 + 1));
                    bar.set_prefix(name);
                    bar.set_message(state);
                }
                Manner::Lines => self.line(&format!("        {name}: {state}")),
                Manner::Json => self.json(&json!({
                    "event": "state",
                    "deploymentId": deployment.deployment_id,
                    "application": deployment.application_id,
                    "version": deployment.application_version,
                    "device": deployment.device,
                    "state": deployment.state,
                    "converged": deployment.converged,
                })),
            }
        }
    }

    /// The end: a table of what happened.
    pub(crate) fn finish(self, rows: &[Row]) {
        let seconds = self.started.elapsed().as_secs_f64();
        match &self.manner {
            Manner::Json => {
                let rows: Vec<Value> = rows.iter().map(Row::json).collect();
                self.json(&json!({ "event": "finished", "seconds": seconds, "happened": rows }));
            }
            Manner::Bars { all, .. } => {
                let _ = all.clear();
            }
            Manner::Lines => {}
        }
        if !matches!(self.manner, Manner::Json) {
            let mut table = Table::new(["what happened", "device", "revision", "over", "seen", "seconds"]);
            for row in rows {
                table.row([
                    row.what.clone(),
                    row.device.clone(),
                    row.revision.clone(),
                    row.over.clone(),
                    row.seen.clone(),
                    format!("{:.1}", row.seconds),
                ]);
            }
            write(&format!("\n{table}\nEverything desired is what the devices run, after {seconds:.1} s.\n"));
        }
    }

    fn clock(&self) -> String {
        format!("{:>5.1}s", self.started.elapsed().as_secs_f64())
    }

    fn line(&self, text: &str) {
        write(&format!("{} {text}\n", self.clock()));
    }

    fn json(&self, value: &Value) {
        let mut value = value.clone();
        value["at"] = self.started.elapsed().as_secs_f64().into();
        write(&format!("{value}\n"));
    }
}

/// One line of the table at the end.
pub(crate) struct Row {
    /// What was done.
    pub(crate) what: String,
    /// To which device.
    pub(crate) device: String,
    /// The revision it speaks.
    pub(crate) revision: String,
    /// How it learned of it.
    pub(crate) over: String,
    /// What was seen at the end.
    pub(crate) seen: String,
    /// How long it took, in seconds.
    pub(crate) seconds: f64,
}

impl Row {
    fn json(&self) -> Value {
        json!({
            "what": self.what,
            "device": self.device,
            "revision": self.revision,
            "over": self.over,
            "seen": self.seen,
            "seconds": self.seconds,
        })
    }
}

fn describe(deployment: &Deployment) -> String {
    let mut text = format!("{} {}", deployment.application_version, deployment.state);
    if deployment.desired == "present" && deployment.state == "installed" && !deployment.converged {
        return format!("{} wanted, the version before is installed", deployment.application_version);
    }
    if let Some(error) = &deployment.error {
        text = format!("{text} ({}: {})", error.code, error.message);
    } else if deployment.state == "removed" && !deployment.confirmed {
        text.push_str(" (fetched; its revision has no word for removal)");
    }
    text
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("=> ")
}

/// A reader that has gone away is no reason to fail.
fn write(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}
