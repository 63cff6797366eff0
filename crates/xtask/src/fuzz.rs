//! Fuzzing: builds the targets in `crates/margo-fuzz`, gives each what the fixtures have for it, and runs it for a while.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::run::{cargo_tool, run, target_directory};

type Done = Result<(), String>;

const USAGE: &str = "usage: cargo xtask fuzz [--seconds N] [TARGET…]";

/// What seeds a target has: the fixtures of these kinds of document, and these texts.
const SEEDS: &[(&str, &[&str], &[&str])] = &[
    (
        "yaml",
        &["ApplicationDeployment", "ApplicationDescription"],
        &["- &a [1, 0x1F, 1.5e3]\n- *a\n- ? |\n    b\n  : !!str ~\n"],
    ),
    (
        "json",
        &["DesiredStateManifest", "DeploymentStatus"],
        &[r#"{"é": [-1.5e-3, "\ud83d\ude00\n", null, true]}"#],
    ),
    ("deployment", &["ApplicationDeployment"], &[]),
    ("manifest", &["DesiredStateManifest"], &[]),
    ("bundle", &["ApplicationDeployment"], &[]),
    ("capabilities", &["DeviceCapabilities"], &[]),
    ("status", &["DeploymentStatus"], &[]),
    ("description", &["ApplicationDescription"], &[]),
    ("values", &["ApplicationDescription"], &[]),
    (
        "detection",
        &[
            "ApplicationDeployment",
            "ApplicationDescription",
            "DesiredStateManifest",
            "DeviceCapabilities",
            "DeploymentStatus",
            "messages",
        ],
        &[],
    ),
    (
        "identifier",
        &[],
        &["gateway-1/line-3/plc-7", "gateway-1/*", "1.0.0-rc.1_build.5", "18446744073709551615"],
    ),
    ("digest", &[], &["sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"]),
    ("quantity", &[], &["59 Gi", "1.5Ti", "1024", "16Ei"]),
    ("timeout", &[], &["8m30s", "1h5m", "1.5h", "300ms"]),
    (
        "signature",
        &[],
        &[
            "https://wfm.example/api/v1/clients/c-7/capabilities\n\
         Content-Digest: sha-256=:RBNvo1WzZ4oRRq0W9+hknpT7T8If536DEMBg9hyq/4o=:\n\
         Signature-Input: sig1=(\"@method\" \"@target-uri\" \"content-digest\");created=1700000000;keyid=\"device\"\n\
         Signature: sig1=:c2lnbmF0dXJl:\n\n{}",
            "/\nX-Payload-Signature: c2lnbmF0dXJl\n\n{}",
        ],
    ),
    (
        "message",
        &[
            "OnboardingRequest",
            "OnboardingResponse",
            "RootCertificateResponse",
            "TokenResponse",
            "ProblemDetail",
            "ErrorResponse",
        ],
        &[
            r#"{"apiVersion":"onboarding.margo.org/v1alpha1","kind":"OnboardingRequest","certificate":"MAA="}"#,
            r#"{"clientId":"c-7"}"#,
            r#"{"certificate":"LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCk1BQT0KLS0tLS1FTkQgQ0VSVElGSUNBVEUtLS0tLQo="}"#,
            r#"{"type":"about:blank","title":"No","status":503,"retryable":true,"retryAfterSeconds":7,"errors":[{"field":"a[0]","message":"no"}]}"#,
            r#"{"error":"Client rejected","message":"nobody signed this"}"#,
            "grant_type=client_credentials&client_id=press-7&client_secret=s3cret%26more",
            r#"{"access_token":"t","token_type":"Bearer","expires_in":3600}"#,
        ],
    ),
    (
        "trust_bundle",
        &["DiscoveryDocument", "SpiffeBundle"],
        &[
            r#"{"trustDomain":"plant.example","trustBundleUri":"https://wfm.example/bundle"}"#,
            r#"{"keys":[{"use":"x509-svid","kty":"EC","x5c":["MIIB"]}],"spiffe_sequence":1,"spiffe_refresh_hint":300}"#,
        ],
    ),
    (
        "spiffe_id",
        &[],
        &[
            "spiffe://plant.example/margo/wfm/wfm-1/client/c-7",
            "spiffe://plant.example/wfm/wfm-1",
            "https://wfm.example",
        ],
    ),
];

/// Runs each target, or those that are named, for a minute or as long as is said.
pub(crate) fn run_all(args: &[String]) -> Done {
    let mut seconds = 60_u32;
    let mut named = Vec::new();
    let mut rest = args.iter();
    while let Some(arg) = rest.next() {
        match arg.as_str() {
            "--seconds" => {
                let number = rest.next().and_then(|number| number.parse().ok());
                seconds = number.ok_or_else(|| USAGE.to_owned())?;
            }
            option if option.starts_with('-') => return Err(USAGE.to_owned()),
            target => named.push(target),
        }
    }
    let known: Vec<_> = SEEDS.iter().map(|(target, ..)| *target).collect();
    if let Some(unknown) = named.iter().find(|target| !known.contains(target)) {
        return Err(format!("there is no target `{unknown}`; there are {}", known.join(", ")));
    }
    let binaries = build()?;
    let found = SEEDS.iter().filter(|(target, ..)| named.is_empty() || named.contains(target));
    let failures: Vec<_> = found.filter_map(|seeds| run_one(&binaries, seeds, seconds).err()).collect();
    if failures.is_empty() { Ok(()) } else { Err(failures.join("\n")) }
}

/// Builds every target, and says where they are.
fn build() -> Result<PathBuf, String> {
    const VERSION: &str = "0.13.1";
    // Coverage takes flags that only a nightly compiler has.
    let nightly = Command::new("cargo").args(["+nightly", "--version"]).output();
    if !nightly.is_ok_and(|output| output.status.success()) {
        return Err("fuzzing needs a nightly compiler: `rustup toolchain install nightly`".to_owned());
    }
    let fuzz = cargo_tool("cargo-fuzz", VERSION)?;
    let target = target_directory()?.join("fuzz");
    // The options of cargo-fuzz's own build that matter here: coverage, checked arithmetic, and no sanitizer, since
    // there is no unsafe code to watch.
    run(Command::new(fuzz)
        .env("RUSTUP_TOOLCHAIN", "nightly")
        .env_remove("CARGO")
        .args(["build", "--fuzz-dir", ".", "--sanitizer", "none", "--debug-assertions", "--target-dir"])
        .arg(&target)
        .current_dir(root()?.join("crates").join("margo-fuzz")))?;
    let host = fs::read_dir(&target).map_err(|error| format!("{}: {error}", target.display()))?;
    let release = host.filter_map(Result::ok).map(|entry| entry.path().join("release"));
    release
        .into_iter()
        .find(|release| release.join("yaml").exists())
        .ok_or_else(|| format!("no targets in {}", target.display()))
}

fn run_one(binaries: &Path, (target, kinds, texts): &(&str, &[&str], &[&str]), seconds: u32) -> Done {
    let place = target_directory()?.join("fuzz");
    let (seeds, corpus, artifacts) =
        (place.join("seeds").join(target), place.join("corpus").join(target), place.join("artifacts"));
    for folder in [&seeds, &corpus, &artifacts] {
        fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    }
    for (number, text) in texts.iter().enumerate() {
        write(&seeds.join(format!("text-{number}")), text.as_bytes())?;
    }
    copy_fixtures(&root()?.join("fixtures"), kinds, &seeds)?;
    println!("\n== fuzz {target}, {seconds} s");
    run(Command::new(binaries.join(target))
        .arg(format!("-max_total_time={seconds}"))
        .arg(format!("-artifact_prefix={}/{target}-", artifacts.display()))
        .args(["-timeout=10", "-rss_limit_mb=4096", "-verbosity=0", "-print_final_stats=1"])
        .args([&corpus, &seeds]))
    .map_err(|error| format!("{target}: {error}; what it was given is in {}", artifacts.display()))
}

/// Copies every document of these kinds below `folder` under a name of its own.
fn copy_fixtures(folder: &Path, kinds: &[&str], seeds: &Path) -> Done {
    let entries = fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    for path in entries.filter_map(Result::ok).map(|entry| entry.path()) {
        if path.is_dir() {
            copy_fixtures(&path, kinds, seeds)?;
            continue;
        }
        let name = path.display().to_string();
        if kinds.iter().any(|kind| name.contains(kind)) {
            let bytes = fs::read(&path).map_err(|error| format!("{name}: {error}"))?;
            let from = name.rfind("fixtures").unwrap_or_default();
            write(&seeds.join(name[from..].replace(['/', '\\'], "-")), &bytes)?;
        }
    }
    Ok(())
}

fn write(path: &Path, bytes: &[u8]) -> Done {
    fs::write(path, bytes).map_err(|error| format!("{}: {error}", path.display()))
}

fn root() -> Result<PathBuf, String> {
    let metadata = super::run::metadata()?;
    metadata["workspace_root"].as_str().map(PathBuf::from).ok_or_else(|| "no workspace".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A target without seeds would never be run.
    #[test]
    fn every_target_has_seeds() {
        let bins = Path::new(env!("CARGO_MANIFEST_DIR")).join("../margo-fuzz/src/bin");
        let mut targets: Vec<_> = fs::read_dir(bins)
            .unwrap()
            .map(|entry| entry.unwrap().path().file_stem().unwrap().display().to_string())
            .collect();
        targets.sort();
        let mut seeded: Vec<_> = SEEDS.iter().map(|(target, ..)| (*target).to_owned()).collect();
        seeded.sort();
        assert_eq!(targets, seeded);
    }
}
