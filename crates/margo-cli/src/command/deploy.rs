use std::path::{Path, PathBuf};

use clap::Args;
use clap::builder::NonEmptyStringValueParser;
use margo_application::AnyApplicationDescription;
use margo_core::ApplicationId;
use margo_syntax::Limits;

use super::app;
use super::failure::Failure;
use super::output::Output;
use super::session::Session;
use super::values::{UnsetArgs, ValueArgs};
use crate::{Application, Package, PackageError, Spread};

const EXAMPLES: &str = "\
Examples:
  margo deploy ./pump-monitor --to line-3 --profile pump-monitor-cluster
  margo deploy pump-monitor@1.0.0 --to line-3 gateway-1/press-7 --set siteId=SE-0042
  margo deploy pump-monitor --to line-3 --values values.yaml --set-json 'alarmChannels=[\"mail\"]'
  margo deploy ./pump-monitor --anywhere
  margo deploy ./pump-monitor --to line-3 && margo wait --device line-3";

/// Deploy an application to devices
///
/// To all of them, or to none: everything that is wrong with the values and for the devices is said
/// at once, and nothing is changed. What a device's older revision of the specification cannot say is
/// left out, with a warning. A device that does not have what the application needs is refused, with
/// the reasons; so is an application for which there is no such device. `margo placement` shows both
/// beforehand.
#[derive(Debug, Args)]
#[command(verbatim_doc_comment, after_long_help = EXAMPLES)]
#[command(group = clap::ArgGroup::new("where").required(true))]
pub(super) struct DeployArgs {
    /// The package to upload, or the application that was uploaded before
    ///
    /// A package is a folder with a `margo.yaml`, or that file. Of an application without a version, the version
    /// stored last is deployed.
    #[arg(value_name = "PACKAGE|ID[@VERSION]", verbatim_doc_comment)]
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    what: String,
    /// The devices
    ///
    /// `gateway/device` behind a gateway, `gateway/*` for whichever the gateway chooses;
    /// `client:device` when two have the name.
    #[arg(long = "to", value_name = "DEVICE", num_args = 1.., verbatim_doc_comment, group = "where")]
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    to: Vec<String>,
    /// To one device that fits: that with the fewest deployments
    #[arg(long, group = "where")]
    anywhere: bool,
    /// To every device that fits now
    #[arg(long, group = "where")]
    everywhere: bool,
    /// The deployment profile; needed when the application has several
    #[arg(long, value_name = "ID", value_parser = NonEmptyStringValueParser::new())]
    profile: Option<String>,
    /// The namespace it runs in [default: the application's id]
    #[arg(long, value_name = "NAMESPACE", value_parser = NonEmptyStringValueParser::new())]
    namespace: Option<String>,
    #[command(flatten)]
    values: ValueArgs,
}

pub(super) async fn run(args: DeployArgs, session: &Session, output: &mut Output<'_>) -> Result<(), Failure> {
    let values = args.values.read(&UnsetArgs::default())?;
    let application = match Source::of(&args.what) {
        Source::Package(path) => app::upload(read(&path)?, session, output).await?,
        Source::Stored { id, version } => {
            find(session.client.applications().await?, &id, version.as_deref())?
        }
    };
    let (profile, namespace) = (args.profile.as_deref(), args.namespace.as_deref());
    let client = &session.client;
    let changed = match (args.anywhere, args.everywhere) {
        (true, _) => client.spread(&application, profile, namespace, &values, Spread::Anywhere).await?,
        (_, true) => client.spread(&application, profile, namespace, &values, Spread::Everywhere).await?,
        _ => client.deploy(&application, profile, namespace, &values, &args.to).await?,
    };
    output.changed(&changed)
}

/// A package on this machine.
#[derive(Debug)]
pub(super) struct LocalPackage {
    /// The application.
    pub(super) id: String,
    /// The exact bytes of its description.
    pub(super) description: Vec<u8>,
}

/// Reads a package on this machine.
pub(super) fn read(path: &Path) -> Result<LocalPackage, Failure> {
    let package = Package::read(path)?;
    let description = AnyApplicationDescription::parse(&package.description, &Limits::default())
        .map_err(|cause| PackageError::Malformed { path: package.path, cause: Box::new(cause) })?;
    Ok(LocalPackage { id: description.id().to_string(), description: package.description })
}

/// Where the application comes from.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Source {
    Package(PathBuf),
    Stored { id: String, version: Option<String> },
}

impl Source {
    /// A package that is there is meant; otherwise what has the form of an application's id is one.
    pub(super) fn of(text: &str) -> Self {
        let path = PathBuf::from(text);
        if path.is_file() || path.join("margo.yaml").is_file() {
            return Self::Package(path);
        }
        let (id, version) = match text.split_once('@') {
            Some((id, version)) => (id, Some(version)),
            None => (text, None),
        };
        if id.parse::<ApplicationId>().is_err() || version == Some("") {
            return Self::Package(path);
        }
        Self::Stored { id: id.to_owned(), version: version.map(str::to_owned) }
    }
}

/// The version that is named, or the one stored last.
pub(super) fn find(
    applications: Vec<Application>,
    id: &str,
    version: Option<&str>,
) -> Result<Application, Failure> {
    let mut versions: Vec<Application> =
        applications.into_iter().filter(|application| application.application_id == id).collect();
    let names: Vec<String> = versions.iter().map(|application| application.version.clone()).collect();
    if let Some(version) = version {
        versions.retain(|application| application.version == version);
    }
    versions.pop().ok_or_else(|| match (version, names.as_slice()) {
        (Some(version), [_, ..]) => {
            Failure::refused(format!("`{id}` is not stored in the version `{version}`"))
                .help(format!("stored are {}", names.join(", ")))
        }
        _ => Failure::refused(format!("no application `{id}` is stored, and there is no such package"))
            .help("`margo app list` shows what is stored; a package is a folder with a `margo.yaml`"),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_package_that_is_there_is_meant() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        std::fs::create_dir(at("pump")).unwrap();
        std::fs::write(at("pump/margo.yaml"), "").unwrap();
        for package in [at("pump"), at("pump/margo.yaml"), at("missing"), "./pump".into(), "..".into()] {
            assert_eq!(Source::of(&package), Source::Package(package.into()));
        }
    }

    #[test]
    fn an_id_may_have_a_version() {
        let stored = |id: &str, version: Option<&str>| Source::Stored {
            id: id.to_owned(),
            version: version.map(str::to_owned),
        };
        assert_eq!(Source::of("pump-monitor"), stored("pump-monitor", None));
        assert_eq!(Source::of("pump-monitor@1.0.0"), stored("pump-monitor", Some("1.0.0")));
        assert_eq!(Source::of("pump-monitor@1.0.0@x"), stored("pump-monitor", Some("1.0.0@x")));
        assert_eq!(Source::of("pump-monitor@"), Source::Package("pump-monitor@".into()));
    }

    #[test]
    fn the_version_stored_last_is_the_default() {
        let stored = || -> Vec<Application> {
            serde_json::from_value(json!([
                {"applicationId": "dashboard", "version": "3.0.0"},
                {"applicationId": "pump", "version": "1.1.0"},
                {"applicationId": "pump", "version": "1.0.9"},
            ]))
            .unwrap()
        };
        assert_eq!(find(stored(), "pump", None).unwrap().version, "1.0.9");
        assert_eq!(find(stored(), "pump", Some("1.1.0")).unwrap().version, "1.1.0");
        let lines = find(stored(), "pump", Some("2.0.0")).unwrap_err().lines();
        assert_eq!(
            lines,
            ["error: `pump` is not stored in the version `2.0.0`", "  help: stored are 1.1.0, 1.0.9"]
        );
        assert!(find(stored(), "motor", None).unwrap_err().lines()[0].contains("no application `motor`"));
    }

    #[test]
    fn a_wrong_package_is_named_with_the_place() {
        let folder = tempfile::tempdir().unwrap();
        let failure = read(folder.path()).unwrap_err();
        assert_eq!(failure.code(), super::super::EXIT_NOT_ASKED);
        std::fs::write(folder.path().join("margo.yaml"), "id: pump\nmetadata: 7\n").unwrap();
        let failure = read(folder.path()).unwrap_err();
        assert_eq!(failure.code(), super::super::EXIT_REFUSED);
        let lines = failure.lines().join("\n");
        assert!(lines.contains("margo.yaml` is not an application description"), "{lines}");
        assert!(lines.contains("caused by: line "), "{lines}");
    }
}
