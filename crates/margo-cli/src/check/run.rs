//! Looking at groups of files on several threads, in order, and within bounds.

use std::num::NonZero;
use std::sync::mpsc;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use margo_syntax::Format;
use margo_validate::{Inspected, Report, Source};

use super::plan::Group;
use crate::files::Problem;

/// The most bytes of files that are read at the same time. A file takes up to 25 times its size while it is looked
/// at, so that large files are looked at one after the other.
const MOST_AT_ONCE: u64 = 4 << 20;

/// The most bytes of files that were looked at and wait for those before them.
const MOST_AHEAD: u64 = 4 << 20;

/// A group that was looked at.
pub(crate) struct Looked<'a> {
    pub(crate) group: &'a Group,
    /// As many as the group has files; empty where a file could not be read.
    pub(crate) sources: Vec<Source>,
    pub(crate) report: Report,
    pub(crate) problems: Vec<Problem>,
}

/// Looks at `groups` on all processors, and hands over each to `done`, in their order.
pub(crate) fn run(groups: &[Group], mut done: impl FnMut(Looked<'_>)) {
    let jobs: Vec<Job> = jobs(groups);
    let threads = thread::available_parallelism().map_or(1, NonZero::get).min(jobs.len());
    let queue = Queue { jobs: &jobs, state: Mutex::default(), changed: Condvar::new() };
    thread::scope(|scope| {
        let (sender, receiver) = mpsc::channel();
        for _ in 0..threads {
            let sender = sender.clone();
            let queue = &queue;
            scope.spawn(move || {
                while let Some(job) = queue.take() {
                    let result = look(&groups[job.group], job.index);
                    queue.release(job);
                    if sender.send((job, result)).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        let mut waiting: Vec<Vec<Option<Seen>>> =
            groups.iter().map(|group| group.files.iter().map(|_| None).collect()).collect();
        let mut front = 0;
        for (job, seen) in receiver {
            waiting[job.group][job.index] = Some(seen);
            while waiting.get(front).is_some_and(|group| group.iter().all(Option::is_some)) {
                let seen = std::mem::take(&mut waiting[front]);
                done(conclude(&groups[front], seen.into_iter().flatten()));
                front += 1;
                queue.advance(front);
            }
        }
    });
}

type Seen = Result<(Source, Inspected), Problem>;

fn jobs(groups: &[Group]) -> Vec<Job> {
    let of_group = |(group, files): (usize, &Group)| {
        let sizes = files.files.iter().map(|file| file.size).enumerate();
        sizes.map(|(index, size)| Job { group, index, size }).collect::<Vec<_>>()
    };
    groups.iter().enumerate().flat_map(of_group).collect()
}

fn look(group: &Group, index: usize) -> Seen {
    let file = &group.files[index];
    let limit = group.checker.options().limits.max_bytes as u64;
    let bytes = file.read(limit)?;
    let is_json = file.path.is_none() && bytes.trim_ascii_start().starts_with(b"{");
    let mut source = Source::new(file.name.clone(), bytes);
    if is_json {
        source = source.with_format(Format::Json);
    }
    let inspected = group.checker.inspect(&source, index);
    Ok((source, inspected))
}

fn conclude(group: &Group, seen: impl Iterator<Item = Seen>) -> Looked<'_> {
    let (mut sources, mut inspected, mut problems) = (Vec::new(), Vec::new(), Vec::new());
    for seen in seen {
        match seen {
            Ok((source, by_itself)) => {
                sources.push(source);
                inspected.push(by_itself);
            }
            Err(problem) => {
                sources.push(Source::new(problem.name.clone(), ""));
                problems.push(problem);
            }
        }
    }
    Looked { group, sources, report: group.checker.conclude(inspected), problems }
}

#[derive(Clone, Copy)]
struct Job {
    group: usize,
    index: usize,
    size: u64,
}

/// Hands out jobs in order, and not too many bytes at a time.
struct Queue<'a> {
    jobs: &'a [Job],
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    next: usize,
    /// The first group that is not concluded.
    front: usize,
    /// The first job of it.
    first: usize,
    /// The bytes that are being looked at.
    at_once: u64,
    /// The bytes of groups that are not concluded.
    ahead: u64,
}

impl Queue<'_> {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self) -> Option<Job> {
        let mut state = self.lock();
        loop {
            let job = *self.jobs.get(state.next)?;
            let is_next = job.group == state.front || state.ahead + job.size <= MOST_AHEAD;
            if state.at_once == 0 || (is_next && state.at_once + job.size <= MOST_AT_ONCE) {
                state.next += 1;
                state.at_once += job.size;
                state.ahead += job.size;
                return Some(job);
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn release(&self, job: Job) {
        self.lock().at_once -= job.size;
        self.changed.notify_all();
    }

    fn advance(&self, front: usize) {
        let mut state = self.lock();
        while let Some(job) = self.jobs.get(state.first).filter(|job| job.group < front) {
            state.ahead -= job.size;
            state.first += 1;
        }
        state.front = front;
        drop(state);
        self.changed.notify_all();
    }
}
