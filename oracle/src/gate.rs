//! Work for strangers that blocks a thread: so much of it at a time, whether or not whoever asked still waits.

use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::task::JoinError;

/// Lets so many pieces of blocking work run at a time.
#[derive(Clone)]
pub struct Gate(Arc<Semaphore>);

impl Gate {
    /// A gate for so many.
    #[must_use]
    pub fn new(at_once: usize) -> Self {
        Self(Arc::new(Semaphore::new(at_once)))
    }

    /// Waits for a turn, then runs `work` off the async threads. The turn ends with the work: who hangs up before gives nobody
    /// another one.
    ///
    /// # Errors
    /// [`JoinError`] if the work panicked.
    pub async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, JoinError> {
        // Nobody closes it.
        let turn = self.0.clone().acquire_owned().await.ok();
        tokio::task::spawn_blocking(move || {
            let _turn = turn;
            work()
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::{Mutex, mpsc};
    use std::time::Duration;

    #[tokio::test]
    async fn a_flood_of_callers_that_hang_up_runs_no_more_at_a_time_than_the_gate_lets() {
        let gate = Gate::new(2);
        let running = Arc::new(AtomicUsize::new(0));
        let (release, wait) = mpsc::channel::<()>();
        let wait = Arc::new(Mutex::new(wait));
        for _ in 0..20 {
            let (running, wait) = (running.clone(), wait.clone());
            let work = move || {
                running.fetch_add(1, Ordering::SeqCst);
                let _ = wait.lock().unwrap().recv();
                running.fetch_sub(1, Ordering::SeqCst);
            };
            let asked = tokio::time::timeout(Duration::from_millis(5), gate.run(work));
            assert!(asked.await.is_err(), "it hangs up");
        }
        assert_eq!(running.load(Ordering::SeqCst), 2);
        // An honest caller gets its turn when one of them is done.
        let honest = tokio::spawn({
            let gate = gate.clone();
            async move { gate.run(|| 7).await.unwrap() }
        });
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert!(!honest.is_finished());
        release.send(()).unwrap();
        assert_eq!(honest.await.unwrap(), 7);
        drop(release);
    }
}
