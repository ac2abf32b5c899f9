//! Async access to a blocking TPM.

use std::thread;

use tokio::sync::{mpsc, oneshot};
use zeroize::Zeroizing;

use super::{Attestation, Tpm, TpmError, TpmIdentity};

/// Commands that may wait; a TPM takes some ten milliseconds for each.
const QUEUE: usize = 16;

type Job = Box<dyn FnOnce(&mut dyn Tpm) + Send>;

/// A TPM served by a thread of its own, in order of asking; clones share it.
///
/// The thread ends, and the TPM is closed, when the last handle is dropped.
#[derive(Clone, Debug)]
pub struct TpmHandle {
    jobs: mpsc::Sender<Job>,
}

impl TpmHandle {
    /// Gives `tpm` a thread.
    ///
    /// # Errors
    /// If the system refuses a thread.
    pub fn spawn(mut tpm: impl Tpm + 'static) -> std::io::Result<Self> {
        let (jobs, mut queue) = mpsc::channel::<Job>(QUEUE);
        thread::Builder::new().name("tpm".into()).spawn(move || {
            while let Some(job) = queue.blocking_recv() {
                job(&mut tpm);
            }
        })?;
        Ok(Self { jobs })
    }

    async fn call<T: Send + 'static>(
        &self,
        command: impl FnOnce(&mut dyn Tpm) -> Result<T, TpmError> + Send + 'static,
    ) -> Result<T, TpmError> {
        let (answer, answered) = oneshot::channel();
        let job: Job = Box::new(move |tpm| {
            // Whoever asked may have gone; the TPM's state is the same either way.
            let _ = answer.send(command(tpm));
        });
        self.jobs.send(job).await.map_err(|_| TpmError::Closed)?;
        answered.await.map_err(|_| TpmError::Closed)?
    }

    /// As [`Tpm::identity`].
    ///
    /// # Errors
    /// As there; [`TpmError::Closed`] if the TPM's thread has ended.
    pub async fn identity(&self) -> Result<TpmIdentity, TpmError> {
        self.call(|tpm| tpm.identity()).await
    }

    /// As [`Tpm::activate`].
    ///
    /// # Errors
    /// As there; [`TpmError::Closed`] if the TPM's thread has ended.
    pub async fn activate(
        &self,
        id_object: Vec<u8>,
        encrypted_secret: Vec<u8>,
    ) -> Result<Zeroizing<Vec<u8>>, TpmError> {
        self.call(move |tpm| tpm.activate(&id_object, &encrypted_secret))
            .await
    }

    /// As [`Tpm::certify_node_key`].
    ///
    /// # Errors
    /// As there; [`TpmError::Closed`] if the TPM's thread has ended.
    pub async fn certify_node_key(&self, qualifying: [u8; 32]) -> Result<Attestation, TpmError> {
        self.call(move |tpm| tpm.certify_node_key(qualifying)).await
    }

    /// As [`Tpm::quote`].
    ///
    /// # Errors
    /// As there; [`TpmError::Closed`] if the TPM's thread has ended.
    pub async fn quote(&self, extra: [u8; 32], pcrs: &[u8]) -> Result<Attestation, TpmError> {
        let pcrs = pcrs.to_vec();
        self.call(move |tpm| tpm.quote(extra, &pcrs)).await
    }

    /// As [`Tpm::sign`].
    ///
    /// # Errors
    /// As there; [`TpmError::Closed`] if the TPM's thread has ended.
    pub async fn sign(&self, digest: [u8; 32]) -> Result<[u8; 64], TpmError> {
        self.call(move |tpm| tpm.sign(digest)).await
    }
}
