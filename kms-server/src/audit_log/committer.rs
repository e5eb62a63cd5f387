//! The one thread that writes. Takes all that waits, stamps sequence numbers, writes once, syncs once,
//! tells everybody. After a failed write or sync the segment is left behind as it is and a new one begun:
//! what a kernel did not sync once it may forget, so a second attempt would prove nothing.

use super::frame;
use super::local::Outcomes;
use super::queue::{GONE, Job, Reply};
use super::recovery::{Active, Opened};
use super::segment::{HEADER_LEN, Header, LEN_MAX, LEN_MIN, Prepared};
use super::segments::Mark;
use super::usage::UsageMark;
use super::{Appended, AuditUnavailable, Counters, Shared, Space, lock};
use kms_core::audit::leaf::stamp_sequence;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::thread::JoinHandle;

pub(super) fn start(
    shared: Arc<Shared>,
    active: Active,
    opened: &Opened,
) -> io::Result<JoinHandle<()>> {
    let committer = Committer {
        number: active.number,
        active: Some(active),
        spare: None,
        next_sequence: opened.next_sequence,
        group: Group::default(),
        answers: Vec::new(),
        shared,
    };
    std::thread::Builder::new()
        .name("audit-committer".to_owned())
        .spawn(move || committer.run())
}

/// Submissions that are written together.
#[derive(Default)]
struct Group {
    bytes: Vec<u8>,
    /// Who waits, and the first sequence they get.
    replies: Vec<(Reply, u64)>,
    usage: Vec<UsageMark>,
    marks: Vec<Mark>,
    leaves: usize,
}

impl Group {
    fn clear(&mut self) {
        self.bytes.clear();
        self.replies.clear();
        self.usage.clear();
        self.marks.clear();
        self.leaves = 0;
    }
}

struct Committer {
    shared: Arc<Shared>,
    /// `None` after a failure, until a new segment could be begun.
    active: Option<Active>,
    /// The next segment, being zero-filled.
    spare: Option<JoinHandle<io::Result<Prepared>>>,
    /// Number of the newest segment.
    number: u64,
    next_sequence: u64,
    group: Group,
    /// Outcomes not yet sent, by lane.
    answers: Vec<Outcomes>,
}

impl Drop for Committer {
    /// Also when it panics: nobody may wait for ever.
    fn drop(&mut self) {
        let waiting = self.shared.queue.abandon();
        for job in waiting {
            self.tell(job.reply, GONE);
        }
        for (reply, _) in std::mem::take(&mut self.group.replies) {
            self.tell(reply, GONE);
        }
        self.send_answers();
        lock(&self.shared.lanes).clear();
        if let Some(spare) = self.spare.take() {
            // its file goes with it
            drop(spare.join());
        }
    }
}

impl Committer {
    fn run(mut self) {
        let mut jobs = Vec::new();
        while self.shared.queue.take(&mut jobs) {
            self.commit(&mut jobs);
        }
    }

    fn commit(&mut self, jobs: &mut Vec<Job>) {
        let scarce = self.shared.is_scarce();
        for job in jobs.drain(..) {
            if scarce && job.submission.space == Space::Data {
                self.refuse(job.reply);
            } else {
                self.admit(job);
            }
        }
        self.flush();
        self.send_answers();
        self.prepare_ahead();
    }

    /// Adds a submission to the group; flushes first when the segment has no room for both.
    fn admit(&mut self, job: Job) {
        let Job { submission, reply } = job;
        let Some(len) = frame::framed_len(&submission.leaves) else {
            return self.refuse(reply);
        };
        if !self.has_room(len) {
            self.flush();
            if !self.has_room(len) && self.begin_segment(len).is_err() {
                Counters::add(&self.shared.counters.failures, 1);
                return self.tell(reply, Err(AuditUnavailable));
            }
        }
        let Some(active) = &self.active else {
            return self.tell(reply, Err(AuditUnavailable));
        };
        let first = self.next_sequence;
        let mut leaves = submission.leaves;
        for leaf in &mut leaves {
            stamp_sequence(leaf, self.next_sequence);
            self.next_sequence += 1;
        }
        self.group.marks.push(Mark {
            sequence: first,
            offset: active.offset + self.group.bytes.len() as u64,
        });
        // segments end below 2^32
        let start = u32::try_from(active.offset).unwrap_or(u32::MAX);
        frame::write(&leaves, start, &mut self.group.bytes);
        self.group.leaves += leaves.len();
        self.group.replies.push((reply, first));
        self.group.usage.extend(submission.usage);
    }

    fn has_room(&self, len: usize) -> bool {
        self.active.as_ref().is_some_and(|active| {
            active.offset + (self.group.bytes.len() + len) as u64 <= active.len
        })
    }

    /// One write, one sync, everybody told.
    fn flush(&mut self) {
        if self.group.replies.is_empty() {
            return;
        }
        match self.write() {
            Ok(end) => self.acknowledge(end),
            Err(_) => self.give_up(),
        }
        self.group.clear();
    }

    fn write(&mut self) -> io::Result<u64> {
        let Some(active) = &mut self.active else {
            return Err(io::ErrorKind::NotFound.into());
        };
        active.file.write_all_at(&self.group.bytes, active.offset)?;
        active.file.sync_data()?;
        active.offset += self.group.bytes.len() as u64;
        Ok(active.offset)
    }

    fn acknowledge(&mut self, end: u64) {
        let shared = Arc::clone(&self.shared);
        let counters = &shared.counters;
        Counters::add(&counters.groups, 1);
        Counters::add(&counters.syncs, 1);
        Counters::add(&counters.submissions, self.group.replies.len());
        Counters::add(&counters.entries, self.group.leaves);
        Counters::add(&counters.bytes, self.group.bytes.len());
        {
            // under one lock, so that counts and length never tell different stories
            let mut usage = lock(&shared.usage);
            usage.count(&self.group.usage, self.next_sequence);
            shared
                .segments
                .advance(&self.group.marks, end, self.next_sequence);
        }
        for (reply, first) in std::mem::take(&mut self.group.replies) {
            self.tell(reply, Ok(first));
        }
        shared.desk.note(self.next_sequence);
        shared.index.note(self.next_sequence);
    }

    /// The group is lost: its numbers are given again, to a new segment whose first number says that what
    /// may stand in the old one from there on does not count.
    fn give_up(&mut self) {
        Counters::add(&self.shared.counters.failures, 1);
        self.active = None;
        let replies = std::mem::take(&mut self.group.replies);
        if let Some((_, first)) = replies.first() {
            self.next_sequence = *first;
        }
        for (reply, _) in replies {
            self.tell(reply, Err(AuditUnavailable));
        }
    }

    fn refuse(&mut self, reply: Reply) {
        Counters::add(&self.shared.counters.refused, 1);
        self.tell(reply, Err(AuditUnavailable));
    }

    fn tell(&mut self, reply: Reply, appended: Appended) {
        let Some((lane, slot)) = reply.send(appended) else {
            return;
        };
        if self.answers.len() <= lane {
            self.answers.resize_with(lane + 1, Vec::new);
        }
        if let Some(outcomes) = self.answers.get_mut(lane) {
            outcomes.push((slot, appended));
        }
    }

    /// One message for each runtime that has a call in the group.
    fn send_answers(&mut self) {
        let lanes = lock(&self.shared.lanes);
        for (lane, outcomes) in lanes.iter().zip(&mut self.answers) {
            if !outcomes.is_empty() {
                // counted first: who is woken may look at the figures
                Counters::add(&self.shared.counters.wake_ups, 1);
                lane.send(std::mem::take(outcomes));
            }
        }
    }

    /// Begins the next segment, with room for a frame of `needed` bytes.
    fn begin_segment(&mut self, needed: usize) -> io::Result<()> {
        self.active = None;
        let number = self.number + 1;
        let prepared = self.prepared(number, HEADER_LEN + needed as u64)?;
        let header = Header {
            number,
            first_sequence: self.next_sequence,
            created_at: self.shared.clock.now(),
            origin: self.shared.origin.clone(),
        };
        // a half-made segment of this number must not be in the way of the next attempt
        self.number = number;
        let len = prepared.len();
        let (file, path) = prepared.install(&self.shared.dir, &header)?;
        self.shared.segments.begin(number, self.next_sequence, path);
        Counters::add(&self.shared.counters.segments, 1);
        self.active = Some(Active {
            file,
            number,
            offset: HEADER_LEN,
            len,
        });
        Ok(())
    }

    /// The spare one, if it is long enough; else a new one, shorter when the disk is nearly full.
    fn prepared(&mut self, number: u64, needed: u64) -> io::Result<Prepared> {
        if let Some(spare) = self.spare.take()
            && let Ok(Ok(prepared)) = spare.join()
            && prepared.len() >= needed
        {
            return Ok(prepared);
        }
        let whole = self.shared.options.segment_bytes;
        let mut made = Err(io::ErrorKind::StorageFull.into());
        for len in [whole, whole / 8, LEN_MIN] {
            let len = len.max(needed).clamp(LEN_MIN, LEN_MAX);
            made = Prepared::make(&self.shared.dir, number, len);
            if made.is_ok() {
                break;
            }
        }
        made
    }

    /// Starts to zero-fill the next segment once this one is half full.
    fn prepare_ahead(&mut self) {
        let Some(active) = &self.active else { return };
        if self.spare.is_some() || active.offset < active.len / 2 {
            return;
        }
        let dir = self.shared.dir.clone();
        let (number, len) = (self.number + 1, self.shared.options.segment_bytes);
        self.spare = std::thread::Builder::new()
            .name("audit-prepare".to_owned())
            .spawn(move || Prepared::make(&dir, number, len))
            .ok();
    }
}
