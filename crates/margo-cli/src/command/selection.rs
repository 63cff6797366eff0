use clap::Args;
use clap::builder::NonEmptyStringValueParser;
use margo_core::DeploymentId;

use super::failure::Failure;
use super::session::Session;
use crate::{Deployment, Selection};

/// Which deployments a verb is about.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Selection")]
pub(super) struct SelectionArgs {
    /// These deployments
    #[arg(value_name = "DEPLOYMENT", conflicts_with_all = ["app", "device"], help_heading = None::<&str>)]
    ids: Vec<DeploymentId>,
    /// The deployments of this application
    #[arg(long, value_name = "ID", value_parser = NonEmptyStringValueParser::new())]
    app: Option<String>,
    /// The deployments on this device
    ///
    /// `gateway/device` behind a gateway; `client:device` when two have the name.
    #[arg(long, value_name = "DEVICE", value_parser = NonEmptyStringValueParser::new())]
    device: Option<String>,
}

impl SelectionArgs {
    /// Whether anything selects.
    pub(super) fn is_empty(&self) -> bool {
        self.ids.is_empty() && self.app.is_none() && self.device.is_none()
    }

    /// Whether deployments are named one by one.
    pub(super) fn names_deployments(&self) -> bool {
        !self.ids.is_empty()
    }

    /// The application, where it selects.
    pub(super) fn app(&self) -> Option<&str> {
        self.app.as_deref()
    }

    /// What is selected; nothing selects everything.
    pub(super) fn or_all(&self) -> Selection {
        if !self.ids.is_empty() {
            Selection::ids(self.ids.iter().map(ToString::to_string).collect())
        } else if self.is_empty() {
            Selection::all()
        } else {
            Selection::of(self.app.clone(), self.device.clone())
        }
    }

    /// Fails when nothing selects: changing everything is never a default.
    pub(super) fn check(&self, otherwise: &str) -> Result<(), Failure> {
        if self.is_empty() {
            let help = format!("name deployments, or use `--app`, `--device` or both{otherwise}");
            return Err(Failure::not_asked("no deployment is selected").help(help));
        }
        Ok(())
    }
}

/// The selected deployments as they stand.
///
/// Fails when one that was named does not exist.
pub(super) async fn read(selection: &Selection, session: &Session) -> Result<Vec<Deployment>, Failure> {
    let deployments = session.client.deployments(selection).await?;
    check_named(selection, &deployments)?;
    Ok(deployments)
}

/// Fails when a deployment that was named is not among those that were found.
pub(super) fn check_named(selection: &Selection, found: &[Deployment]) -> Result<(), Failure> {
    let is_missing = |id: &&String| !found.iter().any(|deployment| deployment.deployment_id == **id);
    match selection.ids.iter().find(is_missing) {
        Some(id) => Err(Failure::refused(format!("there is no deployment `{id}`"))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_selects_everything_or_is_an_error() {
        let nothing = SelectionArgs::default();
        assert_eq!(nothing.or_all(), Selection::all());
        assert_eq!(nothing.check("").unwrap_err().code(), super::super::EXIT_NOT_ASKED);
    }

    #[test]
    fn what_selects_is_sent() {
        let ids = SelectionArgs { ids: vec!["a-1".parse().unwrap()], ..SelectionArgs::default() };
        assert_eq!(ids.or_all(), Selection::ids(vec!["a-1".into()]));
        let both = SelectionArgs {
            app: Some("pump".into()),
            device: Some("gw/plc".into()),
            ..SelectionArgs::default()
        };
        assert_eq!(both.or_all(), Selection::of(Some("pump".into()), Some("gw/plc".into())));
        assert!(both.check("").is_ok());
    }

    #[test]
    fn a_named_deployment_that_is_not_there_is_missed() {
        let selection = Selection::ids(vec!["a".into()]);
        let failure = check_named(&selection, &[]).unwrap_err();
        assert_eq!(failure.lines(), ["error: there is no deployment `a`"]);
        assert!(check_named(&Selection::of(Some("pump".into()), None), &[]).is_ok());
    }
}
