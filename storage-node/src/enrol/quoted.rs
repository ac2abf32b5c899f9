//! What a registry's quote policy asks for beside the oracles' word: the machine's own statements over a recent block.
//!
//! Protocol: section 5; what the contract makes of them: [`verifier::tpm::on_chain`].

use std::time::{SystemTime, UNIX_EPOCH};

use verifier::tpm::{
    AcceptedState, Attest, Occasion, OnChainEnrolment, OnChainPolicy, OnChainQuote,
    judge_on_chain_enrolment, wire::Attested,
};
use verifier::typed_data::Enrolment;

use super::EnrolError;
use super::blocks::{block_for, block_hash};
use crate::chain_view::{ChainView, QuotePolicy, Quoted};
use crate::tpm::{TpmHandle, TpmIdentity};

/// Has the TPM quote and certify over a recent block, and judges both as the contract will, before anything is paid.
pub(super) async fn quote(
    chain: &dyn ChainView,
    tpm: &TpmHandle,
    policy: &QuotePolicy,
    identity: &TpmIdentity,
    statement: &Enrolment,
) -> Result<Quoted, EnrolError> {
    let block = block_for(chain.head().await?, policy.max_age);
    let block_hash = block_hash(chain, block).await?;
    let deployment = chain.deployment();
    let occasion = Occasion {
        chain_id: deployment.chain_id,
        registry: deployment.registry.into_array(),
        address: chain.account().into_array(),
        block_hash: block_hash.0,
    };
    let certified = tpm.certify_node_key(occasion.certify_data()).await?;
    let quoted = tpm.quote(occasion.quote_data(), &policy.pcrs).await?;
    let states = match pcr_digest(&quoted.attest) {
        Some(pcr_digest) if !policy.any_state => {
            let until = chain.accepted_until(policy.at, pcr_digest.into()).await?;
            vec![AcceptedState { pcr_digest, until }]
        }
        _ => Vec::new(),
    };
    let evidence = OnChainEnrolment {
        quote: OnChainQuote {
            ak_public: identity.ak_public.clone(),
            attest: quoted.attest,
            signature: quoted.signature.to_vec(),
        },
        ek_public: identity.ek_public.clone(),
        node_key_public: identity.node_key_public.clone(),
        certify: certified.attest,
        certify_signature: certified.signature.to_vec(),
    };
    let judged_by = OnChainPolicy {
        pcrs: policy.pcrs.clone(),
        states,
        any_state: policy.any_state,
    };
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs();
    judge_on_chain_enrolment(&judged_by, &occasion, statement, &evidence, now)?;
    Ok(Quoted { block, evidence })
}

fn pcr_digest(attest: &[u8]) -> Option<[u8; 32]> {
    match Attest::parse(attest).ok()?.attested {
        Attested::Quote { pcr_digest, .. } => pcr_digest.try_into().ok(),
        Attested::Certify { .. } => None,
    }
}
