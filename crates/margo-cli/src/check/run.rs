//! Looking at groups of files on several threads, in order, and within bounds.

use std::collections::BTreeMap;
use std::num::NonZero;
use std::sync::mpsc;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::{mem, thread};

use margo_syntax::Format;
use margo_validate::{Budget, Inspected, Report, Source};

use super::plan::Group;
use crate::files::Problem;

/// The most bytes of files that are read at the same time. A file takes up to 25 times its size while it is looked
/// at, so that large files are looked at one after the other.
const MOST_AT_ONCE: u64 = 4 << 20;

/// The most bytes of files that were looked at and wait for those before them.
const MOST_AHEAD: u64 = 4 << 20;

/// The most that is held of files that wait for those of their group, and of groups that wait for those before them; see
/// [`Inspected::weight`].
const MOST_HELD: usize = 1_200_000;

/// Files that are larger are looked at by one of the threads: each keeps the memory that it ever took.
const LARGE: u64 = 512 << 10;

/// What a file costs besides its bytes: a name, a tree, a report.
pub(super) const FILE: u64 = 512;

/// A group that was looked at.
pub(crate) struct Looked<'a> {
    pub(crate) group: &'a Group,
    /// As many as the group has files; empty where a file could not be read.
    pub(crate) sources: Vec<Source>,
    pub(crate) report: Report,
    pub(crate) problems: Vec<Problem>,
    /// About how much was held until now; see [`Inspected::weight`].
    held: usize,
}

/// The most files that a thread is given at once, and the most bytes, unless one file alone has more: so much that
/// handing out costs little beside looking, and so little that no thread is left waiting for another at the end.
const MOST_GIVEN: usize = 32;
const MOST_BYTES_GIVEN: u64 = 64 << 10;

/// Looks at `groups` on all processors, and hands over each to `done`, in their order.
pub(crate) fn run(groups: &[Group], mut done: impl FnMut(Looked<'_>)) {
    let jobs: Vec<Job> = jobs(groups);
    let threads = thread::available_parallelism().map_or(1, NonZero::get).min(jobs.len());
    let waiting: Vec<Waiting<'_>> = groups.iter().map(Waiting::of).collect();
    if threads < 2 {
        for job in &jobs {
            if let (Some(looked), _) = waiting[job.group].add(job.index, look(&groups[job.group], job.index))
            {
                done(looked);
            }
        }
        return;
    }
    let queue = Queue { jobs: &jobs, threads, state: Mutex::default(), changed: Condvar::new() };
    thread::scope(|scope| {
        let (sender, receiver) = mpsc::channel();
        for thread in 0..threads {
            let sender = sender.clone();
            let (queue, waiting) = (&queue, &waiting);
            scope.spawn(move || {
                while let Some(given) = queue.take(thread) {
                    let (mut all, mut held) = (Vec::new(), 0);
                    for job in given {
                        let seen = look(&groups[job.group], job.index);
                        let (looked, more) = waiting[job.group].add(job.index, seen);
                        all.extend(looked.map(|looked| (job.group, looked)));
                        held += more;
                    }
                    queue.release(given, held);
                    if !all.is_empty() && sender.send(all).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        let (mut early, mut front) = (BTreeMap::new(), 0);
        for looked in receiver {
            early.extend(looked);
            let mut held = 0;
            while let Some(looked) = early.remove(&front) {
                held += looked.held;
                done(looked);
                front += 1;
            }
            queue.advance(front, held);
        }
    });
}

type Seen = Result<(Source, Inspected), Problem>;

/// A group of which not all files were looked at.
struct Waiting<'a> {
    group: &'a Group,
    state: Mutex<Progress>,
}

#[derive(Default)]
struct Progress {
    /// As many as there are files, once there is one.
    seen: Vec<Option<Seen>>,
    /// How many there are.
    count: usize,
    /// The first file that is missing.
    first: usize,
    /// What was admitted before it, and about how much that is.
    budget: Budget,
    held: usize,
}

impl<'a> Waiting<'a> {
    fn of(group: &'a Group) -> Self {
        Self { group, state: Mutex::default() }
    }

    /// Adds a file, and concludes the group if it was the last one. The second result is by how much more is held.
    fn add(&self, index: usize, seen: Seen) -> (Option<Looked<'a>>, isize) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let Progress { seen: all, count, first, budget, held } = &mut *state;
        let mut more = weight(&seen).cast_signed();
        all.resize_with(self.group.files.len(), || None);
        all[index] = Some(seen);
        *count += 1;
        // In the order of the files, whatever the order in which they were looked at.
        while let Some(Some(seen)) = all.get_mut(*first) {
            more -= weight(seen).cast_signed();
            if let Ok((_, inspected)) = seen {
                budget.admit(inspected);
            }
            more += weight(seen).cast_signed();
            *held += weight(seen);
            *first += 1;
        }
        if *count < all.len() {
            return (None, more);
        }
        let (seen, held) = (mem::take(all), *held);
        drop(state);
        (Some(conclude(self.group, seen.into_iter().flatten(), held)), more)
    }
}

fn weight(seen: &Seen) -> usize {
    seen.as_ref().map_or(0, |(_, inspected)| inspected.weight())
}

fn jobs(groups: &[Group]) -> Vec<Job> {
    let of_group = |(group, files): (usize, &Group)| {
        let sizes = files.files.iter().map(|file| file.size).enumerate();
        let job = |(index, size)| Job { group, index, size: size + FILE };
        sizes.map(job).collect::<Vec<_>>()
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

fn conclude(group: &Group, seen: impl Iterator<Item = Seen>, held: usize) -> Looked<'_> {
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
    Looked { group, sources, report: group.checker.conclude(inspected), problems, held }
}

#[derive(Clone, Copy)]
struct Job {
    group: usize,
    index: usize,
    /// The bytes of the file, and what it costs that it is a file.
    size: u64,
}

/// Hands out jobs in order, and not too many bytes at a time.
struct Queue<'a> {
    jobs: &'a [Job],
    threads: usize,
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
    /// About how much is held.
    held: isize,
    /// The threads that wait for a job.
    idle: usize,
}

impl State {
    /// Whether there is room for a job. Some job always finds room in the end: what is looked at is released, and the
    /// first group that is not concluded may hold as much as it must.
    fn fits(&self, job: &Job, thread: usize) -> bool {
        if job.size > LARGE && thread > 0 {
            return false;
        }
        let is_first = job.group == self.front;
        let is_near = is_first || self.ahead + job.size <= MOST_AHEAD;
        let is_light = self.at_once + job.size <= MOST_AT_ONCE && self.held <= MOST_HELD.cast_signed();
        is_near && (is_light || (is_first && self.at_once == 0))
    }
}

impl<'a> Queue<'a> {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next jobs for a thread; none if there are no more.
    fn take(&self, thread: usize) -> Option<&'a [Job]> {
        let mut state = self.lock();
        while !state.fits(self.jobs.get(state.next)?, thread) {
            state.idle += 1;
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.idle -= 1;
        }
        let start = state.next;
        let most = ((self.jobs.len() - start) / (2 * self.threads)).clamp(1, MOST_GIVEN);
        let mut bytes = 0;
        for job in &self.jobs[start..start + most] {
            bytes += job.size;
            if state.next > start && (bytes > MOST_BYTES_GIVEN || !state.fits(job, thread)) {
                break;
            }
            state.next += 1;
            state.at_once += job.size;
            state.ahead += job.size;
        }
        // Who waited because the next file was large need not any longer.
        self.wake(&state);
        Some(&self.jobs[start..state.next])
    }

    fn release(&self, given: &[Job], more: isize) {
        let mut state = self.lock();
        state.held += more;
        state.at_once -= given.iter().map(|job| job.size).sum::<u64>();
        self.wake(&state);
    }

    /// The groups before `front` are concluded and done with, and what they held.
    fn advance(&self, front: usize, held: usize) {
        let mut state = self.lock();
        state.held -= held.cast_signed();
        while let Some(job) = self.jobs.get(state.first).filter(|job| job.group < front) {
            state.ahead -= job.size;
            state.first += 1;
        }
        state.front = front;
        self.wake(&state);
    }

    fn wake(&self, state: &State) {
        if state.idle > 0 {
            self.changed.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue(jobs: &[Job], threads: usize) -> Queue<'_> {
        Queue { jobs, threads, state: Mutex::default(), changed: Condvar::new() }
    }

    fn jobs(sizes: &[u64]) -> Vec<Job> {
        sizes.iter().enumerate().map(|(group, &size)| Job { group, index: 0, size }).collect()
    }

    #[test]
    fn files_are_handed_out_in_order_and_fewer_at_the_end() {
        let jobs = jobs(&[1000; 100]);
        let queue = queue(&jobs, 2);
        let mut counts = Vec::new();
        while let Some(given) = queue.take(counts.len() % 2) {
            assert_eq!(given[0].group, counts.iter().sum::<usize>());
            counts.push(given.len());
            queue.release(given, 0);
        }
        assert_eq!(counts.iter().sum::<usize>(), 100);
        assert_eq!((counts.first(), counts.last()), (Some(&25), Some(&1)));
        assert!(counts.is_sorted_by(|a, b| a >= b), "{counts:?}");
    }

    #[test]
    fn what_is_large_is_for_one_thread_and_what_is_far_ahead_waits() {
        let jobs = jobs(&[LARGE + 1, 1000, MOST_AHEAD - LARGE, 1000]);
        let queue = queue(&jobs, 2);
        let fits = |thread: usize| {
            let state = queue.lock();
            state.fits(&jobs[state.next], thread)
        };
        assert!(!fits(1));
        let first = queue.take(0).unwrap();
        assert_eq!((first.len(), fits(1)), (1, true));
        let second = queue.take(1).unwrap();
        queue.release(first, 0);
        queue.release(second, 0);
        assert!(!fits(0), "two groups wait for the first to be concluded");
        queue.advance(2, 0);
        assert!(fits(0));
    }

    #[test]
    fn what_is_held_keeps_others_from_being_read_but_never_the_first() {
        let jobs = jobs(&[1000; 8]);
        let queue = queue(&jobs, 2);
        let given = queue.take(0).unwrap();
        queue.release(given, MOST_HELD.cast_signed() + 1);
        let fits = || queue.lock().fits(&jobs[given.len()], 0);
        assert!(!fits());
        queue.advance(given.len(), 0);
        assert!(fits(), "nobody else can make room");
        queue.advance(given.len(), MOST_HELD + 1);
        assert!(fits());
    }
}
