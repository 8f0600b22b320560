//! The order in which jobs get to the threads of the pool.
//!
//! A thread of the pool that waits for parallel parts of its job runs other work from the pool's own queue meanwhile, on the
//! stack of the job that waits. With a thousand jobs in that queue the stack would overflow, which ends the process. So the
//! pool is given no more jobs than it has threads, and the others wait here.

use std::{
    cell::Cell,
    collections::VecDeque,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use rayon::ThreadPool;

type Job = Box<dyn FnOnce() + Send>;

thread_local! {
    /// Whether this thread is running a job.
    static IN_A_JOB: Cell<bool> = const { Cell::new(false) };
}

/// The jobs of a pool. Clones share them.
#[derive(Clone)]
pub(super) struct Jobs {
    state: Arc<Mutex<State>>,
    threads: usize,
}

/// The queues of jobs that wait. A thread takes the next job from each in turn, so that neither waits for all of the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lane {
    /// Jobs that are expected to be short, of which others lately turned out to be long.
    Short,
    /// All other jobs.
    Long,
}

#[derive(Default)]
struct State {
    /// The number of jobs that the pool was given and that have not ended.
    begun: usize,
    short: VecDeque<Job>,
    long: VecDeque<Job>,
    /// Whether the last job that had to wait was a short one.
    was_short: bool,
}

impl State {
    fn lane(&mut self, lane: Lane) -> &mut VecDeque<Job> {
        match lane {
            Lane::Short => &mut self.short,
            Lane::Long => &mut self.long,
        }
    }

    /// Takes the job that is next.
    fn take(&mut self) -> Option<Job> {
        let turns = if self.was_short { [Lane::Long, Lane::Short] } else { [Lane::Short, Lane::Long] };
        let (lane, job) = turns.into_iter().find_map(|lane| Some((lane, self.lane(lane).pop_front()?)))?;
        self.was_short = lane == Lane::Short;
        Some(job)
    }
}

impl Jobs {
    /// The jobs of a pool of `threads` threads.
    pub(super) fn new(threads: usize) -> Self {
        Self { state: Arc::default(), threads }
    }

    /// Has the pool run a job when one of its threads is free. Jobs of a lane begin in the order in which they come. `job` must not
    /// panic, since its place would then stay taken.
    pub(super) fn spawn(&self, pool: &ThreadPool, lane: Lane, job: impl FnOnce() + Send + 'static) {
        let job: Job = Box::new(job);
        {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            if state.begun == self.threads {
                return state.lane(lane).push_back(job);
            }
            state.begun += 1;
        }
        let jobs = self.clone();
        pool.spawn(move || jobs.run(job));
    }

    /// Runs a job, and then those that wait.
    fn run(self, mut job: Job) {
        let is_within = IN_A_JOB.replace(true);
        loop {
            job();
            let Some(next) = self.next() else { break };
            if is_within {
                // The job below on this stack waits for its parts, and must go on as soon as they are there. So the next job does
                // not run here, but goes to the pool's queue.
                rayon::spawn(move || self.run(next));
                break;
            }
            job = next;
        }
        IN_A_JOB.set(is_within);
    }

    /// The next job, in the place of one that has ended.
    fn next(&self) -> Option<Job> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let next = state.take();
        if next.is_none() {
            state.begun -= 1;
        }
        next
    }
}

impl fmt::Debug for Jobs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Jobs")
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use rayon::{ThreadPoolBuilder, Yield};

    use super::*;

    fn pool(threads: usize) -> (ThreadPool, Jobs) {
        (ThreadPoolBuilder::new().num_threads(threads).build().expect("threads can be started"), Jobs::new(threads))
    }

    /// A thread that waits for parts of its job runs other work from the pool's queue, as `yield_now` does.
    #[test]
    fn a_job_that_waits_finds_no_other_to_run() {
        let (pool, jobs) = pool(1);
        let (told, heard) = mpsc::channel();
        let (release, released) = mpsc::channel();
        let tell = told.clone();
        jobs.spawn(&pool, Lane::Long, move || {
            released.recv().expect("all jobs are there");
            tell.send(format!("{:?}", rayon::yield_now())).expect("the test listens");
        });
        for number in 0..100 {
            let tell = told.clone();
            jobs.spawn(&pool, Lane::Long, move || tell.send(number.to_string()).expect("the test listens"));
        }
        release.send(()).expect("the first job waits");
        drop(told);
        let expected =
            std::iter::once(format!("{:?}", Some(Yield::Idle))).chain((0..100).map(|number| number.to_string()));
        assert_eq!(heard.iter().collect::<Vec<_>>(), expected.collect::<Vec<_>>());
        // The last job sends its number before it has ended. The broadcast runs on each thread after the jobs.
        pool.broadcast(|_| ());
        assert_eq!(jobs.state.lock().expect("no job has panicked").begun, 0);
    }

    /// A short job waits for no more than one long job for each short one before it, and the other way round.
    #[test]
    fn the_lanes_take_turns() {
        let (pool, jobs) = pool(1);
        let (told, heard) = mpsc::channel();
        let (release, released) = mpsc::channel::<()>();
        jobs.spawn(&pool, Lane::Long, move || _ = released.recv().expect_err("nothing is sent"));
        for (lane, count) in [(Lane::Long, 4), (Lane::Short, 2)] {
            for number in 0..count {
                let tell = told.clone();
                jobs.spawn(&pool, lane, move || tell.send((lane, number)).expect("the test listens"));
            }
        }
        drop((release, told));
        let order: Vec<_> = heard.iter().collect();
        let (short, long) = (|number| (Lane::Short, number), |number| (Lane::Long, number));
        assert_eq!(order, [short(0), long(0), short(1), long(1), long(2), long(3)]);
    }

    /// One of two threads is taken, so the other runs the second job within the first, and the jobs behind it one at a time.
    #[test]
    fn jobs_within_a_job_do_not_pile_up() {
        let (pool, jobs) = pool(2);
        let (taken, is_taken) = mpsc::channel();
        let (release, released) = mpsc::channel::<()>();
        pool.spawn(move || {
            taken.send(()).expect("the test listens");
            released.recv().expect_err("nothing is sent");
        });
        is_taken.recv().expect("a thread is taken");
        let (told, heard) = mpsc::channel();
        let (begin, begun) = mpsc::channel::<()>();
        let tell = told.clone();
        jobs.spawn(&pool, Lane::Long, move || {
            begun.recv().expect_err("nothing is sent");
            for _ in 0..3 {
                // Runs one job, which the pool was given since it has two threads; the next one comes in its place.
                assert_eq!(rayon::yield_now(), Some(Yield::Executed));
                tell.send("waited").expect("the test listens");
            }
        });
        for _ in 0..5 {
            let tell = told.clone();
            jobs.spawn(&pool, Lane::Long, move || tell.send("within").expect("the test listens"));
        }
        drop((begin, told));
        let order = heard.iter().collect::<Vec<_>>();
        assert_eq!(order, ["within", "waited", "within", "waited", "within", "waited", "within", "within"]);
        drop(release);
        pool.broadcast(|_| ());
        assert_eq!(jobs.state.lock().expect("no job has panicked").begun, 0);
    }
}
