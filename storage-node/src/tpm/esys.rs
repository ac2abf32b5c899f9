//! A TPM 2.0 behind the TSS2 stack: `/dev/tpmrm0`, or an `swtpm` process.

use std::{path::PathBuf, str::FromStr};

use tss_esapi::{
    Context,
    abstraction::{AsymmetricAlgorithmSelection, ek},
    attributes::ObjectAttributesBuilder,
    constants::{CapabilityType, SessionType, tss},
    handles::{AuthHandle, KeyHandle, SessionHandle, TpmHandle},
    interface_types::{
        algorithm::{HashingAlgorithm, PublicAlgorithm},
        ecc::EccCurve,
        key_bits::RsaKeyBits,
        session_handles::{AuthSession, PolicySession},
    },
    structures::{
        Attest, CapabilityData, Data, Digest, EccPoint, EccScheme, EncryptedSecret, HashScheme,
        HashcheckTicket, IdObject, KeyDerivationFunctionScheme, PcrSelectionListBuilder, PcrSlot,
        Public, PublicBuilder, PublicEccParametersBuilder, Signature, SignatureScheme,
        SymmetricDefinition, SymmetricDefinitionObject,
    },
    tcti_ldr::TctiNameConf,
    traits::Marshall,
};
use verifier::tpm::{EndorsementKey, certificate::trim_padding};
use zeroize::Zeroizing;

use super::{Attestation, Tpm, TpmError, TpmIdentity, keyfile::WrappedKey};

/// More objects and sessions than any TPM keeps loaded.
const MAX_HANDLES: u32 = 32;

type Answer<T> = Result<T, tss_esapi::Error>;

/// What a failure of the TPM stack is told as.
fn failed(action: &'static str) -> impl Fn(tss_esapi::Error) -> TpmError + Copy {
    move |source| TpmError::Command {
        action,
        source: source.into(),
    }
}

/// The key as the TPM stack names it, and where its certificate lies (TCG EK Credential Profile 2.5, section 2.2.1).
fn algorithm(key: EndorsementKey) -> (AsymmetricAlgorithmSelection, u32) {
    match key {
        EndorsementKey::Rsa2048 => (
            AsymmetricAlgorithmSelection::Rsa(RsaKeyBits::Rsa2048),
            0x01c0_0002,
        ),
        EndorsementKey::EccP256 => (
            AsymmetricAlgorithmSelection::Ecc(EccCurve::NistP256),
            0x01c0_000a,
        ),
        EndorsementKey::EccP384 => (
            AsymmetricAlgorithmSelection::Ecc(EccCurve::NistP384),
            0x01c0_0016,
        ),
    }
}

/// The machine's TPM, with this node's keys loaded.
///
/// If the TPM is restarted under a running node, the next command opens it anew.
pub struct EsysTpm {
    settings: Settings,
    session: Option<Session>,
}

struct Settings {
    tcti: String,
    endorsement_key: EndorsementKey,
    state_dir: PathBuf,
    intermediates: Vec<Vec<u8>>,
}

/// An open connection and the handles that are valid in it.
struct Session {
    context: Context,
    ek: KeyHandle,
    ak: KeyHandle,
    node_key: KeyHandle,
    ek_public: Public,
    ak_public: Public,
    node_key_public: Public,
}

impl EsysTpm {
    /// Opens the TPM at `tcti` (`device:/dev/tpmrm0`, `swtpm:host=127.0.0.1,port=…`) with the keys kept in `state_dir`.
    ///
    /// Of the TPM's endorsement keys `endorsement_key` is used; attestation key and node key are its children, and are made on first use and stored there, wrapped by the TPM.
    /// `intermediates` (DER) are passed on as part of [`Tpm::identity`].
    ///
    /// # Errors
    /// [`TpmError::Unreachable`]; [`TpmError::ForeignKey`] and [`TpmError::DamagedKeyFile`] rather than ever
    /// replacing a key; any failure of the TPM.
    pub fn open(
        tcti: &str,
        endorsement_key: EndorsementKey,
        state_dir: impl Into<PathBuf>,
        intermediates: Vec<Vec<u8>>,
    ) -> Result<Self, TpmError> {
        let settings = Settings {
            tcti: tcti.to_owned(),
            endorsement_key,
            state_dir: state_dir.into(),
            intermediates,
        };
        let session = Some(Session::open(&settings)?);
        Ok(Self { settings, session })
    }

    /// Runs a command, once more on a new connection if the TPM has lost this one's keys.
    fn run<T>(
        &mut self,
        action: &'static str,
        command: impl Fn(&mut Session) -> Answer<T>,
    ) -> Result<T, TpmError> {
        let failed = failed(action);
        if let Some(session) = &mut self.session {
            match command(session) {
                Ok(answer) => return Ok(answer),
                Err(error) if session.is_alive() => return Err(failed(error)),
                Err(_) => tracing::warn!(action, "TPM lost its state; opening it again"),
            }
        }
        // swtpm serves one connection at a time: the old one goes first.
        self.session = None;
        let session = self.session.insert(Session::open(&self.settings)?);
        command(session).map_err(failed)
    }
}

impl Tpm for EsysTpm {
    fn identity(&mut self) -> Result<TpmIdentity, TpmError> {
        let key = self.settings.endorsement_key;
        let (selection, index) = algorithm(key);
        let certificate = self
            .run("read its endorsement certificate", |session| {
                ek::retrieve_ek_pubcert(&mut session.context, selection)
            })
            .map_err(|error| match error {
                TpmError::Command { source, .. } => TpmError::NoCertificate { key, index, source },
                other => other,
            })?;
        let [ek_public, ak_public, node_key_public] =
            self.run("marshal its public keys", |session| {
                Ok([
                    session.ek_public.marshall()?,
                    session.ak_public.marshall()?,
                    session.node_key_public.marshall()?,
                ])
            })?;
        Ok(TpmIdentity {
            ek_certificate: trim_padding(&certificate)?.to_vec(),
            intermediates: self.settings.intermediates.clone(),
            ek_public,
            ak_public,
            node_key_public,
        })
    }

    fn activate(
        &mut self,
        id_object: &[u8],
        encrypted_secret: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, TpmError> {
        let key = self.settings.endorsement_key;
        self.run("activate a credential", |session| {
            let id_object = IdObject::try_from(id_object)?;
            let secret = EncryptedSecret::try_from(encrypted_secret)?;
            let (ak, ek) = (session.ak, session.ek);
            let opened = with_ek(&mut session.context, key, |context, policy| {
                context.execute_with_sessions(
                    (Some(AuthSession::Password), Some(policy), None),
                    |context| context.activate_credential(ak, ek, id_object, secret),
                )
            })?;
            Ok(Zeroizing::new(opened.value().to_vec()))
        })
    }

    fn certify_node_key(&mut self, qualifying: [u8; 32]) -> Result<Attestation, TpmError> {
        let signed = self.run("certify the node key", |session| {
            let (object, ak) = (session.node_key.into(), session.ak);
            let qualifying = Data::try_from(&qualifying[..])?;
            let password = Some(AuthSession::Password);
            session
                .context
                .execute_with_sessions((password, password, None), |context| {
                    context.certify(object, ak, qualifying, SignatureScheme::Null)
                })
        })?;
        attestation(signed)
    }

    fn quote(&mut self, extra: [u8; 32], pcrs: &[u8]) -> Result<Attestation, TpmError> {
        let signed = self.run("quote its PCRs", |session| {
            let slots = pcrs
                .iter()
                .map(|pcr| PcrSlot::try_from(1u32.checked_shl((*pcr).into()).unwrap_or(0)))
                .collect::<Answer<Vec<_>>>()?;
            let selection = PcrSelectionListBuilder::new()
                .with_selection(HashingAlgorithm::Sha256, &slots)
                .build()?;
            let ak = session.ak;
            let extra = Data::try_from(&extra[..])?;
            session.context.execute_with_nullauth_session(|context| {
                context.quote(ak, extra, SignatureScheme::Null, selection)
            })
        })?;
        attestation(signed)
    }

    fn sign(&mut self, digest: [u8; 32]) -> Result<[u8; 64], TpmError> {
        let signature = self.run("sign with the node key", |session| {
            let key = session.node_key;
            let digest = Digest::try_from(&digest[..])?;
            let ticket = no_ticket()?;
            session.context.execute_with_nullauth_session(|context| {
                context.sign(key, digest, SignatureScheme::Null, ticket)
            })
        })?;
        p256_signature(&signature)
    }
}

impl Session {
    fn open(settings: &Settings) -> Result<Self, TpmError> {
        let mut context = TctiNameConf::from_str(&settings.tcti)
            .and_then(Context::new)
            .map_err(|source| TpmError::Unreachable {
                tcti: settings.tcti.clone(),
                source: source.into(),
            })?;
        let algorithm = settings.endorsement_key;
        flush_leftovers(&mut context).map_err(failed("flush what an earlier run left in it"))?;
        let (ek, ek_public) =
            create_ek(&mut context, algorithm).map_err(failed("make its endorsement key"))?;
        let parent = (ek, algorithm);
        let mut key = |file: &str, restricted| {
            load_or_create(
                &mut context,
                parent,
                settings.state_dir.join(file),
                restricted,
            )
        };
        let (ak, ak_public) = key("ak.tpm", true)?;
        let (node_key, node_key_public) = key("node-key.tpm", false)?;
        Ok(Self {
            context,
            ek,
            ak,
            node_key,
            ek_public,
            ak_public,
            node_key_public,
        })
    }

    /// Whether the TPM still answers and still holds the keys behind our handles.
    fn is_alive(&mut self) -> bool {
        [
            (self.ek, &self.ek_public),
            (self.ak, &self.ak_public),
            (self.node_key, &self.node_key_public),
        ]
        .into_iter()
        .all(|(handle, expected)| {
            self.context
                .read_public(handle)
                .is_ok_and(|(public, _, _)| public == *expected)
        })
    }
}

/// A node that was killed left its objects and sessions loaded, and a TPM without a resource manager has three
/// slots for each. Through a resource manager this only ever sees what is ours.
fn flush_leftovers(context: &mut Context) -> Answer<()> {
    for first in [tss::TPM2_TRANSIENT_FIRST, tss::TPM2_LOADED_SESSION_FIRST] {
        let (data, _) = context.execute_without_session(|context| {
            context.get_capability(CapabilityType::Handles, first, MAX_HANDLES)
        })?;
        let CapabilityData::Handles(handles) = data else {
            continue;
        };
        for handle in handles.into_inner() {
            if !matches!(
                handle,
                TpmHandle::Transient(_) | TpmHandle::HmacSession(_) | TpmHandle::PolicySession(_)
            ) {
                continue;
            }
            let object =
                context.execute_without_session(|context| context.tr_from_tpm_public(handle))?;
            match context.flush_context(object) {
                // The wrapper flushes a policy session that it did not start, then complains that it did.
                Err(tss_esapi::Error::WrapperError(
                    tss_esapi::WrapperErrorKind::InvalidHandleState,
                )) if matches!(handle, TpmHandle::PolicySession(_)) => {}
                flushed => flushed?,
            }
        }
    }
    Ok(())
}

fn create_ek(context: &mut Context, key: EndorsementKey) -> Answer<(KeyHandle, Public)> {
    let handle = ek::create_ek_object_2(context, algorithm(key).0, None)?;
    let (public, _, _) = context.read_public(handle)?;
    Ok((handle, public))
}

fn load_or_create(
    context: &mut Context,
    parent: (KeyHandle, EndorsementKey),
    path: PathBuf,
    restricted: bool,
) -> Result<(KeyHandle, Public), TpmError> {
    let failed = failed("make a signing key");
    if let Some(key) = WrappedKey::read(&path)? {
        let public = key.public.clone();
        let handle = load(context, parent, key).map_err(|source| TpmError::ForeignKey {
            path,
            source: source.into(),
        })?;
        return Ok((handle, public));
    }
    let template = signing_key(restricted).map_err(failed)?;
    let created = with_ek(context, parent.1, |context, policy| {
        context.execute_with_session(Some(policy), |context| {
            context.create(parent.0, template, None, None, None, None)
        })
    })
    .map_err(failed)?;
    let key = WrappedKey {
        public: created.out_public,
        private: created.out_private,
    };
    // On disk before first use: an identity that has been shown to anybody survives a crash.
    key.write(&path)?;
    tracing::info!(path = %path.display(), restricted, "made a key in the TPM");
    let public = key.public.clone();
    let handle = load(context, parent, key).map_err(failed)?;
    Ok((handle, public))
}

fn load(
    context: &mut Context,
    parent: (KeyHandle, EndorsementKey),
    key: WrappedKey,
) -> Answer<KeyHandle> {
    with_ek(context, parent.1, |context, policy| {
        context.execute_with_session(Some(policy), |context| {
            context.load(parent.0, key.private, key.public)
        })
    })
}

/// ECDSA P-256 with SHA-256, fixed to this TPM; restricted for an attestation key.
fn signing_key(restricted: bool) -> Answer<Public> {
    let attributes = ObjectAttributesBuilder::new()
        .with_fixed_tpm(true)
        .with_fixed_parent(true)
        .with_sensitive_data_origin(true)
        .with_user_with_auth(true)
        .with_sign_encrypt(true)
        .with_restricted(restricted)
        // Else a few power losses in a row lock the TPM against dictionary attacks, and the node out of its keys.
        .with_no_da(true)
        .build()?;
    let parameters = PublicEccParametersBuilder::new()
        .with_symmetric(SymmetricDefinitionObject::Null)
        .with_ecc_scheme(EccScheme::EcDsa(HashScheme::new(HashingAlgorithm::Sha256)))
        .with_curve(EccCurve::NistP256)
        .with_key_derivation_function_scheme(KeyDerivationFunctionScheme::Null)
        .with_is_signing_key(true)
        .with_restricted(restricted)
        .build()?;
    PublicBuilder::new()
        .with_public_algorithm(PublicAlgorithm::Ecc)
        .with_name_hashing_algorithm(HashingAlgorithm::Sha256)
        .with_object_attributes(attributes)
        .with_ecc_parameters(parameters)
        .with_ecc_unique_identifier(EccPoint::default())
        .build()
}

/// Runs `command` with a session that authorises use of the endorsement key: its PolicySecret(endorsement hierarchy), or its
/// empty password where the template lets that do.
fn with_ek<T>(
    context: &mut Context,
    key: EndorsementKey,
    command: impl FnOnce(&mut Context, AuthSession) -> Answer<T>,
) -> Answer<T> {
    if key == EndorsementKey::EccP384 {
        return command(context, AuthSession::Password);
    }
    let session = context
        .start_auth_session(
            None,
            None,
            None,
            SessionType::Policy,
            SymmetricDefinition::AES_128_CFB,
            HashingAlgorithm::Sha256,
        )?
        .ok_or(tss_esapi::Error::WrapperError(
            tss_esapi::WrapperErrorKind::WrongValueFromTpm,
        ))?;
    let answer = PolicySession::try_from(session)
        .and_then(|policy| {
            context.execute_with_nullauth_session(|context| {
                context.policy_secret(
                    policy,
                    AuthHandle::Endorsement,
                    Default::default(),
                    Default::default(),
                    Default::default(),
                    None,
                )
            })
        })
        .and_then(|_| command(context, session));
    // Flushed also on failure: a TPM has three session slots. A used policy session is already gone.
    let _ = context.flush_context(SessionHandle::from(session).into());
    answer
}

/// The ticket for a digest that the TPM did not compute itself: an unrestricted key needs none.
fn no_ticket() -> Answer<HashcheckTicket> {
    tss_esapi::tss2_esys::TPMT_TK_HASHCHECK {
        tag: tss::TPM2_ST_HASHCHECK,
        hierarchy: tss::TPM2_RH_NULL,
        digest: Default::default(),
    }
    .try_into()
}

fn attestation((attest, signature): (Attest, Signature)) -> Result<Attestation, TpmError> {
    let attest = attest
        .marshall()
        .map_err(failed("marshal an attestation"))?;
    Ok(Attestation {
        attest,
        signature: p256_signature(&signature)?,
    })
}

fn p256_signature(signature: &Signature) -> Result<[u8; 64], TpmError> {
    let bytes = signature
        .marshall()
        .map_err(failed("marshal a signature"))?;
    let signature = verifier::tpm::Signature::parse(&bytes)?.to_p256_bytes()?;
    Ok(signature.into())
}
