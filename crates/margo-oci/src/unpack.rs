use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;
use rustix::fs::{CWD, RenameFlags, renameat_with};
use tar::{Archive, EntryType};

use crate::{FetchError, FetchErrorKind, UnpackLimits};

/// The longest name of a file in an archive, with its folders, in bytes.
const LONGEST_PATH: usize = 1024;

/// The longest name of one file or folder on Linux, in bytes.
const LONGEST_NAME: usize = 255;

/// Output below this says nothing about a bomb, in bytes.
const RATIO_FLOOR: u64 = 1 << 20;

/// The bits that make a program run as somebody else, and the one that keeps others from deleting.
const SPECIAL_BITS: u32 = 0o7000;

/// Unpacks a gzipped tar archive into the folder `into`, which then holds exactly what the archive does (R-D-035).
///
/// The folder is complete or as it was before: what was there goes away only when everything has been unpacked.
/// Links are made when they lead to a file or folder of the archive; owners and times are not taken over; files can be
/// read by all, written by their owner, and run if they could be before.
///
/// # Errors
///
/// [`FetchErrorKind::BadArchive`] for what revision D, section 3.8 does not allow: names that are absolute or have `..`
/// in them, links that lead out, files that run as somebody else, devices; and for names that occur twice.
/// [`FetchErrorKind::TooLarge`] for more than `limits` allow.
pub fn unpack(archive: &Path, into: &Path, limits: &UnpackLimits) -> Result<(), FetchError> {
    let storage = |cause| FetchError::storage(format_args!("`{}` cannot be unpacked", into.display()), cause);
    let compressed = File::open(archive).map_err(storage)?;
    let parent = into.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(parent).map_err(storage)?;
    let new = tempfile::Builder::new().prefix(".unpack-").tempdir_in(parent).map_err(storage)?;
    let root = new.path().join("root");
    fs::create_dir(&root).map_err(storage)?;
    Unpacking { root: &root, limits, files: BTreeMap::new(), links: BTreeMap::new() }
        .run(compressed)
        .map_err(|problem| problem.of(archive, into))?;
    // The folder of the temporary one goes away with what it then holds: what was there before.
    let swapped = match renameat_with(CWD, &root, CWD, into, RenameFlags::EXCHANGE) {
        Err(rustix::io::Errno::NOENT) => fs::rename(&root, into),
        result => result.map_err(Into::into),
    };
    swapped.and_then(|()| File::open(parent)?.sync_all()).map_err(storage)
}

/// What was unpacked from a package.
#[derive(Clone, Debug)]
pub struct Unpacked {
    folder: PathBuf,
    names: &'static [&'static str],
}

impl Unpacked {
    /// Looks at what is in `into`: the one folder there is the package, otherwise `into` itself.
    pub(crate) fn of(into: &Path, names: &'static [&'static str]) -> io::Result<Self> {
        let mut entries = fs::read_dir(into)?;
        let folder = match (entries.next().transpose()?, entries.next()) {
            (Some(only), None) if only.file_type()?.is_dir() => only.path(),
            _ => into.to_owned(),
        };
        Ok(Self { folder, names })
    }

    /// The folder with the package's files.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The Compose file: `compose.yaml` in a component of a registry (revision D, section 3.8), and in an archive at a
    /// URL `docker-compose.yml` or the other names that Compose looks for (R-A-032).
    ///
    /// # Errors
    ///
    /// [`FetchErrorKind::BadArchive`] if there is none.
    pub fn compose_file(&self) -> Result<PathBuf, FetchError> {
        let found = self.names.iter().map(|name| self.folder.join(name)).find(|path| {
            // A link in the archive leads into the archive.
            path.is_file()
        });
        found.ok_or_else(|| {
            let message =
                format!("the archive has no `{}` in its top-level folder", self.names.join("` or `"));
            FetchError::new(FetchErrorKind::BadArchive, message)
        })
    }
}

struct Unpacking<'a> {
    root: &'a Path,
    limits: &'a UnpackLimits,
    /// Everything but links, and whether it is a folder.
    files: BTreeMap<PathBuf, bool>,
    /// Place and target. Made last, so that nothing is written through one.
    links: BTreeMap<PathBuf, PathBuf>,
}

enum Problem {
    Storage(io::Error),
    TooLarge(String),
    Bad(String),
}

impl Problem {
    fn of(self, archive: &Path, into: &Path) -> FetchError {
        let name = archive.file_name().unwrap_or_default().to_string_lossy().into_owned();
        match self {
            Self::Storage(cause) => {
                FetchError::storage(format_args!("`{}` cannot be unpacked", into.display()), cause)
            }
            Self::TooLarge(problem) => FetchError::new(
                FetchErrorKind::TooLarge,
                format!("the archive `{name}` holds too much: {problem}"),
            ),
            Self::Bad(problem) => FetchError::new(
                FetchErrorKind::BadArchive,
                format!("the archive `{name}` is refused: {problem}"),
            ),
        }
    }

    fn entry(path: &Path, problem: &str) -> Self {
        let shown: String = path.display().to_string().escape_debug().take(200).collect();
        Self::Bad(format!("`{shown}` {problem}"))
    }

    /// What reading from an archive failed of.
    fn reading(error: io::Error) -> Self {
        match error.downcast::<Limit>() {
            Ok(Limit(problem)) => Self::TooLarge(problem),
            Err(error) => match error.get_ref().and_then(|inner| inner.downcast_ref::<Limit>()) {
                Some(Limit(problem)) => Self::TooLarge(problem.clone()),
                // `tar` puts its own error around that of the reader.
                None if error.to_string().contains(LIMIT_MARK) => {
                    Self::TooLarge("a name or a header does not fit".to_owned())
                }
                None => Self::Bad(error.to_string()),
            },
        }
    }
}

impl Unpacking<'_> {
    fn run(mut self, compressed: File) -> Result<(), Problem> {
        let counted = Counted { inner: compressed, count: 0 };
        let bounded = Bounded { inner: MultiGzDecoder::new(counted), count: 0, limits: *self.limits };
        let mut archive = Archive::new(bounded);
        for (count, entry) in archive.entries().map_err(Problem::reading)?.enumerate() {
            let mut entry = entry.map_err(Problem::reading)?;
            if count >= self.limits.max_entries {
                return Err(Problem::TooLarge(format!("more than {} entries", self.limits.max_entries)));
            }
            let path = self.place(&entry.path_bytes())?;
            let kind = entry.header().entry_type();
            let mode = entry.header().mode().map_err(Problem::reading)?;
            if mode & SPECIAL_BITS != 0 && kind != EntryType::XGlobalHeader {
                return Err(Problem::entry(&path, "would run as somebody else: its mode has special bits"));
            }
            match kind {
                // What `git archive` writes about itself.
                EntryType::XGlobalHeader => {}
                EntryType::Directory => self.folder(&path)?,
                EntryType::Regular | EntryType::Continuous => self.file(&path, mode, &mut entry)?,
                EntryType::Symlink => {
                    let target = entry.link_name_bytes().unwrap_or_default().into_owned();
                    self.link(path, &target)?;
                }
                EntryType::Link => return Err(Problem::entry(&path, "is a hard link")),
                _ => return Err(Problem::entry(&path, "is neither a file nor a folder")),
            }
        }
        // What follows the end is only padding, and reading it checks the sum of the whole.
        let mut rest = archive.into_inner();
        let mut buffer = [0; 8192];
        loop {
            match rest.read(&mut buffer).map_err(Problem::reading)? {
                0 => break,
                length if buffer[..length].iter().all(|byte| *byte == 0) => {}
                _ => return Err(Problem::Bad("something follows its end".to_owned())),
            }
        }
        if self.files.is_empty() {
            return Err(Problem::Bad("it is empty".to_owned()));
        }
        self.make_links()
    }

    /// Where an entry goes, relative to the root; empty for the root itself.
    fn place(&self, name: &[u8]) -> Result<PathBuf, Problem> {
        let shown = PathBuf::from(String::from_utf8_lossy(name).into_owned());
        let text = std::str::from_utf8(name).map_err(|_| Problem::entry(&shown, "is not UTF-8"))?;
        if text.len() > LONGEST_PATH {
            return Err(Problem::entry(&shown, "is longer than 1024 bytes"));
        }
        if text.starts_with('/') {
            return Err(Problem::entry(&shown, "is an absolute path"));
        }
        if text.contains(|c: char| c.is_control() || c == '\\') {
            return Err(Problem::entry(&shown, "has characters that no name should have"));
        }
        let mut place = PathBuf::new();
        let mut depth = 0;
        for part in text.split('/').filter(|part| !part.is_empty() && *part != ".") {
            if part == ".." {
                return Err(Problem::entry(&shown, "leads out of the archive"));
            }
            if part.len() > LONGEST_NAME {
                return Err(Problem::entry(&shown, "has a name longer than 255 bytes"));
            }
            place.push(part);
            depth += 1;
        }
        if depth > self.limits.max_depth + 1 {
            return Err(Problem::TooLarge(format!("more than {} folders deep", self.limits.max_depth)));
        }
        Ok(place)
    }

    fn folder(&mut self, path: &Path) -> Result<(), Problem> {
        let mut above: Vec<_> = path.ancestors().filter(|path| !path.as_os_str().is_empty()).collect();
        above.reverse();
        for folder in above {
            match self.files.get(folder) {
                Some(true) => continue,
                Some(false) => return Err(Problem::entry(folder, "is both a file and a folder")),
                None if self.links.contains_key(folder) => {
                    return Err(Problem::entry(folder, "is both a link and a folder"));
                }
                None => {}
            }
            if self.files.len() >= self.limits.max_entries {
                return Err(Problem::TooLarge(format!("more than {} entries", self.limits.max_entries)));
            }
            fs::create_dir(self.root.join(folder)).map_err(Problem::Storage)?;
            self.files.insert(folder.to_owned(), true);
        }
        Ok(())
    }

    fn file(&mut self, path: &Path, mode: u32, content: &mut impl Read) -> Result<(), Problem> {
        self.new_name(path)?;
        let mode = if mode & 0o111 == 0 { 0o644 } else { 0o755 };
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(self.root.join(path))
            .map_err(Problem::Storage)?;
        let mut buffer = vec![0; 32 << 10];
        loop {
            let length = content.read(&mut buffer).map_err(Problem::reading)?;
            if length == 0 {
                break;
            }
            io::Write::write_all(&mut file, &buffer[..length]).map_err(Problem::Storage)?;
        }
        // Not as the mask of the process has it.
        file.set_permissions(fs::Permissions::from_mode(mode))
            .and_then(|()| file.sync_all())
            .map_err(Problem::Storage)?;
        self.files.insert(path.to_owned(), false);
        Ok(())
    }

    fn link(&mut self, path: PathBuf, target: &[u8]) -> Result<(), Problem> {
        self.new_name(&path)?;
        let escapes = || Problem::entry(&path, "is a link that leads out of the archive");
        let text = std::str::from_utf8(target).map_err(|_| escapes())?;
        if text.is_empty() || text.starts_with('/') || text.contains('\0') || text.len() > LONGEST_PATH {
            return Err(escapes());
        }
        // `..` goes up from where the link stands, and never above the root.
        let mut resolved: Vec<&str> =
            path.parent().into_iter().flat_map(Path::iter).filter_map(|part| part.to_str()).collect();
        for part in text.split('/').filter(|part| !part.is_empty() && *part != ".") {
            if part == ".." {
                resolved.pop().ok_or_else(escapes)?;
            } else {
                resolved.push(part);
            }
        }
        let resolved: PathBuf = resolved.iter().collect();
        self.links.insert(path, resolved);
        Ok(())
    }

    /// A name that is used for the first time, and the folders above it.
    fn new_name(&mut self, path: &Path) -> Result<(), Problem> {
        if path.as_os_str().is_empty() {
            return Err(Problem::Bad("its root is no folder".to_owned()));
        }
        if self.files.contains_key(path) || self.links.contains_key(path) {
            return Err(Problem::entry(path, "occurs twice"));
        }
        self.folder(path.parent().unwrap_or(Path::new("")))
    }

    /// Every link leads to something that was unpacked, and over nothing but folders.
    fn make_links(&self) -> Result<(), Problem> {
        let places: BTreeSet<&PathBuf> = self.links.keys().collect();
        for (path, target) in &self.links {
            if target.ancestors().any(|above| places.contains(&above.to_owned())) {
                return Err(Problem::entry(path, "is a link that leads over another link"));
            }
            if !self.files.contains_key(target) {
                return Err(Problem::entry(path, "is a link to nothing in the archive"));
            }
            // Written anew, so that nothing of the text is taken on trust.
            let up = path.parent().into_iter().flat_map(Path::iter).map(|_| Path::new(".."));
            let relative: PathBuf = up.chain([target.as_path()]).collect();
            std::os::unix::fs::symlink(relative, self.root.join(path)).map_err(Problem::Storage)?;
        }
        Ok(())
    }
}

/// Marks the message of [`Limit`], for where only the message comes through.
const LIMIT_MARK: &str = "over the limit: ";

/// A limit was passed while reading.
#[derive(Debug, thiserror::Error)]
#[error("{LIMIT_MARK}{0}")]
struct Limit(String);

/// Counts what is read.
struct Counted<R> {
    inner: R,
    count: u64,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.inner.read(buffer)?;
        self.count += length as u64;
        Ok(length)
    }
}

/// Gives up as soon as more comes out than should.
struct Bounded {
    inner: MultiGzDecoder<Counted<File>>,
    count: u64,
    limits: UnpackLimits,
}

impl Read for Bounded {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.inner.read(buffer)?;
        self.count += length as u64;
        let limit = |problem: String| Err(io::Error::other(Limit(problem)));
        if self.count > self.limits.max_bytes {
            return limit(format!("more than {} bytes", self.limits.max_bytes));
        }
        let ratio = self.limits.max_ratio;
        if self.count > RATIO_FLOOR && self.count > self.inner.get_ref().count.saturating_mul(ratio) {
            return limit(format!("each byte becomes more than {ratio}"));
        }
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::GzEncoder;
    use proptest::prelude::*;

    use super::*;

    struct Entry<'a> {
        name: &'a [u8],
        kind: EntryType,
        content: &'a [u8],
        link: &'a [u8],
        mode: u32,
    }

    fn file<'a>(name: &'a str, content: &'a [u8]) -> Entry<'a> {
        Entry { name: name.as_bytes(), kind: EntryType::Regular, content, link: b"", mode: 0o644 }
    }

    fn link<'a>(name: &'a str, target: &'a str) -> Entry<'a> {
        Entry { kind: EntryType::Symlink, link: target.as_bytes(), ..file(name, b"") }
    }

    fn of_kind(name: &str, kind: EntryType) -> Entry<'_> {
        Entry { kind, ..file(name, b"") }
    }

    /// Headers written by hand: `tar` itself refuses to write what is to be refused here.
    fn tar(entries: &[Entry<'_>]) -> Vec<u8> {
        let mut archive = Vec::new();
        for entry in entries {
            let mut header = tar::Header::new_gnu();
            let bytes = header.as_mut_bytes();
            bytes[..entry.name.len()].copy_from_slice(entry.name);
            bytes[157..157 + entry.link.len()].copy_from_slice(entry.link);
            header.set_entry_type(entry.kind);
            header.set_mode(entry.mode);
            header.set_size(entry.content.len() as u64);
            header.set_cksum();
            archive.extend_from_slice(header.as_bytes());
            archive.extend_from_slice(entry.content);
            archive.resize(archive.len().next_multiple_of(512), 0);
        }
        archive.resize(archive.len() + 1024, 0);
        archive
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn unpack_bytes(bytes: &[u8], limits: &UnpackLimits) -> (tempfile::TempDir, Result<(), FetchError>) {
        let folder = tempfile::tempdir().unwrap();
        let archive = folder.path().join("a.tgz");
        fs::write(&archive, bytes).unwrap();
        let result = unpack(&archive, &folder.path().join("into"), limits);
        (folder, result)
    }

    fn refused(entries: &[Entry<'_>]) -> String {
        let (folder, result) = unpack_bytes(&gzip(&tar(entries)), &UnpackLimits::default());
        let error = result.unwrap_err();
        assert_eq!(error.kind(), FetchErrorKind::BadArchive, "{error}");
        // Nothing is left behind, and nothing got out.
        let left: Vec<_> =
            fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["a.tgz"]);
        error.to_string()
    }

    /// R-D-035, revision D, section 3.8.
    #[test]
    fn what_leads_out_is_refused() {
        for (name, problem) in [
            ("../evil", "leads out"),
            ("a/../../evil", "leads out"),
            ("a/..", "leads out"),
            ("/etc/cron.d/evil", "absolute"),
            ("a\\..\\evil", "characters"),
            ("a\u{1}", "characters"),
        ] {
            assert!(refused(&[file("a/ok", b""), file(name, b"x")]).contains(problem), "{name}");
        }
        assert!(refused(&[Entry { name: b"a\xff", ..file("", b"") }]).contains("UTF-8"));
        for target in ["/etc/passwd", "../../etc/passwd", "..", "../..", "x/../../..", ""] {
            let message = refused(&[file("a/ok", b""), link("a/l", target)]);
            assert!(message.contains("link"), "{target}: {message}");
        }
    }

    /// R-D-035. Each step stays inside when looked at alone; together they lead out.
    #[test]
    fn links_over_links_are_refused() {
        let deep = [file("a/b/c/ok", b""), link("a/b/c/l", "../../.."), link("m", "a/b/c/l/..")];
        assert!(refused(&deep).contains("link"));
        assert!(refused(&[file("a", b""), link("b", "a"), link("c", "b")]).contains("over another link"));
        assert!(refused(&[file("x", b""), link("a", "a")]).contains("link"));
        // Writing through a link.
        assert!(
            refused(&[file("d/ok", b""), link("l", "d"), file("l/evil", b"x")])
                .contains("both a link and a folder")
        );
        assert!(refused(&[file("d/ok", b""), link("l", "d"), file("l", b"x")]).contains("occurs twice"));
        assert!(refused(&[file("x", b""), link("l", "nothing")]).contains("link to nothing"));
    }

    /// R-D-035, revision D, section 3.8.
    #[test]
    fn only_files_folders_and_links_and_nothing_that_runs_as_somebody_else() {
        for kind in [EntryType::Char, EntryType::Block, EntryType::Fifo] {
            assert!(refused(&[of_kind("a/dev", kind)]).contains("neither"));
        }
        refused(&[of_kind("a/sparse", EntryType::GNUSparse)]);
        let hard = Entry { kind: EntryType::Link, ..link("h", "a") };
        assert!(refused(&[file("a", b""), hard]).contains("hard link"));
        for mode in [0o4755, 0o2755, 0o1755] {
            assert!(refused(&[Entry { mode, ..file("a/run", b"") }]).contains("somebody else"));
        }
        let folder = Entry { mode: 0o2755, ..of_kind("a/", EntryType::Directory) };
        assert!(refused(&[folder]).contains("somebody else"));
    }

    #[test]
    fn names_mean_one_thing() {
        assert!(refused(&[file("a", b"1"), file("./a", b"2")]).contains("occurs twice"));
        assert!(refused(&[file("a", b"1"), file("a/b", b"2")]).contains("both a file and a folder"));
        assert!(refused(&[file("a/b", b"1"), file("a", b"2")]).contains("occurs twice"));
        assert!(refused(&[]).contains("empty"));
        assert!(refused(&[file(".", b"x")]).contains("root"));
    }

    #[test]
    fn every_limit_is_a_limit() {
        let limits = UnpackLimits { max_bytes: 8192, max_entries: 3, max_depth: 2, max_ratio: 200 };
        let too_large = |entries: &[Entry<'_>]| {
            let (_folder, result) = unpack_bytes(&gzip(&tar(entries)), &limits);
            let error = result.unwrap_err();
            assert_eq!(error.kind(), FetchErrorKind::TooLarge, "{error}");
            error.to_string()
        };
        assert!(too_large(&[file("a", &[1; 9000])]).contains("8192 bytes"));
        let many = ["a", "b", "c", "d"].map(|name| file(name, b""));
        assert!(too_large(&many).contains("3 entries"));
        assert!(too_large(&[file("a/b/c/d", b"")]).contains("2 folders deep"));
        // Folders that nobody wrote down count too.
        assert!(too_large(&[file("a/1", b""), file("b/2", b""), file("c/3", b"")]).contains("3 entries"));
        assert!(unpack_bytes(&gzip(&tar(&[file("a/b/c", b"x")])), &limits).1.is_ok());
    }

    #[test]
    fn a_bomb_stops_early() {
        let zeros = vec![0; 64 << 20];
        let (folder, result) = unpack_bytes(&gzip(&tar(&[file("zeros", &zeros)])), &UnpackLimits::default());
        let error = result.unwrap_err();
        assert_eq!(error.kind(), FetchErrorKind::TooLarge);
        assert!(error.to_string().contains("more than 200"), "{error}");
        assert!(!folder.path().join("into").exists());
        // A name that goes on for ever.
        let long = Entry { kind: EntryType::GNULongName, ..file("././@LongLink", &zeros) };
        let (_folder, result) = unpack_bytes(&gzip(&tar(&[long, file("a", b"")])), &UnpackLimits::default());
        assert_eq!(result.unwrap_err().kind(), FetchErrorKind::TooLarge);
    }

    #[test]
    fn damage_is_noticed() {
        let good = gzip(&tar(&[file("a", &[7; 5000])]));
        let bad = |bytes: &[u8]| {
            let (_folder, result) = unpack_bytes(bytes, &UnpackLimits::default());
            assert_eq!(result.unwrap_err().kind(), FetchErrorKind::BadArchive);
        };
        for length in [0, 1, 10, good.len() / 2, good.len() - 1] {
            bad(&good[..length]);
        }
        let mut sum = good.clone();
        let last = sum.len() - 6;
        sum[last] ^= 1;
        bad(&sum);
        bad(b"plain text");
        bad(&gzip(b"plain text"));
        let mut stowaway = tar(&[file("a", b"x")]);
        stowaway.extend_from_slice(&[1; 512]);
        bad(&gzip(&stowaway));
    }

    #[test]
    fn a_folder_is_replaced_as_a_whole_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let (archive, into) = (folder.path().join("a.tgz"), folder.path().join("deep/into"));
        let limits = UnpackLimits::default();
        let mut first = vec![
            file("app/compose.yaml", b"services: {}\n"),
            Entry { mode: 0o700, ..file("app/bin/run", b"#!/bin/sh\n") },
            link("app/bin/current", "run"),
            link("app/self", "./bin/../bin"),
            Entry { mode: 0o1777, ..of_kind("pax_global_header", EntryType::XGlobalHeader) },
        ];
        fs::write(&archive, gzip(&tar(&first))).unwrap();
        unpack(&archive, &into, &limits).unwrap();
        let mode = |path: &str| fs::symlink_metadata(into.join(path)).unwrap().permissions().mode() & 0o7777;
        assert_eq!((mode("app/compose.yaml"), mode("app/bin/run")), (0o644, 0o755));
        assert_eq!(fs::read(into.join("app/bin/current")).unwrap(), b"#!/bin/sh\n");
        assert_eq!(fs::read(into.join("app/self/run")).unwrap(), b"#!/bin/sh\n");

        first.push(file("../evil", b""));
        fs::write(&archive, gzip(&tar(&first))).unwrap();
        unpack(&archive, &into, &limits).unwrap_err();
        assert!(into.join("app/compose.yaml").exists());

        // X-C-19: the other of the two names.
        fs::write(&archive, gzip(&tar(&[file("docker-compose.yml", b"x")]))).unwrap();
        unpack(&archive, &into, &limits).unwrap();
        let names: Vec<_> = fs::read_dir(&into).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, ["docker-compose.yml"]);
        assert_eq!(fs::read_dir(into.parent().unwrap()).unwrap().count(), 1);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Whatever is in an archive, nothing outside its folder changes.
        #[test]
        fn nothing_gets_out(
            entries in prop::collection::vec(("[a./]{1,6}", 0..3_u8, "[a./]{0,8}"), 1..8)
        ) {
            let entries: Vec<_> = entries.iter().map(|(name, kind, target)| match kind {
                0 => file(name, b"x"),
                1 => link(name, target),
                _ => of_kind(name, EntryType::Directory),
            }).collect();
            let (folder, result) = unpack_bytes(&gzip(&tar(&entries)), &UnpackLimits::default());
            let mut names: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
            names.sort();
            if result.is_ok() {
                prop_assert_eq!(names, ["a.tgz", "into"]);
                let root = folder.path().join("into").canonicalize().unwrap();
                let mut open = vec![root.clone()];
                while let Some(place) = open.pop() {
                    for entry in fs::read_dir(place).unwrap() {
                        let entry = entry.unwrap();
                        prop_assert!(entry.path().canonicalize().unwrap().starts_with(&root));
                        if entry.file_type().unwrap().is_dir() {
                            open.push(entry.path());
                        }
                    }
                }
            } else {
                prop_assert_eq!(names, ["a.tgz"]);
            }
        }
    }
}
