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

#[derive(Default)]
struct State {
    /// The number of jobs that the pool was given and that have not ended.
    begun: usize,
    waiting: VecDeque<Job>,
}

impl Jobs {
    /// The jobs of a pool of `threads` threads.
    pub(super) fn new(threads: usize) -> Self {
        Self { state: Arc::default(), threads }
    }

    /// Has the pool run a job when one of its threads is free. Jobs begin in the order in which they come. `job` must not panic,
    /// since its place would then stay taken.
    pub(super) fn spawn(&self, pool: &ThreadPool, job: impl FnOnce() + Send + 'static) {
        let job: Job = Box::new(job);
        {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            if state.begun == self.threads {
                return state.waiting.push_back(job);
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
        let next = state.waiting.pop_front();
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
        jobs.spawn(&pool, move || {
            released.recv().expect("all jobs are there");
            tell.send(format!("{:?}", rayon::yield_now())).expect("the test listens");
        });
        for number in 0..100 {
            let tell = told.clone();
            jobs.spawn(&pool, move || tell.send(number.to_string()).expect("the test listens"));
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
        jobs.spawn(&pool, move || {
            begun.recv().expect_err("nothing is sent");
            for _ in 0..3 {
                // Runs one job, which the pool was given since it has two threads; the next one comes in its place.
                assert_eq!(rayon::yield_now(), Some(Yield::Executed));
                tell.send("waited").expect("the test listens");
            }
        });
        for _ in 0..5 {
            let tell = told.clone();
            jobs.spawn(&pool, move || tell.send("within").expect("the test listens"));
        }
        drop((begin, told));
        let order = heard.iter().collect::<Vec<_>>();
        assert_eq!(order, ["within", "waited", "within", "waited", "within", "waited", "within", "within"]);
        drop(release);
        pool.broadcast(|_| ());
        assert_eq!(jobs.state.lock().expect("no job has panicked").begun, 0);
    }
}
