//! What a repository offers, told without a child.

use std::path::Path;

use gix::objs::Kind;
use gix::refs::TargetRef;
use gix::{ObjectId, Repository};

use super::pkt_line::{Packet, Writer};
use crate::publisher::BRANCH_REFERENCE;
use crate::repository::{self, ReadError};

const AGENT: &str = concat!("agent=margo-git/", env!("CARGO_PKG_VERSION"));

/// What `git upload-pack` can do when it is asked over stateless HTTP in protocol version 0 or 1.
const CAPABILITIES: &str = "multi_ack thin-pack side-band side-band-64k ofs-delta shallow deepen-since deepen-not \
                            deepen-relative no-progress include-tag multi_ack_detailed no-done";

/// The references of a repository.
#[derive(Debug)]
pub(super) struct References {
    /// What `HEAD` stands for.
    head: String,
    /// Name, object, and for an annotated tag the object it is about; in the order of names.
    references: Vec<Reference>,
}

#[derive(Debug)]
struct Reference {
    name: String,
    id: ObjectId,
    peeled: Option<ObjectId>,
}

impl References {
    /// Reads them. A repository that does not exist yet has none: nothing was published for the client.
    pub(super) fn read(path: &Path) -> Result<Self, ReadError> {
        let mut found = Self { head: BRANCH_REFERENCE.to_owned(), references: Vec::new() };
        if !path.is_dir() {
            return Ok(found);
        }
        let repository = repository::open(path, &[])?;
        if let Some(head) = repository.head_name().map_err(ReadError::storage)? {
            found.head = head.to_string();
        }
        for reference in
            repository.references().map_err(ReadError::storage)?.all().map_err(ReadError::storage)?
        {
            let reference = reference.map_err(ReadError::storage)?;
            // A symbolic reference other than HEAD stands for one that is offered itself.
            let TargetRef::Object(id) = reference.target() else { continue };
            let (id, name) = (id.to_owned(), reference.name().to_string());
            let peeled = if name.starts_with("refs/tags/") { peel(&repository, id)? } else { None };
            found.references.push(Reference { name, id, peeled });
        }
        found.references.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(found)
    }

    /// The answer to `GET info/refs` in protocol version 0 or 1.
    pub(super) fn advertise(&self, protocol: u8) -> Vec<u8> {
        let mut out = Writer::default();
        out.line("# service=git-upload-pack");
        out.flush();
        if protocol == 1 {
            out.line("version 1");
        }
        let symref = self.head_id().map(|_| format!(" symref=HEAD:{}", self.head)).unwrap_or_default();
        // Follow the first name, whatever it is.
        let mut capabilities = Some(format!("\0{CAPABILITIES}{symref} object-format=sha1 {AGENT}"));
        let mut line = |id: ObjectId, name: &str| {
            out.line(&format!("{id} {name}{}", capabilities.take().unwrap_or_default()));
        };
        if let Some(id) = self.head_id() {
            line(id, "HEAD");
        }
        for Reference { name, id, peeled } in &self.references {
            line(*id, name);
            if let Some(peeled) = peeled {
                line(*peeled, &format!("{name}^{{}}"));
            }
        }
        if self.references.is_empty() {
            line(ObjectId::null(gix::hash::Kind::Sha1), "capabilities^{}");
        }
        out.flush();
        out.into_bytes()
    }

    /// The answer to `command=ls-refs` in protocol version 2.
    pub(super) fn list(&self, question: &LsRefs<'_>) -> Vec<u8> {
        let mut out = Writer::default();
        if question.wants("HEAD") {
            let symref =
                if question.symrefs { format!(" symref-target:{}", self.head) } else { String::new() };
            match self.head_id() {
                Some(id) => out.line(&format!("{id} HEAD{symref}")),
                None if question.unborn && question.symrefs => out.line(&format!("unborn HEAD{symref}")),
                None => {}
            }
        }
        for Reference { name, id, peeled } in &self.references {
            if question.wants(name) {
                let peeled = peeled.filter(|_| question.peel).map(|id| format!(" peeled:{id}"));
                out.line(&format!("{id} {name}{}", peeled.unwrap_or_default()));
            }
        }
        out.flush();
        out.into_bytes()
    }

    fn head_id(&self) -> Option<ObjectId> {
        let head = self.references.iter().find(|reference| reference.name == self.head);
        head.map(|reference| reference.id)
    }
}

/// The answer to `GET info/refs` in protocol version 2: what may be asked. It is the same for every repository.
pub(super) fn capabilities() -> Vec<u8> {
    let mut out = Writer::default();
    for line in ["version 2", AGENT, "ls-refs=unborn", "fetch=shallow", "object-format=sha1"] {
        out.line(line);
    }
    out.flush();
    out.into_bytes()
}

/// What `command=ls-refs` asks for.
#[derive(Debug, Default)]
pub(super) struct LsRefs<'a> {
    symrefs: bool,
    peel: bool,
    unborn: bool,
    prefixes: Vec<&'a str>,
}

impl<'a> LsRefs<'a> {
    /// Reads the arguments; unknown ones are an error, as they are to Git.
    pub(super) fn parse(arguments: &[Packet<'a>]) -> Result<Self, String> {
        let mut question = Self::default();
        for argument in arguments {
            match argument.text() {
                Some("symrefs") => question.symrefs = true,
                Some("peel") => question.peel = true,
                Some("unborn") => question.unborn = true,
                Some(text) => match text.strip_prefix("ref-prefix ") {
                    Some(prefix) => question.prefixes.push(prefix),
                    None => return Err(format!("ls-refs has no argument `{}`", text.escape_debug())),
                },
                None => return Err("an argument of ls-refs is not text".to_owned()),
            }
        }
        Ok(question)
    }

    fn wants(&self, name: &str) -> bool {
        self.prefixes.is_empty() || self.prefixes.iter().any(|prefix| name.starts_with(prefix))
    }
}

/// What an annotated tag is about.
fn peel(repository: &Repository, id: ObjectId) -> Result<Option<ObjectId>, ReadError> {
    let object = repository.find_object(id).map_err(ReadError::storage)?;
    if object.kind != Kind::Tag {
        return Ok(None);
    }
    let peeled = object.peel_tags_to_end().map_err(ReadError::storage)?;
    Ok(Some(peeled.id))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(digit: &str) -> ObjectId {
        ObjectId::from_hex(digit.repeat(40).as_bytes()).unwrap()
    }

    fn text(bytes: &[u8]) -> Vec<String> {
        super::super::pkt_line::packets(bytes)
            .map(|packet| packet.unwrap())
            .map(|packet| packet.text().map_or_else(|| format!("{packet:?}"), str::to_owned))
            .collect()
    }

    #[test]
    fn an_empty_repository_has_a_name_for_its_first_branch() {
        let empty = References { head: BRANCH_REFERENCE.to_owned(), references: Vec::new() };
        let question = LsRefs { symrefs: true, unborn: true, ..LsRefs::default() };
        assert_eq!(text(&empty.list(&question)), ["unborn HEAD symref-target:refs/heads/main", "Flush"]);
        assert_eq!(text(&empty.list(&LsRefs::default())), ["Flush"]);
        let lines = text(&empty.advertise(0));
        assert!(
            lines[2].starts_with(&format!("{} capabilities^{{}}\0multi_ack", "0".repeat(40))),
            "{lines:?}"
        );
    }

    #[test]
    fn references_are_listed_as_asked() {
        let tag = Reference { name: "refs/tags/v1".to_owned(), id: id("2"), peeled: Some(id("1")) };
        let main = Reference { name: BRANCH_REFERENCE.to_owned(), id: id("1"), peeled: None };
        let all = References { head: BRANCH_REFERENCE.to_owned(), references: vec![main, tag] };
        let (one, two) = (id("1"), id("2"));

        let question =
            LsRefs::parse(&[Packet::Data(b"peel\n"), Packet::Data(b"ref-prefix refs/tags/\n")]).unwrap();
        assert_eq!(
            text(&all.list(&question)),
            [format!("{two} refs/tags/v1 peeled:{one}"), "Flush".to_owned()]
        );
        let question = LsRefs::parse(&[Packet::Data(b"symrefs"), Packet::Data(b"ref-prefix HEAD")]).unwrap();
        let head = format!("{one} HEAD symref-target:refs/heads/main");
        assert_eq!(text(&all.list(&question)), [head, "Flush".to_owned()]);
        assert!(LsRefs::parse(&[Packet::Data(b"everything")]).is_err());

        let lines = text(&all.advertise(1));
        assert_eq!(lines[..3], ["# service=git-upload-pack", "Flush", "version 1"]);
        assert!(
            lines[3].starts_with(&format!("{one} HEAD\0"))
                && lines[3].contains("symref=HEAD:refs/heads/main")
        );
        assert_eq!(lines[4..6], [format!("{one} refs/heads/main"), format!("{two} refs/tags/v1")]);
        assert_eq!(lines[6..], [format!("{one} refs/tags/v1^{{}}"), "Flush".to_owned()]);
    }
}
