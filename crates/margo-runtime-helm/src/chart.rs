use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use margo_core::Digest;
use margo_deployment::Revision;
use margo_oci::{FetchError, UnpackLimits, unpack};
use margo_syntax::{DecodeError, Format, Limits};
use serde::Deserialize;

/// Charts within charts, at most.
const MAX_DEPTH: usize = 4;

/// The most bytes of a template that are looked at.
const MAX_TEMPLATE: u64 = 4 << 20;

/// A chart that was looked at and may be installed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chart {
    name: String,
    version: String,
}

/// What a chart may rely on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ChartRules {
    /// Neither hooks nor `lookup` nor definitions of custom resources: 1.0.0-rc.2 and newer (R-C-014).
    #[default]
    Portable,
    /// Whatever Helm does: the pre-draft and 1.0.0-rc.1.
    Any,
}

impl Chart {
    /// Reads the chart in `archive`, a gzipped tar file, and those within it.
    ///
    /// # Errors
    ///
    /// A file that is no chart, or one that relies on more than `rules` allow.
    pub fn read(archive: &Path, rules: ChartRules) -> Result<Self, ChartError> {
        let folder = tempfile::tempdir()?;
        read(archive, folder.path(), rules, 0)
    }

    /// That it is the one a deployment names.
    ///
    /// # Errors
    ///
    /// [`ChartError::OtherVersion`]. A revision that is a digest names whatever has it.
    pub fn check_revision(&self, revision: &Revision) -> Result<(), ChartError> {
        // X-D-23: a tag has `_` where the version has `+`.
        let is_named = self.version.replace('+', "_") == revision.as_str().replace('+', "_");
        if is_named || revision.as_str().parse::<Digest>().is_ok() {
            return Ok(());
        }
        Err(ChartError::OtherVersion { found: self.version.clone(), expected: revision.to_string() })
    }

    /// Looks at what Helm made of the templates, in which hooks and definitions may be that no template spells out.
    pub(crate) fn check_rendered(&self, manifests: &str) -> Result<(), ChartError> {
        let mut file = "templates";
        for line in manifests.lines() {
            if let Some(source) = line.strip_prefix("# Source: ") {
                file = source.split_once('/').map_or(source, |(_, file)| file);
            } else if let Some(reason) = unportable_line(line) {
                return Err(ChartError::Unportable {
                    chart: self.name.clone(),
                    file: file.to_owned(),
                    reason,
                });
            }
        }
        Ok(())
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its version.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }
}

/// A chart is refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ChartError {
    /// The archive cannot be unpacked.
    #[error(transparent)]
    Archive(#[from] FetchError),
    /// The archive is no chart.
    #[error("the archive is no chart: {reason}")]
    NoChart {
        /// What is missing.
        reason: &'static str,
    },
    /// `Chart.yaml` cannot be read.
    #[error("`Chart.yaml` cannot be read: {0}")]
    Metadata(#[source] Box<DecodeError>),
    /// Not `apiVersion: v2` (R-C-014).
    #[error("chart `{chart}` has `apiVersion: {found}`, expected `v2`")]
    ApiVersion {
        /// The chart.
        chart: String,
        /// What it says.
        found: String,
    },
    /// Another version than the deployment names.
    #[error("the chart has version `{found}`, and the deployment names `{expected}`")]
    OtherVersion {
        /// What `Chart.yaml` says.
        found: String,
        /// What the deployment says.
        expected: String,
    },
    /// Something that no deployment may rely on (R-C-014).
    #[error("`{file}` of chart `{chart}` {reason}, which charts must do without")]
    Unportable {
        /// The chart.
        chart: String,
        /// The file in it.
        file: String,
        /// What it does.
        reason: &'static str,
    },
    /// The file system of the device failed.
    #[error("a chart cannot be read")]
    Storage(#[from] io::Error),
}

impl ChartError {
    /// The code in a status report.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Archive(error) => error.kind().code(),
            Self::Unportable { .. } => "chart-not-portable",
            Self::Storage(_) => "storage",
            _ => "invalid-chart",
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    api_version: String,
    name: String,
    version: String,
}

fn read(archive: &Path, scratch: &Path, rules: ChartRules, depth: usize) -> Result<Chart, ChartError> {
    let into = scratch.join(depth.to_string());
    unpack(archive, &into, &UnpackLimits::default())?;
    let mut folders = fs::read_dir(&into)?.filter_map(Result::ok).map(|entry| entry.path());
    let root =
        folders.find(|path| path.is_dir()).ok_or(ChartError::NoChart { reason: "it has no folder" })?;
    examine(&root, scratch, rules, depth)
}

fn examine(root: &Path, scratch: &Path, rules: ChartRules, depth: usize) -> Result<Chart, ChartError> {
    let mut text = Vec::new();
    fs::File::open(root.join("Chart.yaml"))
        .map_err(|_| ChartError::NoChart { reason: "it has no `Chart.yaml`" })?
        .take(MAX_TEMPLATE)
        .read_to_end(&mut text)?;
    let metadata: Metadata = margo_syntax::decode(&text, Format::Yaml, &Limits::default())
        .map_err(|error| ChartError::Metadata(Box::new(error)))?;
    let Metadata { api_version, name, version } = metadata;
    if rules == ChartRules::Portable {
        if api_version != "v2" {
            return Err(ChartError::ApiVersion { chart: name, found: api_version });
        }
        let unportable = |path: &Path, reason| {
            let file = path.strip_prefix(root).unwrap_or(path).display().to_string();
            Err(ChartError::Unportable { chart: name.clone(), file, reason })
        };
        if let Some(path) = files(&root.join("crds"))?.into_iter().next() {
            return unportable(&path, "defines custom resources");
        }
        for path in files(&root.join("templates"))? {
            let mut text = Vec::new();
            fs::File::open(&path)?.take(MAX_TEMPLATE).read_to_end(&mut text)?;
            if let Some(reason) = unportable_template(&String::from_utf8_lossy(&text)) {
                return unportable(&path, reason);
            }
        }
    }
    let subcharts = root.join("charts");
    if subcharts.is_dir() {
        if depth >= MAX_DEPTH {
            return Err(ChartError::NoChart { reason: "it has charts within charts within charts" });
        }
        let mut entries: Vec<PathBuf> = fs::read_dir(subcharts)?
            .map(|entry| entry.map(|entry| entry.path()))
            .collect::<Result<_, _>>()?;
        entries.sort();
        for entry in entries {
            if entry.is_dir() {
                examine(&entry, scratch, rules, depth + 1)?;
            } else if entry.extension().is_some_and(|extension| extension == "tgz") {
                read(&entry, scratch, rules, depth + 1)?;
            }
        }
    }
    Ok(Chart { name, version })
}

/// Every file below a folder, in order; none where there is no folder. Links in an archive stay in it, and do not lead
/// over links, so that this ends.
fn files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = BTreeSet::new();
    let mut open = vec![folder.to_owned()];
    while let Some(folder) = open.pop() {
        let entries = match fs::read_dir(&folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            entries => entries?,
        };
        for entry in entries {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                open.push(entry.path());
            } else if entry.path().is_file() {
                found.insert(entry.path());
            }
        }
    }
    Ok(found.into_iter().collect())
}

/// What in a template needs more than a plain Helm. It is text that is looked at, not a program that is run: a hook or a
/// `lookup` that is only written down counts.
fn unportable_template(text: &str) -> Option<&'static str> {
    if let Some(reason) = text.lines().find_map(unportable_line) {
        return Some(reason);
    }
    let mut rest = text;
    while let Some((_, after)) = rest.split_once("{{") {
        let (action, after) = after.split_once("}}").unwrap_or((after, ""));
        let is_comment = action.trim_start_matches('-').trim_start().starts_with("/*");
        if !is_comment && calls_lookup(action) {
            return Some("looks into the cluster with `lookup`");
        }
        rest = after;
    }
    None
}

fn unportable_line(line: &str) -> Option<&'static str> {
    let kind = || line.trim().strip_prefix("kind:").map(|kind| kind.trim().trim_matches(['"', '\'']));
    if is_hook(line) {
        Some("has a hook")
    } else if kind() == Some("CustomResourceDefinition") {
        Some("defines custom resources")
    } else {
        None
    }
}

/// Tests are hooks that run only when asked for.
fn is_hook(line: &str) -> bool {
    let Some((_, after)) = line.split_once("helm.sh/hook") else { return false };
    let after = after.trim_start_matches(['"', '\'']).trim_start();
    let Some(value) = after.strip_prefix(':') else { return false };
    let value = value.split('#').next().unwrap_or_default().trim().trim_matches(['"', '\'']);
    !value.split(',').all(|kind| matches!(kind.trim(), "test" | "test-success"))
}

/// The word as a function: not in a text, not as a field.
fn calls_lookup(action: &str) -> bool {
    let mut quote = None;
    let mut word = String::new();
    for character in action.chars().chain([' ']) {
        match (quote, character) {
            (Some(open), close) if open == close => quote = None,
            (None, '"' | '`' | '\'') => quote = Some(character),
            (None, letter) if letter.is_alphanumeric() || "._$".contains(letter) => {
                word.push(letter);
                continue;
            }
            _ => {}
        }
        if word == "lookup" {
            return true;
        }
        word.clear();
    }
    false
}

#[cfg(test)]
pub(crate) mod tests {
    use std::io::Write as _;

    use super::*;

    /// An archive as `helm package` makes it.
    pub(crate) fn package(files: &[(&str, &[u8])]) -> Vec<u8> {
        let mut archive = tar::Builder::new(Vec::new());
        for (name, content) in files {
            let mut header = tar::Header::new_ustar();
            header.set_size(content.len() as u64);
            header.set_mode(0o644);
            archive.append_data(&mut header, name, *content).unwrap();
        }
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(&archive.into_inner().unwrap()).unwrap();
        encoder.finish().unwrap()
    }

    const CHART: &[u8] = b"apiVersion: v2\nname: pump\nversion: 1.2.3+7\n";

    fn read_files(files: &[(&str, &[u8])], revision: &str, rules: ChartRules) -> Result<Chart, String> {
        let folder = tempfile::tempdir().unwrap();
        let archive = folder.path().join("pump.tgz");
        fs::write(&archive, package(files)).unwrap();
        let chart = Chart::read(&archive, rules);
        let checked =
            chart.and_then(|chart| chart.check_revision(&revision.parse().unwrap()).map(|()| chart));
        checked.map_err(|error| format!("{}: {error}", error.code()))
    }

    fn with(name: &str, content: &str) -> Result<Chart, String> {
        let files = [("pump/Chart.yaml", CHART), (name, content.as_bytes())];
        assert!(read_files(&files, "1.2.3_7", ChartRules::Any).is_ok());
        read_files(&files, "1.2.3_7", ChartRules::Portable)
    }

    /// R-C-014.
    #[test]
    fn hooks_lookup_and_custom_resources_are_refused() {
        for hook in [
            "    \"helm.sh/hook\": pre-install,pre-upgrade",
            "    helm.sh/hook: post-delete",
            "    'helm.sh/hook': test, pre-install",
            "    \"helm.sh/hook\": {{ .Values.hook }}",
        ] {
            let error = with("pump/templates/job.yaml", hook).unwrap_err();
            assert!(error.contains("chart-not-portable") && error.contains("has a hook"), "{error}");
            assert!(error.contains("`templates/job.yaml`"), "{error}");
        }
        for lookup in ["{{ lookup \"v1\" \"Secret\" \"\" \"\" }}", "{{- if (lookup `v1` `a` `b` `c`) -}}"] {
            assert!(with("pump/templates/deep/er/x.tpl", lookup).unwrap_err().contains("`lookup`"));
        }
        assert!(with("pump/crds/valve.yaml", "kind: X").unwrap_err().contains("custom resources"));
        let definition = "---\nkind: \"CustomResourceDefinition\"\n";
        assert!(with("pump/templates/valve.yaml", definition).unwrap_err().contains("custom resources"));
        let inner: &[(&str, &[u8])] = &[
            ("valve/Chart.yaml", b"{apiVersion: v2, name: valve, version: 1.0.0}"),
            ("valve/crds/v.yaml", b"x"),
        ];
        let files = [("pump/Chart.yaml", CHART), ("pump/charts/valve-1.0.0.tgz", &package(inner))];
        let error = read_files(&files, "1.2.3_7", ChartRules::Portable).unwrap_err();
        assert!(error.contains("of chart `valve`"), "{error}");
    }

    /// R-C-014.
    #[test]
    fn what_only_looks_like_it_is_not_refused() {
        for harmless in [
            "\"helm.sh/hook\": test",
            "\"helm.sh/hook-weight\": \"5\"",
            "{{ .Values.lookup }} {{ $lookup }} {{ print \"lookup\" }} lookup {{/* lookup */}} {{- /* lookup */ -}}",
            "kind: Deployment # not a CustomResourceDefinition",
        ] {
            with("pump/templates/x.yaml", harmless).unwrap();
        }
        with("pump/README.md", "\"helm.sh/hook\": pre-install").unwrap();
    }

    #[test]
    fn a_chart_is_exactly_the_one_that_is_named() {
        let files = [("pump/Chart.yaml", CHART)];
        let chart = read_files(&files, "1.2.3_7", ChartRules::Portable).unwrap();
        assert_eq!((chart.name(), chart.version()), ("pump", "1.2.3+7"));
        assert!(read_files(&files, "1.2.3", ChartRules::Any).unwrap_err().contains("names `1.2.3`"));
        let old = [("pump/Chart.yaml", &b"apiVersion: v1\nname: pump\nversion: 1.0.0\n"[..])];
        assert!(read_files(&old, "1.0.0", ChartRules::Portable).unwrap_err().contains("expected `v2`"));
        assert!(read_files(&old, "1.0.0", ChartRules::Any).is_ok());
        assert!(
            read_files(&[("pump/x", b"")], "1", ChartRules::Any).unwrap_err().contains("no `Chart.yaml`")
        );
        assert!(
            read_files(&[("pump/Chart.yaml", b"a: [")], "1", ChartRules::Any).unwrap_err().contains("read")
        );
        assert!(
            read_files(&[("Chart.yaml", CHART)], "1", ChartRules::Any).unwrap_err().contains("no folder")
        );
    }
}
