//! The gRPC services `Oracle` and `Committee`: foreign bytes in, the crate's own functions behind.

use std::pin::Pin;
use std::sync::Arc;

use alloy::primitives::{B256, Bytes};
use daemon::tls::Peer;
use futures::Stream;
use proto::v1;
use proto::v1::committee_server::Committee;
use proto::v1::oracle_server::Oracle;
use proto::v1::propose_response::Outcome;
use tonic::{Request, Response, Status};
use verifier::cbor;
use verifier::evidence::Evidence;
use verifier::tee::{GuestEvidence, MAX_GUEST_BYTES};
use verifier::tpm::EnrolmentRequest;
use verifier::{Epoch, NodeId};
use zeroize::Zeroizing;

use crate::agreement::{Agreement, AgreementError};
use crate::bundle::{ExportError, Exporter};
use crate::enrol::{EnrolError, Enroller, check_size};
use crate::gate::Gate;
use crate::intake::{EvidencePage, IntakeError};
use crate::peers::Answer;
use crate::rules::Rules;

/// Bytes of evidence one answer carries at most; the rest is asked for after it.
const MAX_ANSWER_BYTES: usize = proto::MAX_MESSAGE_BYTES - (1 << 20);

/// Both services.
#[derive(Clone)]
pub struct Services {
    inner: Arc<Inner>,
}

struct Inner {
    agreement: Arc<Agreement>,
    enroller: Arc<Enroller>,
    exporter: Exporter,
    rules: Rules,
    /// Enrolments whose certificates are judged at the same time.
    enrolments: Gate,
}

/// So that strangers' certificates leave a core to evidence.
const ENROLMENTS_AT_ONCE: usize = 2;

impl Services {
    /// Services over the oracle's parts.
    #[must_use]
    pub fn new(
        agreement: Arc<Agreement>,
        enroller: Arc<Enroller>,
        exporter: Exporter,
        rules: Rules,
    ) -> Self {
        Self {
            inner: Arc::new(Inner {
                agreement,
                enroller,
                exporter,
                rules,
                enrolments: Gate::new(ENROLMENTS_AT_ONCE),
            }),
        }
    }
}

/// A failure of this oracle's own is logged here and named by kind only: its insides are nobody else's business.
fn own_fault(error: &dyn std::fmt::Display) -> Status {
    tracing::error!(%error, "a request failed inside this oracle");
    Status::internal("internal failure of this oracle; see its log")
}

impl From<IntakeError> for Status {
    fn from(error: IntakeError) -> Self {
        match &error {
            IntakeError::NotEvidence(_) => Self::invalid_argument(error.to_string()),
            IntakeError::NotReady(_) | IntakeError::UnknownPolicy(_) | IntakeError::Chain(_) => {
                Self::unavailable(error.to_string())
            }
            IntakeError::NoDuty(..) => Self::failed_precondition(error.to_string()),
            IntakeError::TooMany(..) => Self::resource_exhausted(error.to_string()),
            IntakeError::Store(_) | IntakeError::Signing(_) | IntakeError::Interrupted(_) => {
                own_fault(&error)
            }
        }
    }
}

impl From<AgreementError> for Status {
    fn from(error: AgreementError) -> Self {
        match &error {
            AgreementError::NotReady(_)
            | AgreementError::UnknownPolicy(_)
            | AgreementError::Chain(_) => Self::unavailable(error.to_string()),
            AgreementError::Refused(_) => Self::failed_precondition(error.to_string()),
            AgreementError::Committee(_) | AgreementError::Malformed(_) => {
                Self::invalid_argument(error.to_string())
            }
            AgreementError::Store(_)
            | AgreementError::Signing(_)
            | AgreementError::Notices(_)
            | AgreementError::Interrupted(_) => own_fault(&error),
        }
    }
}

impl From<EnrolError> for Status {
    fn from(error: EnrolError) -> Self {
        match &error {
            EnrolError::Rejected(_) | EnrolError::Malformed(_) | EnrolError::Stale(_) => {
                Self::invalid_argument(error.to_string())
            }
            EnrolError::NoSession => Self::not_found(error.to_string()),
            EnrolError::WrongSecret | EnrolError::Denied(_) | EnrolError::Revoked(_) => {
                Self::permission_denied(error.to_string())
            }
            EnrolError::NotReady(_)
            | EnrolError::UnknownBlock(_)
            | EnrolError::UnknownPolicy(_)
            | EnrolError::Chain(_) => Self::unavailable(error.to_string()),
            EnrolError::Busy | EnrolError::TooMany => Self::resource_exhausted(error.to_string()),
            EnrolError::NotInSet(_) => Self::failed_precondition(error.to_string()),
            EnrolError::Store(_) | EnrolError::Signing(_) | EnrolError::Notices(_) => {
                own_fault(&error)
            }
        }
    }
}

impl From<ExportError> for Status {
    fn from(error: ExportError) -> Self {
        match &error {
            ExportError::Missing(_) => Self::not_found(error.to_string()),
            ExportError::Chain(_) => Self::unavailable(error.to_string()),
            ExportError::Store(_) => own_fault(&error),
        }
    }
}

fn item(node: NodeId, evidence: &Evidence) -> v1::fetch_evidence_response::Item {
    v1::fetch_evidence_response::Item {
        node: node.0,
        evidence: cbor::encode(evidence),
    }
}

fn guest(bytes: &[u8]) -> Result<Option<GuestEvidence>, Status> {
    match bytes.len() {
        0 => Ok(None),
        1..=MAX_GUEST_BYTES => cbor::decode("guest evidence", bytes)
            .map(Some)
            .map_err(|error| malformed(&error)),
        length => Err(Status::invalid_argument(format!(
            "guest evidence has {length} bytes, at most {MAX_GUEST_BYTES} are read"
        ))),
    }
}

fn malformed(error: &cbor::Malformed) -> Status {
    Status::invalid_argument(error.to_string())
}

impl Services {
    /// Epoch of the latest block; 0 also before the first one begins.
    async fn epoch_now(&self) -> Result<Epoch, Status> {
        let heads = self.inner.agreement.intake().heads();
        let head = heads
            .latest()
            .await
            .map_err(|error| Status::unavailable(error.to_string()))?;
        Ok(self
            .inner
            .rules
            .schedule()
            .epoch_of(head)
            .unwrap_or(Epoch(0)))
    }
}

#[tonic::async_trait]
impl Oracle for Services {
    async fn begin_enrolment(
        &self,
        request: Request<v1::BeginEnrolmentRequest>,
    ) -> Result<Response<v1::BeginEnrolmentResponse>, Status> {
        let from = request
            .extensions()
            .get::<Peer>()
            .ok_or_else(|| Status::failed_precondition("the connection has no address"))?
            .address;
        let request = request.into_inner();
        let deployment = self.inner.rules.deployment();
        let request = EnrolmentRequest {
            chain_id: deployment.chain_id,
            registry: deployment.registry.into_array(),
            address: request
                .account
                .try_into()
                .map_err(|_| Status::invalid_argument("account has not 20 bytes"))?,
            ek_certificate: request.ek_certificate,
            intermediates: request.intermediates,
            ek_public: request.ek_public,
            ak_public: request.ak_public,
            node_key_public: request.node_key_public,
            expiry: request.expiry,
            guest: guest(&request.guest)?,
        };
        check_size(&request)?;
        let enroller = self.inner.enroller.clone();
        let policy = enroller.policy_in_force(self.epoch_now().await?).await?;
        // Anybody may ask, and the certificates of a stranger cost milliseconds each: evidence must not wait for them.
        let judge = move || enroller.begin(request, from.ip().into(), policy);
        let begun = self.inner.enrolments.run(judge).await;
        let begun = begun.map_err(|error| own_fault(&error))??;
        Ok(Response::new(v1::BeginEnrolmentResponse {
            session: begun.session.to_vec(),
            id_object: begun.id_object,
            encrypted_secret: begun.encrypted_secret,
            nonce: begun.nonce.to_vec(),
        }))
    }

    async fn finish_enrolment(
        &self,
        request: Request<v1::FinishEnrolmentRequest>,
    ) -> Result<Response<v1::FinishEnrolmentResponse>, Status> {
        let request = request.into_inner();
        let secret = Zeroizing::new(request.secret);
        let epoch = self.epoch_now().await?;
        let (attest, signature) = (&request.certify_attest, &request.certify_signature);
        let enrolled = self
            .inner
            .enroller
            .finish(&request.session, secret, attest, signature, epoch)
            .await?;
        Ok(Response::new(v1::FinishEnrolmentResponse {
            oracle_index: enrolled.index,
            set_version: enrolled.set_version,
            signature: enrolled.signature.to_vec(),
        }))
    }

    async fn push_evidence(
        &self,
        request: Request<v1::PushEvidenceRequest>,
    ) -> Result<Response<v1::PushEvidenceResponse>, Status> {
        let request = request.into_inner();
        let (node, epoch) = (NodeId(request.node), Epoch(request.epoch));
        let receipt = self
            .inner
            .agreement
            .intake()
            .push(node, epoch, &request.evidence)
            .await?;
        Ok(Response::new(v1::PushEvidenceResponse {
            receipt: cbor::encode(&receipt),
        }))
    }

    async fn fetch_evidence(
        &self,
        request: Request<v1::FetchEvidenceRequest>,
    ) -> Result<Response<v1::FetchEvidenceResponse>, Status> {
        let request = request.into_inner();
        let node = (request.node != 0).then_some(NodeId(request.node));
        let after = match &request.after_envelope[..] {
            [] => None,
            bytes => {
                let envelope = B256::try_from(bytes)
                    .map_err(|_| Status::invalid_argument("after_envelope has not 32 bytes"))?;
                Some((NodeId(request.after_node), envelope))
            }
        };
        let EvidencePage { items, more } = self
            .inner
            .agreement
            .intake()
            .page(Epoch(request.epoch), node, after, MAX_ANSWER_BYTES)
            .await
            .map_err(|error| own_fault(&error))?;
        let items = items
            .iter()
            .map(|(node, evidence)| item(*node, evidence))
            .collect();
        Ok(Response::new(v1::FetchEvidenceResponse { items, more }))
    }

    type ExportBundleStream = Pin<Box<dyn Stream<Item = Result<v1::Chunk, Status>> + Send>>;

    async fn export_bundle(
        &self,
        request: Request<v1::ExportBundleRequest>,
    ) -> Result<Response<Self::ExportBundleStream>, Status> {
        let request = request.into_inner();
        let bundle = self
            .inner
            .exporter
            .export(NodeId(request.node), Epoch(request.epoch))
            .await?;
        let bytes = bundle.to_bytes();
        let chunks: Vec<_> = bytes
            .chunks(proto::MAX_CHUNK_BYTES)
            .map(|data| {
                Ok(v1::Chunk {
                    data: data.to_vec(),
                })
            })
            .collect();
        Ok(Response::new(Box::pin(futures::stream::iter(chunks))))
    }
}

#[tonic::async_trait]
impl Committee for Services {
    async fn commit(
        &self,
        request: Request<v1::CommitRequest>,
    ) -> Result<Response<v1::CommitResponse>, Status> {
        let commitment = cbor::decode("commitment", &request.into_inner().commitment)
            .map_err(|error| malformed(&error))?;
        self.inner.agreement.on_commit(&commitment).await?;
        Ok(Response::new(v1::CommitResponse {}))
    }

    async fn reveal(
        &self,
        request: Request<v1::RevealRequest>,
    ) -> Result<Response<v1::RevealResponse>, Status> {
        let list = cbor::decode("commitment list", &request.into_inner().list)
            .map_err(|error| malformed(&error))?;
        let reveal = self.inner.agreement.on_list(&list).await?;
        Ok(Response::new(v1::RevealResponse {
            reveal: cbor::encode(&reveal),
        }))
    }

    async fn propose(
        &self,
        request: Request<v1::ProposeRequest>,
    ) -> Result<Response<v1::ProposeResponse>, Status> {
        let proposal = cbor::decode("proposal", &request.into_inner().proposal)
            .map_err(|error| malformed(&error))?;
        let outcome = match self.inner.agreement.on_proposal(&proposal).await? {
            Answer::Signature(signature) => Outcome::Signature(Bytes::into(signature)),
            Answer::Refusal { reason, evidence } => Outcome::Refusal(v1::Refusal {
                reason,
                evidence: evidence
                    .iter()
                    .map(|(node, evidence)| item(*node, evidence))
                    .collect(),
            }),
        };
        Ok(Response::new(v1::ProposeResponse {
            outcome: Some(outcome),
        }))
    }

    async fn fetch_proposal(
        &self,
        request: Request<v1::FetchProposalRequest>,
    ) -> Result<Response<v1::FetchProposalResponse>, Status> {
        let epoch = Epoch(request.into_inner().epoch);
        let found = self.inner.agreement.reported_proposal(epoch).await?;
        let proposal = found.ok_or_else(|| {
            Status::not_found(format!(
                "this oracle has no proposal of epoch {epoch}'s accepted report"
            ))
        })?;
        Ok(Response::new(v1::FetchProposalResponse {
            proposal: cbor::encode(&proposal),
        }))
    }
}

#[cfg(test)]
mod tests;
