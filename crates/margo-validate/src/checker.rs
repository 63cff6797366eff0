use std::collections::BTreeSet;

use bytes::Bytes;
use margo_core::{Deviation, Document, SpecVersion, Strictness};
use margo_syntax::{Node, Pointer, Tree, pointer};

use crate::document::{Value, Written, detect, deviations};
use crate::report::FoundDocument;
use crate::reporter::{MOST, Place};
use crate::rules::{deviation, meaning, relations, shape, text};
use crate::schema::compile::{Schema, schema};
use crate::schema::look::{Flaw, What, look};
use crate::schema::mend::mend;
use crate::{
    Checked, Diagnostic, DocumentKind, Label, Options, Report, Reporter, Rule, RuleInfo, Severity, Source,
    Subject, docs, rules,
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
        let mut budget = Budget::default();
        let inspect = |(index, source)| {
            let mut inspected = self.inspect(source, index);
            budget.admit(&mut inspected);
            inspected
        };
        let inspected = sources.iter().enumerate().map(inspect).collect();
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
            repeated: BTreeSet::new(),
            doubtful: Vec::new(),
            inspected: Inspected {
                index,
                source: source.clone(),
                found: Vec::new(),
                left_out: 0,
                is_alone: false,
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
        for inspected in &inspected {
            let known = || docs::rules().iter().map(|rule| rule.name).chain(self.options.rules.names());
            allow::apply(inspected, known, &mut found, &mut allowed);
        }
        self.options.settle(&mut found);
        forget_repetitions(&mut found);
        let left_out = inspected.iter().map(|inspected| (inspected.index, inspected.left_out));
        let left_out = left_out.filter(|(_, count)| *count > 0).collect();
        let first_alone = inspected.iter().find(|inspected| inspected.is_alone);
        let first_alone = first_alone.map(|inspected| inspected.index);
        Report::new(found, allowed, documents).without(left_out, first_alone)
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
    /// How many findings were not kept.
    pub(crate) left_out: usize,
    /// Whether it is compared with no other.
    is_alone: bool,
    pub(crate) documents: Vec<FoundDocument>,
    pub(crate) written: Vec<Written>,
}

impl Inspected {
    /// About how much it holds: the values of its documents, as [`Limits::max_nodes`](margo_syntax::Limits::max_nodes)
    /// counts them, and its findings, each of which takes as much as eight.
    #[must_use]
    pub fn weight(&self) -> usize {
        self.cost() + 8 * self.found.len()
    }

    fn cost(&self) -> usize {
        self.written.iter().filter_map(|written| Some(written.tree.as_ref()?.cost())).sum()
    }

    fn keep_gravest(&mut self) {
        let gravest = self.found.iter().map(|found| found.severity).max();
        if let Some(at) = self.found.iter().position(|found| Some(found.severity) == gravest) {
            self.left_out += self.found.len() - 1;
            self.found = vec![self.found.swap_remove(at)];
        }
    }
}

/// What sources that are checked together may hold, so that no number of them exhausts the memory.
///
/// Each is asked for in the order of the sources, before [`Checker::conclude`]. [`Checker::check`] does so itself.
///
/// ```
/// use margo_validate::{Budget, Checker, Source};
///
/// let sources = [Source::new("a.yaml", "a: 1\n"), Source::new("b.yaml", "a: 1\n")];
/// let (checker, mut budget) = (Checker::default(), Budget::default());
/// let mut inspected: Vec<_> =
///     sources.iter().enumerate().map(|(index, source)| checker.inspect(source, index)).collect();
/// inspected.iter_mut().for_each(|inspected| budget.admit(inspected));
/// let report = checker.conclude(inspected);
/// assert_eq!((report.errors(), report.left_out(0), report.first_alone()), (2, 0, None));
/// ```
#[derive(Clone, Debug, Default)]
pub struct Budget {
    found: usize,
    cost: usize,
}

impl Budget {
    /// The most findings: behind them, each source keeps only its gravest.
    const FINDINGS: usize = 50_000;

    /// The most values in documents that are compared: those behind them are checked by themselves.
    const COMPARED: usize = 700_000;

    /// Takes the next source in, and from it what there is no room for.
    pub fn admit(&mut self, inspected: &mut Inspected) {
        if self.found >= Self::FINDINGS {
            inspected.keep_gravest();
        }
        if self.cost >= Self::COMPARED {
            inspected.is_alone = !inspected.written.is_empty();
            inspected.written = Vec::new();
        }
        self.found += inspected.found.len();
        self.cost += inspected.cost();
    }
}

/// One source on its way through read, shape and meaning.
struct Inspection<'a> {
    options: &'a Options,
    index: usize,
    /// Whether not all of its text could be read.
    is_broken: bool,
    /// Where in its text a key begins that is used again.
    repeated: BTreeSet<usize>,
    /// What those keys hold in the document that is looked at: one of several values, and nobody knows which is meant.
    doubtful: Vec<Pointer>,
    inspected: Inspected,
}

impl Inspection<'_> {
    fn read(&mut self, source: &Source) {
        let bytes = source.bytes();
        if bytes.starts_with(GZIP) {
            return self.archive(bytes.clone());
        }
        let (trees, errors) = margo_syntax::recover(bytes, source.format(), &self.options.limits);
        let is_merged = trees.len() == 1 && text::are_merged(&errors);
        for error in &errors {
            text::unreadable(source, self.index, error, is_merged, &mut self.inspected.found);
        }
        if is_merged {
            // What belongs to which of the two, nobody can tell.
            return;
        }
        if trees.is_empty() && errors.is_empty() {
            return text::empty(self.index, &mut self.inspected.found);
        }
        self.is_broken = !errors.is_empty();
        self.repeated = text::repeated(source, &errors);
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

        self.doubtful = Vec::new();
        if !self.repeated.is_empty() {
            let starts = |node: &Node<'_>| node.key().map(|key| key.span().start);
            let is_repeated =
                |node: &Node<'_>| starts(node).is_some_and(|start| self.repeated.contains(&start));
            self.doubtful =
                tree.nodes().filter(is_repeated).take(MANY + 1).map(|node| node.pointer()).collect();
            if self.doubtful.len() > MANY {
                self.doubtful = vec![Pointer::root()];
            }
        }
        let mut written = Written { source, index, kind, revision, tree: Some(tree), value: None, bytes };
        let mut told = Vec::new();
        written.value = self.meaning(&written, value, &mut told);
        if let Some(better) = self.better(&written, &told) {
            written.revision = better;
            if let Some(document) = self.inspected.documents.last_mut() {
                document.revision = Some(better);
            }
            told.clear();
            let value = written.tree.as_ref().map(Tree::to_value).unwrap_or_default();
            written.value = self.meaning(&written, value, &mut told);
        }
        let revision = written.revision;
        let mistyped =
            told.iter().filter(|told| !is(told, &shape::UNQUOTED_TEXT)).map(|told| &told.primary.pointer);
        let mistyped: BTreeSet<&str> = mistyped.map(Pointer::as_str).collect();
        // What must be a boolean need not be quoted too.
        found.retain(|found| !mistyped.contains(found.primary.pointer.as_str()));
        found.append(&mut told);
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
        let flaws = self.shape(tree, &place, kind, revision, &deviations, found)?;
        let is_sound = flaws.is_empty();
        let is_lenient = self.options.strictness == Strictness::Lenient;
        if !is_sound && !is_lenient {
            self.rest(written, value, &flaws, &place, found);
            return None;
        }
        let whole = (!is_sound).then(|| value.clone());
        let value = match Value::read(tree, value, kind, revision) {
            Ok(value) => value,
            Err(fault) => {
                report_refusal(&fault, schema(kind, revision), tree, &place, found);
                match whole {
                    Some(whole) => self.rest(written, whole, &flaws, &place, found),
                    None => self.run_certain(written, &place, found),
                }
                return None;
            }
        };
        if is_sound {
            for fault in value.check() {
                self.report_certain(&fault, schema(kind, revision), tree, &place, found);
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
                self.report_certain(&fault, schema(kind, revision), tree, &place, found);
            }
            self.run_certain(written, &place, found);
        }
        if let Some(whole) = whole {
            self.rest(written, whole, &flaws, &place, found);
        }
        self.vendor(&value, &place, found);
        Some(value)
    }

    /// What a document means apart from its flaws: every rule that looks at none of them.
    fn rest(
        &self,
        written: &Written,
        mut value: serde_json::Value,
        flaws: &[Flaw<'_>],
        place: &[Place<'_>],
        found: &mut Vec<Diagnostic>,
    ) {
        let Written { kind, revision, .. } = *written;
        let schema = schema(kind, revision).filter(|_| flaws.len() <= MANY);
        let mended = schema.and_then(|schema| mend(schema, &mut value, flaws));
        if let (Some(tree), Some(mended)) = (&written.tree, mended)
            && let Ok(value) = Value::read(tree, value, kind, revision)
        {
            let is_strict = self.options.strictness == Strictness::Strict;
            let faults = if is_strict { value.check() } else { Vec::new() };
            for fault in faults.into_iter().chain(value.contradictions()) {
                if !meaning::looks_at(&fault, tree, &mended) {
                    self.report_certain(&fault, schema, tree, place, found);
                }
            }
        }
        self.run_certain(written, place, found);
    }

    /// Reports a fault, unless it looks at something of which there are several.
    fn report_certain(
        &self,
        fault: &margo_syntax::Fault,
        schema: Option<&Schema>,
        tree: &Tree,
        place: &[Place<'_>],
        found: &mut Vec<Diagnostic>,
    ) {
        if self.doubtful.is_empty() || !meaning::looks_at(fault, tree, &self.doubtful) {
            report_fault(fault, schema, tree, place, found);
        }
    }

    /// Runs the rules that look at the text itself, unless there are several of what they look at.
    fn run_certain(&self, written: &Written, place: &[Place<'_>], found: &mut Vec<Diagnostic>) {
        let profile = pointer!["spec", "deploymentProfile"];
        if !self
            .doubtful
            .iter()
            .any(|doubtful| profile.starts_with(doubtful) || doubtful.starts_with(&profile))
        {
            run(rules::of(written.kind), written, place, found);
        }
    }

    /// A revision of which far less is wrong with a document: most of it was written for that one.
    fn better(&self, written: &Written, told: &[Diagnostic]) -> Option<SpecVersion> {
        let errors = told.iter().filter(|told| told.severity == Severity::Error).count();
        if self.options.revision.is_some() || errors < 3 {
            return None;
        }
        let tree = written.tree.as_ref()?;
        // What fields there are tells the revision; what stands in them does not.
        let is_about_fields =
            |flaw: &Flaw<'_>| matches!(flaw.what, What::Missing(..) | What::Unknown(_) | What::Elsewhere(_));
        let wrong = |revision| {
            let flaws = look(schema(written.kind, revision)?, tree);
            Some(flaws.iter().filter(|flaw| is_about_fields(flaw)).count())
        };
        let own = wrong(written.revision)?;
        let others = SpecVersion::ALL.into_iter().rev().filter(|revision| *revision != written.revision);
        let (least, revision) = others
            .filter_map(|revision| Some((wrong(revision)?, revision)))
            .min_by_key(|(wrong, _)| *wrong)?;
        (own > 3 && least * 2 < own).then_some(revision)
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

    /// What the schema finds, and what was understood all the same; gives the flaws that keep a reader from asking what
    /// it means. `None` if the revision has no such document.
    fn shape<'t>(
        &self,
        tree: &'t Tree,
        place: &[Place<'_>],
        kind: DocumentKind,
        revision: SpecVersion,
        deviations: &[Deviation],
        found: &mut Vec<Diagnostic>,
    ) -> Option<Vec<Flaw<'t>>> {
        let strictness = self.options.strictness;
        let Some(schema) = schema(kind, revision) else {
            let message = format!("there is no `{kind}` in {revision}");
            let finding = crate::Finding::new(Pointer::root(), message);
            let help = "check it by another revision, with `--revision`";
            Reporter::new(&text::UNRECOGNIZED_DOCUMENT, place, found).report(finding.help(help));
            return None;
        };
        let flaws = look(schema, tree);
        let words = shape::Words::new(schema, kind, revision, tree, &flaws);
        let mut explained = vec![false; flaws.len()];
        for deviation in deviations {
            let mut said = None;
            let mut is_overtaken = false;
            let mut is_misspelled = false;
            for (index, flaw) in flaws.iter().enumerate() {
                let (missing, is_unknown) = match flaw.what {
                    What::Missing(_, name) => (Some(name), false),
                    What::Unknown(_) | What::Misspelled(_) | What::Elsewhere(_) => (None, true),
                    _ => (None, false),
                };
                is_overtaken |= deviation::is_overtaken(deviation, &flaw.at, missing);
                if words.is_needed(&flaw.at) {
                    let name = flaw.at.last().unwrap_or_default();
                    is_misspelled |=
                        flaw.at.parent().is_some_and(|object| object.as_str() == deviation.pointer)
                            && deviation.message.contains(&format!("`{name}`"));
                    continue;
                }
                if deviation::covers(deviation, &flaw.at, missing, is_unknown) {
                    explained[index] = true;
                    if !matches!(flaw.what, What::Elsewhere(_)) {
                        said.get_or_insert(index);
                    }
                }
            }
            if is_overtaken || is_misspelled {
                continue;
            }
            let Some(rule) = deviation::rule(deviation, strictness) else { continue };
            let finding = match said.filter(|_| !deviation::tells_more(deviation)) {
                Some(index) => words.describe(&flaws[index]).1,
                None => deviation::describe(deviation, tree),
            };
            let before = found.len();
            Reporter::new(rule, place, found).report(finding.interpretation(deviation.contradiction));
            let is_refused = deviation.level.is_refused(strictness);
            for diagnostic in &mut found[before..] {
                diagnostic.severity = if is_refused { Severity::Error } else { Severity::Warning };
            }
        }
        let mut grave = Vec::new();
        for (flaw, explained) in flaws.into_iter().zip(explained) {
            if explained {
                continue;
            }
            let (rule, finding) = words.describe(&flaw);
            let is_grave = !finding.is_advice();
            if !words.is_told_elsewhere(&flaw) {
                Reporter::new(rule, place, found).report(finding);
            }
            if is_grave {
                grave.push(flaw);
            }
        }
        Some(grave)
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

fn is(found: &Diagnostic, rule: &'static RuleInfo) -> bool {
    std::ptr::eq(found.rule, rule)
}

/// Why a model crate does not read a document at all. What was taken for an understood deviation there is none.
fn report_refusal(
    fault: &margo_syntax::Fault,
    schema: Option<&Schema>,
    tree: &Tree,
    place: &[Place<'_>],
    found: &mut Vec<Diagnostic>,
) {
    let (rule, _) = meaning::describe(fault, schema, tree);
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
        report_fault(fault, schema, tree, place, found);
    }
}

/// What a model crate says, unless its place was spoken of already.
fn report_fault(
    fault: &margo_syntax::Fault,
    schema: Option<&Schema>,
    tree: &Tree,
    place: &[Place<'_>],
    found: &mut Vec<Diagnostic>,
) {
    let (rule, finding) = meaning::describe(fault, schema, tree);
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

/// Flaws beyond which a document is not asked what the rest of it means: nobody reads on.
const MANY: usize = 200;

/// How a file compressed with gzip begins.
const GZIP: &[u8] = &[0x1f, 0x8b];
