use std::time::Duration;

use clap::Args;

use super::failure::Failure;
use super::follow::Follower;
use super::output::Output;
use super::selection::{self, SelectionArgs};
use super::session::Session;
use super::status;
use crate::{Deployment, Selection};

const EXAMPLES: &str = "\
Examples:
  margo wait
  margo wait --app pump-monitor --timeout 10m
  margo deploy pump-monitor@1.0.0 --to line-3 && margo wait --device line-3";

/// Wait until deployments are on their devices as desired
///
/// Ends with 0 when every selected deployment runs in the desired version and configuration, or is gone where it is
/// deleted. Ends with 1 as soon as one has failed, or when the time is up, and shows those that are not as desired.
#[derive(Debug, Args)]
#[command(verbatim_doc_comment, after_long_help = EXAMPLES)]
pub(super) struct WaitArgs {
    /// How long to wait, such as `90s`, `5m`, `1h` or `1h30m`
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = duration)]
    timeout: Duration,
    #[command(flatten)]
    selection: SelectionArgs,
}

pub(super) async fn run(args: WaitArgs, session: &Session, output: &mut Output<'_>) -> Result<(), Failure> {
    let selection = args.selection.or_all();
    let mut latest = None;
    let waiting = settle(&selection, session, &mut latest, output);
    let in_time = match tokio::time::timeout(args.timeout, waiting).await {
        Ok(outcome) => outcome.map(|()| true)?,
        Err(_) => false,
    };
    let deployments = match latest {
        Some(deployments) => deployments,
        // There was no time even to look once.
        None => selection::read(&selection, session).await?,
    };
    let (settled, mut open): (Vec<_>, Vec<_>) =
        deployments.iter().cloned().partition(|deployment| deployment.converged);
    if output.is_json() {
        status::show(deployments, true, true, output)?;
    } else {
        open.sort_by_key(|deployment| !status::has_failed(deployment));
        output.table(&status::table(&open, true))?;
    }
    let all = settled.len() + open.len();
    if open.is_empty() {
        output.note(&match all {
            0 => "no deployment is selected; there is nothing to wait for".to_owned(),
            1 => "the deployment is as desired".to_owned(),
            all => format!("all {all} deployments are as desired"),
        });
        return Ok(());
    }
    let failed = open.iter().filter(|deployment| status::has_failed(deployment)).count();
    Err(Failure::refused(match (failed, in_time) {
        (0, _) => format!("{} of {all} deployments are not as desired, and the time is up", open.len()),
        (failed, _) => format!("{failed} of {all} deployments failed"),
    }))
}

/// Returns when all selected deployments are as desired, or one has failed; `latest` is always what was read last.
async fn settle(
    selection: &Selection,
    session: &Session,
    latest: &mut Option<Vec<Deployment>>,
    output: &mut Output<'_>,
) -> Result<(), Failure> {
    let mut follower = Follower::new(&session.client);
    let mut told = None;
    loop {
        // The first time this returns, nothing is missed any more; only then is it worth looking.
        follower.next(output).await?;
        let deployments = match session.client.deployments(selection).await {
            Ok(deployments) => deployments,
            // The follower waits until the manager is back.
            Err(error) if error.is_transient() && latest.is_some() => continue,
            Err(error) => return Err(error.into()),
        };
        selection::check_named(selection, &deployments)?;
        let done = deployments.iter().filter(|deployment| deployment.converged).count();
        let all = deployments.len();
        let is_over = done == all || deployments.iter().any(status::has_failed);
        *latest = Some(deployments);
        if is_over {
            return Ok(());
        }
        if told.replace((done, all)) != Some((done, all)) {
            output.note(&format!("{done} of {all} deployments are as desired"));
        }
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || "expected a time such as `90s`, `5m`, `1h` or `1h30m`".to_owned();
    let mut seconds: u64 = 0;
    let mut rest = text;
    let mut largest = u64::MAX;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
        let number: u64 = rest[..end].parse().map_err(|_| wrong())?;
        let unit = match rest[end..].chars().next() {
            Some('h') => 3600,
            Some('m') => 60,
            Some('s') => 1,
            _ => return Err(wrong()),
        };
        // From the largest unit to the smallest, each once.
        if unit >= largest {
            return Err(wrong());
        }
        largest = unit;
        let part = number.checked_mul(unit).ok_or_else(wrong)?;
        seconds = seconds.checked_add(part).ok_or_else(wrong)?;
        rest = &rest[end + 1..];
    }
    if text.is_empty() { Err(wrong()) } else { Ok(Duration::from_secs(seconds)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_people_write_them() {
        let seconds = |text: &str| duration(text).map(|duration| duration.as_secs());
        assert_eq!(seconds("90s"), Ok(90));
        assert_eq!(seconds("5m"), Ok(300));
        assert_eq!(seconds("1h30m"), Ok(5400));
        assert_eq!(seconds("0s"), Ok(0));
        for wrong in [
            "",
            "5",
            "m",
            "5 m",
            "5d",
            "5m1h",
            "1m2m",
            "-5m",
            "1.5h",
            "99999999999999999999s",
            "9999999999999999h",
        ] {
            assert!(seconds(wrong).is_err(), "{wrong}");
        }
    }
}
