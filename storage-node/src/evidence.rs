//! One epoch's envelope: the statement, quoted by the TPM and signed by the node key. Protocol: section 5.

use alloy::primitives::{Address, B256, keccak256};
use verifier::cbor;
use verifier::committee::Deployment;
use verifier::envelope::{Claim, Envelope, EnvelopeBody, EnvelopeStatement};
use verifier::evidence::Evidence;
use verifier::report::Identity;
use verifier::tpm::{Public, check_node_key};

use crate::tpm::{TpmError, TpmHandle, TpmIdentity};

/// The keys every envelope is judged by, as evidence carries them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeKeys {
    /// TPMT_PUBLIC of the attestation key.
    pub ak_public: Vec<u8>,
    /// The node key's point, x ‖ y.
    pub node_key: [u8; 64],
    /// Hardware id: the hash of the endorsement key.
    pub hardware_id: B256,
}

impl NodeKeys {
    /// The keys of a TPM.
    ///
    /// # Errors
    /// [`TpmError::Malformed`] if its node key is not one.
    pub fn of(identity: &TpmIdentity) -> Result<Self, TpmError> {
        let node_key = check_node_key(&Public::parse(&identity.node_key_public)?)?;
        Ok(Self {
            ak_public: identity.ak_public.clone(),
            node_key,
            hardware_id: Public::parse(&identity.ek_public)?
                .key
                .spki_hash()
                .map_err(TpmError::Malformed)?,
        })
    }

    /// What the registry must have for an epoch that is to be proven with these keys.
    #[must_use]
    pub fn identity(&self, account: Address) -> Identity {
        Identity {
            account,
            hardware_id: self.hardware_id,
            ak_hash: keccak256(&self.ak_public),
            node_key_hash: keccak256(self.node_key),
        }
    }
}

/// Makes the evidence of a claim, without receipts.
///
/// # Errors
/// Any failure of the TPM.
pub async fn make(
    tpm: &TpmHandle,
    keys: &NodeKeys,
    pcrs: &[u8],
    deployment: &Deployment,
    claim: &Claim<'_>,
) -> Result<(Evidence, Envelope), TpmError> {
    let statement = EnvelopeStatement::new(deployment, claim);
    let quote = tpm.quote(statement.extra_data().0, pcrs).await?;
    let body = EnvelopeBody {
        statement: statement.to_bytes().into(),
        attest: quote.attest.into(),
        ak_signature: quote.signature.to_vec().into(),
    };
    let node_signature = tpm.sign(body.signing_digest().0).await?;
    let envelope = Envelope {
        body: body.to_bytes().into(),
        node_signature: node_signature.to_vec().into(),
    };
    let evidence = Evidence {
        envelope: cbor::encode(&envelope).into(),
        proof: claim.proof.to_vec().into(),
        event_log: claim.event_log.to_vec().into(),
        ak_public: keys.ak_public.clone().into(),
        node_key: keys.node_key.to_vec().into(),
        receipts: Vec::new(),
    };
    Ok((evidence, envelope))
}
