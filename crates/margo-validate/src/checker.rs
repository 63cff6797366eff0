use std::collections::BTreeSet;

use bytes::Bytes;
use margo_core::{Deviation, Document, SpecVersion, Strictness};
use margo_syntax::Tree;

use crate::document::{Value, Written, detect, deviations};
use crate::report::FoundDocument;
use crate::reporter::{MOST, Place};
use crate::rules::{deviation, meaning, relations, shape, text};
use crate::schema::compile::schema;
use crate::schema::look::{What, look};
use crate::{
    Checked, Diagnostic, DocumentKind, Label, Options, Report, Reporter, Rule, Severity, Source, Subject,
    docs, rules,
};

mod allow;

/// Checks documents. It is cheap to share: several threads may use one.
///
/// ```
/// use margo_validate::Checker;
///
/// let checker = Checker::default();
/// std::thread::scope(|scope| {
///     scope.spawn(|| assert!(!checker.check_bytes("a.yaml", "a: 1\na: 2\n").is_valid()));
///     scope.spawn(|| assert!(!checker.check_bytes("b.json", "{").is_valid()));
/// });
/// ```
#[derive(Clone, Debug, Default)]
pub struct Checker {
    options: Options,
}

impl Checker {
    /// A checker with these options.
    #[must_use]
    pub fn new(options: Options) -> Self {
        Self { options }
    }

    /// What it was told to check.
    #[must_use]
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// Everything that is wrong with `sources`, and between those of one group.
    #[must_use]
    pub fn check(&self, sources: &[Source]) -> Report {
        let inspected =
            sources.iter().enumerate().map(|(index, source)| self.inspect(source, index)).collect();
        self.conclude(inspected)
    }

    /// Read, shape and meaning of one source, which will be number `index` of those checked together. Several threads
    /// may do this at once.
    #[must_use]
    pub fn inspect(&self, source: &Source, index: usize) -> Inspected {
        let mut inspection = Inspection {
            options: &self.options,
            index,
            is_broken: false,
            inspected: Inspected {
                index,
                source: source.clone(),
                found: Vec::new(),
                documents: Vec::new(),
                written: Vec::new(),
            },
        };
        inspection.read(source);
        inspection.inspected
    }

    /// The relations between sources that were inspected, and everything found in them. The order of `inspected` does
    /// not matter.
    #[must_use]
    pub fn conclude(&self, mut inspected: Vec<Inspected>) -> Report {
        inspected.sort_by_key(|inspected| inspected.index);
        let mut found = relations::between(&inspected);
        let mut documents = Vec::new();
        for inspected in &mut inspected {
            found.append(&mut inspected.found);
            documents.append(&mut inspected.documents);
        }
        let mut allowed = Vec::new();
        let known: Vec<_> =
            docs::rules().iter().map(|rule| rule.name).chain(self.options.rules.names()).collect();
        for inspected in &inspected {
            allow::apply(inspected, &known, &mut found, &mut allowed);
        }
        self.options.settle(&mut found);
        forget_repetitions(&mut found);
        Report::new(found, allowed, documents)
    }

    /// Everything that is wrong with one source.
    #[must_use]
    pub fn check_bytes(&self, name: &str, bytes: impl Into<Bytes>) -> Report {
        self.check(&[Source::new(name, bytes)])
    }

    /// Everything that is wrong with one document, and what it means.
    ///
    /// ```
    /// use margo_capability::AnyDeviceCapabilities;
    /// use margo_validate::Checker;
    ///
    /// let text = r#"{ "properties": { "id": "plc-7", "vendor": "a", "modelNumber": "b", "serialNumber": "c" } }"#;
    /// let checked = Checker::default().check_document::<AnyDeviceCapabilities>("plc-7.json", text);
    /// let device = checked.into_valid().unwrap();
    /// assert_eq!(device.device_id().as_str(), "plc-7");
    /// ```
    #[must_use]
    pub fn check_document<T: Subject>(&self, name: &str, bytes: impl Into<Bytes>) -> Checked<T> {
        let options = self.options.clone().with_kind(T::KIND);
        let source = Source::new(name, bytes);
        let mut inspected = Self::new(options).inspect(&source, 0);
        let value = match inspected.written.as_mut_slice() {
            [only] => only.value.take().and_then(T::of),
            _ => None,
        };
        let report = self.conclude(vec![inspected]);
        let document = value.and_then(|value| {
            Document::decode(source.bytes().clone(), |_| Ok::<_, std::convert::Infallible>(value)).ok()
        });
        Checked::new(document, report)
    }
}

/// Leaves what is said of one place in the same words only once.
fn forget_repetitions(found: &mut Vec<Diagnostic>) {
    let mut said = BTreeSet::new();
    found.retain(|found| {
        let Label { source, document, pointer, span, .. } = &found.primary;
        let span = span.as_ref().map(|span| (span.start, span.end));
        let place = (*source, *document, span, pointer.as_str().to_owned());
        !found.related.is_empty() || said.insert((found.rule.name, place, found.message.clone()))
    });
}

/// A source that was looked at by itself; see [`Checker::conclude`].
#[derive(Debug)]
pub struct Inspected {
    pub(crate) index: usize,
    pub(crate) source: Source,
    pub(crate) found: Vec<Diagnostic>,
    pub(crate) documents: Vec<FoundDocument>,
    pub(crate) written: Vec<Written>,
}

/// One source on its way through read, shape and meaning.
struct Inspection<'a> {
    options: &'a Options,
    index: usize,
    /// Whether not all of its text could be read.
    is_broken: bool,
    inspected: Inspected,
}

impl Inspection<'_> {
    fn read(&mut self, source: &Source) {
        let bytes = source.bytes();
        if bytes.starts_with(GZIP) {
            return self.archive(bytes.clone());
        }
        let (trees, errors) = margo_syntax::recover(bytes, source.format(), &self.options.limits);
        for error in &errors {
            text::unreadable(source, self.index, error, &mut self.inspected.found);
        }
        if trees.is_empty() && errors.is_empty() {
            return text::empty(self.index, &mut self.inspected.found);
        }
        self.is_broken = !errors.is_empty();
        let alone = (trees.len() == 1 && !self.is_broken).then(|| bytes.clone());
        let mut is_wrong = self.is_broken;
        for (index, tree) in trees.into_iter().enumerate() {
            let before = self.inspected.found.len();
            let is_full = before >= MOST;
            if is_full && is_wrong {
                return text::too_much(self.index, &tree, &mut self.inspected.found);
            }
            self.document(index, tree, alone.clone());
            let found = &mut self.inspected.found;
            is_wrong |= found[before..].iter().any(|found| found.severity == Severity::Error);
            if is_full {
                let mut errors = found.split_off(before);
                errors.retain(|found| found.severity == Severity::Error);
                found.append(&mut errors);
            }
        }
    }

    fn archive(&mut self, bytes: Bytes) {
        let span = 0..bytes.len();
        let (kind, revision) = (DocumentKind::Bundle, self.options.revision.unwrap_or(SpecVersion::LATEST));
        let (source, index) = (self.index, 0);
        self.inspected.documents.push(FoundDocument {
            source,
            index,
            kind: Some(kind),
            revision: None,
            detection: margo_core::Detection::none(),
            span,
        });
        let written = Written { source, index, kind, revision, tree: None, value: None, bytes: Some(bytes) };
        self.inspected.written.push(written);
    }

    fn document(&mut self, index: usize, tree: Tree, bytes: Option<Bytes>) {
        let source = self.index;
        let value = tree.to_value();
        let detected = detect::detect(&value, self.options.kind);
        let mut document = FoundDocument {
            source,
            index,
            kind: None,
            revision: None,
            detection: margo_core::Detection::none(),
            span: tree.root().span(),
        };
        let mut found = Vec::new();
        let here = [Place { source, document: index, tree: Some(&tree) }];
        text::ambiguous(&tree, &mut Reporter::new(&text::AMBIGUOUS_SCALAR, &here, &mut found));
        let Some((kind, detection)) = detected else {
            // What is broken need not be recognized.
            if !self.is_broken {
                text::unrecognized(
                    &tree,
                    &mut Reporter::new(&text::UNRECOGNIZED_DOCUMENT, &here, &mut found),
                );
            }
            self.inspected.documents.push(document);
            self.inspected.found.append(&mut found);
            return;
        };
        let revision = self.revision(&detection, kind, &tree);
        (document.kind, document.revision, document.detection) = (Some(kind), Some(revision), detection);
        self.inspected.documents.push(document);

        let mut written = Written { source, index, kind, revision, tree: Some(tree), value: None, bytes };
        written.value = self.meaning(&written, value, &mut found);
        for found in &mut found {
            found.clause = shape::clause(found.rule, kind, revision);
        }
        self.inspected.found.append(&mut found);
        self.inspected.written.push(written);
    }

    /// Shape and meaning of a document whose kind and revision are known.
    fn meaning(
        &self,
        written: &Written,
        value: serde_json::Value,
        found: &mut Vec<Diagnostic>,
    ) -> Option<Value> {
        let Written { source, index, kind, revision, .. } = *written;
        let tree = written.tree.as_ref()?;
        let place = [Place { source, document: index, tree: Some(tree) }];
        let before = found.len();
        let deviations = deviations(&value, kind, revision);
        let is_sound = self.shape(tree, &place, kind, revision, &deviations, found);
        let is_lenient = self.options.strictness == Strictness::Lenient;
        if !is_sound && !is_lenient {
            return None;
        }
        let value = match Value::read(tree, value, kind, revision) {
            Ok(value) => value,
            Err(fault) => {
                report_refusal(&fault, tree, &place, found);
                run(rules::of(kind), written, &place, found);
                return None;
            }
        };
        if is_sound {
            for fault in value.check() {
                report_fault(&fault, tree, &place, found);
            }
        }
        if is_lenient {
            // A reader takes it: what is said against its shape is advice.
            for diagnostic in &mut found[before..] {
                diagnostic.severity = Severity::Warning;
            }
        }
        if is_sound {
            for fault in value.contradictions() {
                report_fault(&fault, tree, &place, found);
            }
            run(rules::of(kind), written, &place, found);
        }
        self.vendor(&value, &place, found);
        Some(value)
    }

    /// The revision to check by: the one asked for, the only one it may be, or the likeliest of those it fits.
    fn revision(&self, detection: &margo_core::Detection, kind: DocumentKind, tree: &Tree) -> SpecVersion {
        let likeliest = detection.likeliest().unwrap_or(SpecVersion::LATEST);
        if let Some(revision) = self.options.revision {
            return revision;
        }
        if !detection.is_ambiguous() {
            return likeliest;
        }
        let fits = |revision: &SpecVersion| {
            schema(kind, *revision).is_some_and(|schema| look(schema, tree).is_empty())
        };
        detection.revisions().find(fits).unwrap_or(likeliest)
    }

    /// What the schema finds, and what was understood all the same; whether a reader can ask what it means.
    fn shape(
        &self,
        tree: &Tree,
        place: &[Place<'_>],
        kind: DocumentKind,
        revision: SpecVersion,
        deviations: &[Deviation],
        found: &mut Vec<Diagnostic>,
    ) -> bool {
        let strictness = self.options.strictness;
        let Some(schema) = schema(kind, revision) else {
            let message = format!("there is no `{kind}` in {revision}");
            let finding = crate::Finding::new(margo_syntax::Pointer::root(), message);
            let help = "check it by another revision, with `--revision`";
            Reporter::new(&text::UNRECOGNIZED_DOCUMENT, place, found).report(finding.help(help));
            return false;
        };
        let flaws = look(schema, tree);
        let mut explained = vec![false; flaws.len()];
        for deviation in deviations {
            let mut words = None;
            let mut is_overtaken = false;
            for (index, flaw) in flaws.iter().enumerate() {
                let (missing, is_unknown) = match flaw.what {
                    What::Missing(_, name) => (Some(name), false),
                    What::Unknown(_) | What::Misspelled(_) => (None, true),
                    _ => (None, false),
                };
                is_overtaken |= deviation::is_overtaken(deviation, &flaw.at, missing);
                if deviation::covers(deviation, &flaw.at, missing, is_unknown) {
                    explained[index] = true;
                    words.get_or_insert(index);
                }
            }
            if is_overtaken {
                continue;
            }
            let Some(rule) = deviation::rule(deviation, strictness) else { continue };
            let finding = match words.filter(|_| !deviation::tells_more(deviation)) {
                Some(index) => shape::describe(&flaws[index], kind, tree.format()).1,
                None => deviation::describe(deviation, tree),
            };
            let before = found.len();
            Reporter::new(rule, place, found).report(finding.interpretation(deviation.contradiction));
            let is_refused = deviation.level.is_refused(strictness);
            for diagnostic in &mut found[before..] {
                diagnostic.severity = if is_refused { Severity::Error } else { Severity::Warning };
            }
        }
        let mut is_sound = true;
        for (flaw, explained) in flaws.iter().zip(explained) {
            if explained {
                continue;
            }
            let (rule, finding) = shape::describe(flaw, kind, tree.format());
            is_sound &= finding.is_advice();
            Reporter::new(rule, place, found).report(finding);
        }
        is_sound
    }

    fn vendor(&self, value: &Value, place: &[Place<'_>], found: &mut Vec<Diagnostic>) {
        let rules = &self.options.rules;
        match value {
            Value::ApplicationDeployment(value) => run(&rules.deployment, &**value, place, found),
            Value::ApplicationDescription(value) => run(&rules.description, &**value, place, found),
            Value::DesiredStateManifest(value) => run(&rules.manifest, &**value, place, found),
            Value::DeploymentStatus(value) => run(&rules.status, &**value, place, found),
            Value::DeviceCapabilities(value) => run(&rules.capabilities, &**value, place, found),
        }
    }
}

/// Runs rules over a value.
pub(crate) fn run<T: ?Sized>(rules: &[Rule<T>], value: &T, place: &[Place<'_>], found: &mut Vec<Diagnostic>) {
    for rule in rules {
        (rule.check)(value, &mut Reporter::new(rule.info, place, found));
    }
}

/// Why a model crate does not read a document at all. What was taken for an understood deviation there is none.
fn report_refusal(
    fault: &margo_syntax::Fault,
    tree: &Tree,
    place: &[Place<'_>],
    found: &mut Vec<Diagnostic>,
) {
    let (rule, _) = meaning::describe(fault, tree);
    let is_here = |known: &&mut Diagnostic| known.primary.pointer == *fault.pointer();
    let mut is_known = false;
    for known in found.iter_mut().filter(is_here) {
        is_known = true;
        if known.severity == Severity::Warning {
            let was_understood = [&shape::QUOTED_VALUE, &shape::MISNAMED_FIELD];
            if was_understood.iter().any(|understood| std::ptr::eq(*understood, known.rule)) {
                (known.rule, known.clause) = (rule, rule.clause);
            }
            (known.severity, known.interpretation) = (Severity::Error, None);
        }
    }
    if !is_known {
        report_fault(fault, tree, place, found);
    }
}

/// What a model crate says, unless its place was spoken of already.
fn report_fault(fault: &margo_syntax::Fault, tree: &Tree, place: &[Place<'_>], found: &mut Vec<Diagnostic>) {
    let (rule, finding) = meaning::describe(fault, tree);
    let is_known = |known: &Diagnostic| {
        let same_rule = std::ptr::eq(known.rule, rule);
        let is_here = known.primary.pointer == *fault.pointer();
        (is_here && known.interpretation.is_some())
            || (same_rule && known.primary.pointer.starts_with(fault.pointer()))
    };
    if !found.iter().any(is_known) {
        Reporter::new(rule, place, found).report(finding);
    }
}

/// How a file compressed with gzip begins.
const GZIP: &[u8] = &[0x1f, 0x8b];
