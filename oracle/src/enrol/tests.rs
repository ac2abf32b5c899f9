//! What an oracle asks of a machine, and by which policy. That a TPM opens credentials is tested in `devnet`, with a real one.

#![allow(clippy::unwrap_used)]

use verifier::LatencyMs;
use verifier::policy::{Digest, EndorsementKeyOf, TpmClass, TpmPolicy};
use verifier::tee::GuestReport;
use verifier::tpm::EndorsementKey;
use verifier::typed_data::recover;

use super::*;
use crate::onchain::Event;
use crate::onchain::memory::MemoryChain;
use crate::rules::PolicyOnFile;
use crate::testing::{World, oracle_key, policy};

mod tpm;

use tpm::fixture::{CertificateBody, SoftKey, certify_body, ek_public_area};

const ROOT: &str = "CN=Root";
/// Epochs after that of the other tests: blocks 90 to 129, and the one after it.
const NOW: Epoch = Epoch(2);
const NEXT: Epoch = Epoch(3);

fn valid_now(mut body: CertificateBody) -> CertificateBody {
    (body.not_before, body.not_after) = (unix_time() - 1_000, unix_time() + 100_000);
    body
}

fn root(name: &str, key: &SoftKey) -> RootStore {
    RootStore::new([valid_now(CertificateBody::ca(name, key, None)).issue_certificate(name, key)])
}

/// A policy that takes the machine, but for what `change` makes of it.
fn taking(change: impl Fn(&mut Policy)) -> PolicyOnFile {
    let mut policy = policy();
    change(&mut policy);
    PolicyOnFile::new(policy, root(ROOT, &SoftKey::node(100)))
}

fn tpms(classes: &[TpmClass]) -> TpmPolicy {
    TpmPolicy {
        classes: classes.to_vec(),
        minimum_firmware: Vec::new(),
        only_listed_manufacturers: false,
        endorsement_keys: Vec::new(),
        denied: Vec::new(),
    }
}

/// An oracle of a chain in epoch 2, and a machine.
struct Bench {
    world: World,
    enroller: Enroller,
    in_force: B256,
    request: EnrolmentRequest,
    ak: SoftKey,
}

impl Bench {
    /// By the policy in force, and one that is announced for the next epoch.
    async fn new(
        in_force: PolicyOnFile,
        announced: Option<B256>,
        on_file: Vec<PolicyOnFile>,
    ) -> Self {
        let world = World::new().await;
        let hash = in_force.hash();
        for (from_epoch, policy_hash) in [(NOW, Some(hash)), (NEXT, announced)] {
            if let Some(policy_hash) = policy_hash {
                let event = Event::PolicyChanged {
                    policy_hash,
                    from_epoch,
                };
                world.chain.log(56, event);
            }
        }
        world.to_block(95).await;
        let deployment = world.chain.deployment();
        let rules = Rules::new(
            deployment,
            MemoryChain::SCHEDULE,
            std::iter::once(in_force).chain(on_file).collect(),
            circuits::keys::VerifyingKey::committed(&circuits::Profile::DEV)
                .unwrap()
                .clone(),
        );
        let store = world.members[0].store.clone();
        let enroller = Enroller::new(store, rules, world.chain.clone(), oracle_key(0));
        let (ak, node_key) = (SoftKey::attestation(1), SoftKey::node(2));
        let ek = tpm::Public::parse(&ek_public_area()).unwrap();
        let certificate = valid_now(CertificateBody::ek(ek.key));
        Self {
            request: EnrolmentRequest {
                chain_id: deployment.chain_id,
                registry: deployment.registry.into_array(),
                address: [0xbb; 20],
                ek_certificate: certificate.issue(ROOT, &SoftKey::node(100)),
                intermediates: vec![],
                ek_public: ek_public_area(),
                ak_public: ak.public_area(),
                node_key_public: node_key.public_area(),
                expiry: unix_time() + 600,
                guest: None,
            },
            world,
            enroller,
            in_force: hash,
            ak,
        }
    }

    /// Under a policy alone.
    async fn under(in_force: PolicyOnFile) -> Self {
        Self::new(in_force, None, Vec::new()).await
    }

    /// With another policy to come, which this oracle has on file.
    async fn before(announced: PolicyOnFile) -> Self {
        let hash = announced.hash();
        Self::new(taking(|_| {}), Some(hash), vec![announced]).await
    }

    fn begin(&self) -> Result<Begun, EnrolError> {
        let from = Requester::from(std::net::IpAddr::from([192, 0, 2, 1]));
        self.enroller
            .begin(self.request.clone(), from, self.in_force)
    }

    /// What only the machine's TPM finds in its credential.
    fn secret(&self, session: &[u8; 16]) -> Zeroizing<[u8; 32]> {
        let mut sessions = self.enroller.sessions.lock().unwrap();
        let open = sessions.take(session, Instant::now()).unwrap();
        let (secret, hardware) = (open.secret.clone(), open.facts.hardware_id);
        let from = Requester::from(std::net::IpAddr::from([192, 0, 2, 1]));
        assert!(sessions.open(*session, from, hardware, open, Instant::now()));
        secret
    }

    async fn finish(
        &self,
        begun: &Begun,
        secret: &[u8],
        epoch: Epoch,
    ) -> Result<Enrolled, EnrolError> {
        let facts =
            judge_request(&self.request, &root(ROOT, &SoftKey::node(100)), unix_time()).unwrap();
        let request = &self.request;
        let qualifying = qualifying_data(
            request.chain_id,
            &request.registry,
            &request.address,
            &begun.nonce,
        );
        let parent = facts.ek_qualified_name();
        let attest = certify_body(
            &facts.ak.qualified_name(&parent),
            &qualifying,
            &facts.node_key.name(),
            &facts.node_key.qualified_name(&parent),
        );
        let signature = self.ak.sign(&attest);
        let secret = Zeroizing::new(secret.to_vec());
        self.enroller
            .finish(&begun.session, secret, &attest, &signature, epoch)
            .await
    }

    /// A whole enrolment, in epoch 2.
    async fn enrol(&self) -> Result<Enrolled, EnrolError> {
        let begun = self.begin()?;
        let secret = self.secret(&begun.session);
        self.finish(&begun, secret.as_slice(), NOW).await
    }

    async fn denial(&self) -> &'static str {
        match self.enrol().await.unwrap_err() {
            EnrolError::Denied(denial) => denial.code(),
            EnrolError::Rejected(reject) => reject.code(),
            other => panic!("{other}"),
        }
    }
}

#[tokio::test]
async fn a_machine_that_proves_itself_is_signed_for_and_kept() {
    let bench = Bench::under(taking(|it| it.tpm = Some(tpms(&TpmClass::ALL)))).await;
    let enrolled = bench.enrol().await.unwrap();
    let roots = root(ROOT, &SoftKey::node(100));
    let facts = judge_request(&bench.request, &roots, unix_time()).unwrap();
    let statement = facts.statement(&bench.request);
    let digest = bench.world.chain.deployment().registry_digest(&statement);
    let signer = recover(&digest, &enrolled.signature).unwrap();
    assert_eq!(signer, oracle_key(0).address());
    let identity = verifier::report::Identity {
        account: bench.request.address.into(),
        hardware_id: facts.hardware_id,
        ak_hash: facts.ak_hash,
        node_key_hash: facts.node_key_hash,
    };
    let store = &bench.world.members[0].store;
    let row = store.enrolment(digest, &identity).await.unwrap().unwrap();
    assert_eq!(row.signature, enrolled.signature);
}

#[tokio::test]
async fn a_wrong_secret_ends_the_session() {
    let bench = Bench::under(taking(|_| {})).await;
    let begun = bench.begin().unwrap();
    let secret = bench.secret(&begun.session);
    let guessed = bench.finish(&begun, &[0; 32], NOW).await.unwrap_err();
    assert!(matches!(guessed, EnrolError::WrongSecret), "{guessed}");
    let late = bench
        .finish(&begun, secret.as_slice(), NOW)
        .await
        .unwrap_err();
    assert!(matches!(late, EnrolError::NoSession), "{late}");
}

#[tokio::test]
async fn who_the_next_policy_shuts_out_does_not_get_in_during_the_last_epochs() {
    let virtual_ones_out = taking(|it| it.tpm = Some(tpms(&[TpmClass::Discrete])));
    let bench = Bench::before(virtual_ones_out).await;
    assert_eq!(bench.denial().await, "POLICY_TPM_CLASS");

    let hardware = judge_request(
        &bench.request,
        &root(ROOT, &SoftKey::node(100)),
        unix_time(),
    )
    .unwrap()
    .hardware_id;
    let by_name = taking(|it| {
        it.tpm = Some(TpmPolicy {
            denied: vec![Digest(hardware)],
            ..tpms(&TpmClass::ALL)
        });
    });
    assert_eq!(
        Bench::before(by_name).await.denial().await,
        "POLICY_TPM_DENIED"
    );

    let other_makers = PolicyOnFile::new(policy(), root("CN=Other", &SoftKey::node(101)));
    let bench = Bench::before(other_makers).await;
    assert_eq!(bench.denial().await, "CERTIFICATE_UNTRUSTED_ISSUER");
}

#[tokio::test]
async fn a_policy_to_come_shuts_nobody_out_by_a_key_it_wants_or_by_being_unknown() {
    // Nobody's TPM could enrol by both rules, and this one's stays enrolled when the other comes.
    let other_key = taking(|it| {
        it.tpm = Some(TpmPolicy {
            endorsement_keys: vec![EndorsementKeyOf {
                manufacturer: "PROB".into(),
                key: EndorsementKey::EccP384,
            }],
            ..tpms(&TpmClass::ALL)
        });
    });
    Bench::before(other_key).await.enrol().await.unwrap();
    let unknown = Some(B256::repeat_byte(0xee));
    let bench = Bench::new(taking(|_| {}), unknown, Vec::new()).await;
    bench.enrol().await.unwrap();
}

#[tokio::test]
async fn a_session_of_the_policy_before_is_over() {
    let bench = Bench::before(taking(|it| it.slow_after = LatencyMs(1))).await;
    let begun = bench.begin().unwrap();
    let secret = bench.secret(&begun.session);
    bench.world.to_block(135).await;
    let late = bench.finish(&begun, secret.as_slice(), NEXT).await;
    assert!(matches!(late, Err(EnrolError::NoSession)), "{late:?}");
}

#[tokio::test]
async fn a_policy_that_asks_for_a_confidential_guest_takes_no_machine_without_one() {
    let text = format!(
        "pcrs = [0]\nslow_after = 500\n[tdx]\nmr_td = [\"{}\"]\n{}",
        "05".repeat(48),
        ["rt_mr0", "rt_mr1", "rt_mr2", "rt_mr3"]
            .map(|it| format!("{it} = \"any\"\n"))
            .concat(),
    );
    let asking = Policy::parse(&text).unwrap();
    let asking = || PolicyOnFile::new(asking.clone(), root(ROOT, &SoftKey::node(100)));
    assert_eq!(
        Bench::under(asking()).await.denial().await,
        "POLICY_FACT_UNKNOWN"
    );
    assert_eq!(
        Bench::before(asking()).await.denial().await,
        "POLICY_FACT_UNKNOWN"
    );
    // Bytes that no processor signed open no session.
    let mut bench = Bench::under(asking()).await;
    bench.request.guest = Some(guest(BlockNumber(95), B256::ZERO));
    let refused = bench.begin().unwrap_err().to_string();
    assert!(refused.starts_with("TDX_"), "{refused}");
}

fn guest(block: BlockNumber, block_hash: B256) -> GuestEvidence {
    GuestEvidence {
        block,
        block_hash,
        report: GuestReport::Tdx {
            quote: vec![1].into(),
            collateral: vec![2].into(),
        },
    }
}

#[tokio::test]
async fn a_guests_report_is_of_a_block_that_this_chain_had_lately() {
    let bench = Bench::under(taking(|_| {})).await;
    let chain = &bench.world.chain;
    let hash = |block| chain.block_hash(BlockNumber(block));
    let known = hash(90).await.unwrap().unwrap();
    let enroller = &bench.enroller;
    let recent = |block, hash| {
        let guest = guest(BlockNumber(block), hash);
        async move { enroller.check_recent(&guest).await }
    };
    recent(90, known).await.unwrap();
    for (block, hash) in [(91, known), (90, B256::ZERO)] {
        let stale = recent(block, hash).await.unwrap_err();
        assert!(matches!(stale, EnrolError::Stale(it) if it.0 == block));
    }
    // An oracle whose endpoint lags says so, and refuses nothing.
    for block in [96, u64::MAX] {
        let ahead = recent(block, known).await.unwrap_err();
        assert!(matches!(ahead, EnrolError::UnknownBlock(it) if it.0 == block));
    }
    chain.set_head(90 + MAX_GUEST_AGE - 1);
    recent(90, known).await.unwrap();
    chain.set_head(90 + MAX_GUEST_AGE);
    assert!(recent(90, known).await.is_err());
}

#[tokio::test]
async fn a_tpm_without_a_bond_fills_no_disk() {
    let mut bench = Bench::under(taking(|_| {})).await;
    for number in 0..MAX_OPEN {
        bench.request.expiry = unix_time() + 600 + number;
        bench.enrol().await.unwrap();
    }
    bench.request.expiry += 1;
    let refused = bench.enrol().await.unwrap_err();
    assert!(matches!(refused, EnrolError::TooMany), "{refused}");
    let store = &bench.world.members[0].store;
    let open = async || store.open_enrolments(&bench.request.ek_public, 0).await;
    // What an account registered with stays; that of one that has no node goes when it cannot register any more.
    store.forget_unregistered(unix_time() + 600).await.unwrap();
    assert_eq!(open().await.unwrap(), MAX_OPEN);
    store
        .forget_unregistered(unix_time() + 9_999)
        .await
        .unwrap();
    assert_eq!(open().await.unwrap(), 0);
}
