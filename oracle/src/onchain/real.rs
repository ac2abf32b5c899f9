//! The chain over JSON-RPC, through the crate `chain`.

use alloy::primitives::{B256, Bytes, U256};
use alloy::sol_types::SolInterface;
use async_trait::async_trait;
use chain::bindings::StorageProofVerifier;
use chain::bindings::deals::Deals::DealsEvents;
use chain::bindings::hub::Hub::{self, HubEvents};
use chain::bindings::registry::Registry::{self, RegistryEvents};
use chain::types::{
    QuorumSignatures, Report as AbiReport, Schedule as AbiSchedule, Verdict as AbiVerdict,
};
use chain::{Client, EventBody, Sender};
use verifier::committee::Deployment;
use verifier::inventory::{Operation, ShardRoots};
use verifier::report::{Identity, Report, Verdict};
use verifier::typed_data::{self, SIGNATURE_BYTES};
use verifier::{BlockNumber, DealId, Epoch, NodeId, Reason, Slot};

use super::{
    BlockRef, ChainError, Endpoint, Event, InventoryChange, Logged, OnChain, OracleMember,
    Registration, Schedule, Settled,
};

/// A deployment on a chain.
#[derive(Clone, Debug)]
pub struct RealChain {
    client: Client,
    sender: Sender,
    schedule: Schedule,
}

impl From<chain::ChainError> for ChainError {
    fn from(error: chain::ChainError) -> Self {
        match error.revert() {
            Some(revert) => Self::Reverted(revert.to_string()),
            None => Self::Unavailable(error.to_string()),
        }
    }
}

impl RealChain {
    /// Connects to a deployment, and sends from the account of `key`.
    ///
    /// # Errors
    /// [`ChainError`] if no endpoint answers, or something else is at the addresses.
    pub async fn connect(
        deployment: chain::Deployment,
        key: alloy::signers::local::PrivateKeySigner,
    ) -> Result<Self, ChainError> {
        let client = Client::connect(deployment).await?;
        let clock = client.clock().await?;
        let AbiSchedule {
            genesisBlock: genesis,
            epochBlocks: epoch_blocks,
            fallbackBlock: fallback,
            deadlineBlock: deadline,
            reportWindowEpochs: report_window,
            disputeBlocks: dispute_blocks,
            eraEpochs: era_epochs,
            ..
        } = *clock.schedule();
        let schedule = Schedule {
            genesis,
            epoch_blocks,
            fallback,
            deadline,
            report_window,
            dispute_blocks,
            era_epochs,
        };
        let sender = Sender::new(client.rpc().clone(), key);
        Ok(Self {
            client,
            sender,
            schedule,
        })
    }

    /// The oracle set's version in force in the current epoch, from the latest block.
    ///
    /// # Errors
    /// [`ChainError`].
    pub async fn current_set(&self) -> Result<(u32, Vec<OracleMember>), ChainError> {
        let view = self.client.latest();
        let version = view.oracle_set_version(view.current_epoch().await?).await?;
        Ok((
            version,
            view.oracle_set(version)
                .await?
                .into_iter()
                .map(member)
                .collect(),
        ))
    }

    async fn input_of<C: SolInterface>(&self, transaction: B256) -> Result<C, ChainError> {
        use alloy::consensus::Transaction;
        use alloy::providers::Provider;
        let unavailable =
            |why: String| ChainError::Unavailable(format!("transaction {transaction}: {why}"));
        let found = self
            .client
            .rpc()
            .provider()
            .get_transaction_by_hash(transaction)
            .await
            .map_err(|error| unavailable(error.to_string()))?
            .ok_or_else(|| unavailable("the endpoint does not have it".into()))?;
        C::abi_decode(found.input())
            .map_err(|error| unavailable(format!("called another function: {error}")))
    }

    /// What a node registered or enrolled again with. Under a quote policy the calls have other names, and the TPM's statements beside the
    /// same arguments.
    async fn enrolment_in(
        &self,
        transaction: B256,
    ) -> Result<(Registry::Enrolment, Registry::QuorumSignatures), ChainError> {
        use Registry::{
            RegistryCalls as Call, reenrolCall, reenrolWithQuoteCall, registerCall,
            registerWithQuoteCall,
        };
        Ok(match self.input_of(transaction).await? {
            Call::register(registerCall {
                enrolment, quorum, ..
            })
            | Call::registerWithQuote(registerWithQuoteCall {
                enrolment, quorum, ..
            })
            | Call::reenrol(reenrolCall { enrolment, quorum })
            | Call::reenrolWithQuote(reenrolWithQuoteCall {
                enrolment, quorum, ..
            }) => (enrolment, quorum),
            _ => {
                return Err(ChainError::Unavailable(format!(
                    "transaction {transaction}: no quorum of oracles enrols a machine in it"
                )));
            }
        })
    }
}

fn member(info: chain::types::OracleInfo) -> OracleMember {
    OracleMember {
        account: info.account,
        endpoint: Endpoint {
            url: info.url,
            tls_key_hash: info.tlsKeyHash,
        },
    }
}

fn split(signatures: &Bytes) -> Vec<Bytes> {
    signatures
        .chunks_exact(SIGNATURE_BYTES)
        .map(Bytes::copy_from_slice)
        .collect()
}

fn abi_report(report: &Report) -> AbiReport {
    AbiReport {
        epoch: report.epoch.0,
        view_: report.view,
        beacon: report.beacon,
        setVersion: report.set_version,
        policyHash: report.policy_hash,
        leafCount: report.leaf_count,
        verdictRoot: report.verdict_root,
        archiveRoot: report.archive_root,
        anchorBlock: report.anchor_block.0,
        anchorHash: report.anchor_hash,
        passed: report.passed,
        failed: report.failed,
        unjudged: report.unjudged,
    }
}

fn report_of(report: &AbiReport) -> Report {
    Report {
        epoch: Epoch(report.epoch),
        view: report.view_,
        beacon: report.beacon,
        set_version: report.setVersion,
        policy_hash: report.policyHash,
        leaf_count: report.leafCount,
        verdict_root: report.verdictRoot,
        archive_root: report.archiveRoot,
        anchor_block: BlockNumber(report.anchorBlock),
        anchor_hash: report.anchorHash,
        passed: report.passed,
        failed: report.failed,
        unjudged: report.unjudged,
    }
}

fn abi_verdict(verdict: &Verdict) -> AbiVerdict {
    AbiVerdict {
        epoch: verdict.epoch.0,
        node: verdict.node.0,
        identityHash: verdict.identity_hash,
        root: verdict.root,
        count: verdict.count,
        reason: verdict.reason.code(),
        judged: verdict.judged,
        availabilityBps: verdict.availability.0,
        latencyP95Ms: verdict.latency_p95.0,
        throughput: verdict.throughput.0,
        evidenceHash: verdict.evidence_hash,
    }
}

/// What an oracle needs of an event; `None` for the others.
fn event_of(body: EventBody) -> Option<Event> {
    match body {
        EventBody::Registry(event) => registry_event(event),
        EventBody::Deals(event) => deals_event(event),
        EventBody::Hub(event) => hub_event(event),
    }
}

fn registry_event(event: RegistryEvents) -> Option<Event> {
    Some(match event {
        RegistryEvents::NodeRegistered(it) => Event::NodeRegistered {
            node: NodeId(it.node),
            identity: Identity {
                account: it.account,
                hardware_id: it.hardwareId,
                ak_hash: it.akHash,
                node_key_hash: it.nodeKeyHash,
            },
            endpoint: Endpoint {
                url: it.url,
                tls_key_hash: it.tlsKeyHash,
            },
        },
        RegistryEvents::MachineChanged(it) => Event::MachineChanged {
            node: NodeId(it.node),
            hardware_id: it.hardwareId,
            ak_hash: it.akHash,
            node_key_hash: it.nodeKeyHash,
        },
        RegistryEvents::EndpointChanged(it) => Event::EndpointChanged {
            node: NodeId(it.node),
            endpoint: Endpoint {
                url: it.url,
                tls_key_hash: it.tlsKeyHash,
            },
        },
        RegistryEvents::NodeRemoved(it) => Event::NodeLeft(NodeId(it.node)),
        RegistryEvents::Withdrawn(it) => Event::NodeLeft(NodeId(it.node)),
        RegistryEvents::OracleSetChanged(it) => Event::OracleSet {
            version: it.version,
            from_epoch: Epoch(it.fromEpoch),
            members: it
                .oracles
                .into_iter()
                .map(|info| OracleMember {
                    account: info.account,
                    endpoint: Endpoint {
                        url: info.url,
                        tls_key_hash: info.tlsKeyHash,
                    },
                })
                .collect(),
        },
        _ => return None,
    })
}

fn deals_event(event: DealsEvents) -> Option<Event> {
    Some(match event {
        DealsEvents::SlotPublished(it) => Event::SlotPublished {
            deal: DealId(it.deal),
            slot: Slot(it.slot),
            offset: it.offset,
            roots: it
                .roots
                .into_iter()
                .map(|roots| ShardRoots {
                    storage_root: roots.storageRoot,
                    transport_root: roots.transportRoot,
                    content_id: roots.contentId,
                })
                .collect(),
        },
        DealsEvents::SlotAccepted(it) => Event::Inventory(InventoryChange {
            operation: Operation::Accept,
            node: NodeId(it.node),
            deal: DealId(it.deal),
            slot: Slot(it.slot),
            stripes: it.stripes,
            log: it.log,
            root: it.root,
            count: it.count,
        }),
        DealsEvents::SlotDropped(it) => Event::Inventory(InventoryChange {
            operation: Operation::Drop,
            node: NodeId(it.node),
            deal: DealId(it.deal),
            slot: Slot(it.slot),
            stripes: it.stripes,
            log: it.log,
            root: it.root,
            count: it.count,
        }),
        _ => return None,
    })
}

fn hub_event(event: HubEvents) -> Option<Event> {
    Some(match event {
        HubEvents::BeaconRecorded(it) => Event::Beacon(Epoch(it.epoch), it.beacon),
        HubEvents::ProofSubmitted(it) => Event::ProofSubmitted {
            node: NodeId(it.node),
            epoch: Epoch(it.epoch),
            envelope_hash: it.envelopeHash,
            body: it.body,
            node_signature: it.nodeSignature,
            proof: it
                .proof
                .iter()
                .flat_map(|word| word.to_be_bytes::<32>())
                .collect::<Vec<u8>>()
                .into(),
        },
        HubEvents::PolicyChanged(it) => Event::PolicyChanged {
            policy_hash: it.policyHash,
            from_epoch: Epoch(it.fromEpoch),
        },
        HubEvents::PolicyWithdrawn(it) => Event::PolicyWithdrawn(Epoch(it.fromEpoch)),
        HubEvents::ReportAccepted(it) => Event::Report(report_of(&it.report)),
        HubEvents::VerdictSettled(it) => Event::Settled(
            NodeId(it.node),
            Epoch(it.epoch),
            Settled {
                reason: Reason::from_code(it.reason),
                skipped: None,
                paid: it.paid,
                grace: it.grace,
                slashed: it.slashed,
                scores: Some((it.storageScoreBps, it.availabilityScoreBps)),
            },
        ),
        HubEvents::EpochSkipped(it) => Event::Settled(
            NodeId(it.node),
            Epoch(it.epoch),
            Settled {
                reason: None,
                skipped: Some(it.cause),
                paid: it.paid,
                grace: false,
                slashed: U256::ZERO,
                scores: None,
            },
        ),
        _ => return None,
    })
}

#[async_trait]
impl OnChain for RealChain {
    fn deployment(&self) -> Deployment {
        let deployment = self.client.deployment();
        Deployment {
            chain_id: deployment.chain_id,
            hub: deployment.hub,
            registry: deployment.registry,
        }
    }

    fn schedule(&self) -> Schedule {
        self.schedule
    }

    fn first_block(&self) -> BlockNumber {
        BlockNumber(self.client.deployment().deployment_block)
    }

    async fn head(&self) -> Result<BlockNumber, ChainError> {
        Ok(BlockNumber(self.client.rpc().head().await?.number))
    }

    async fn finalized(&self) -> Result<BlockRef, ChainError> {
        let block = self.client.rpc().finalized().await?;
        Ok(BlockRef {
            number: BlockNumber(block.number),
            hash: block.hash,
        })
    }

    async fn block_hash(&self, block: BlockNumber) -> Result<Option<B256>, ChainError> {
        match self.client.rpc().block_hash(block.0).await {
            Ok(hash) => Ok(Some(hash)),
            Err(chain::ChainError::NoSuchBlock { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    async fn events(&self, from: BlockNumber, to: BlockNumber) -> Result<Vec<Logged>, ChainError> {
        let events = self.client.events(from.0, to.0).await?;
        Ok(events
            .into_iter()
            .filter_map(|event| {
                Some(Logged {
                    block: BlockNumber(event.block),
                    transaction: event.transaction,
                    event: event_of(event.body)?,
                })
            })
            .collect())
    }

    async fn policies(&self) -> Result<Vec<(Epoch, B256)>, ChainError> {
        let periods = self.client.latest().policy_periods().await?;
        Ok(periods
            .into_iter()
            .map(|it| (Epoch(it.fromEpoch), it.policyHash))
            .collect())
    }

    async fn beacon(&self, epoch: Epoch) -> Result<Option<B256>, ChainError> {
        Ok(Some(self.client.latest().beacon(epoch.0).await?).filter(|beacon| !beacon.is_zero()))
    }

    async fn is_reported(&self, epoch: Epoch) -> Result<bool, ChainError> {
        Ok(self.client.latest().report(epoch.0).await?.reportedBlock != 0)
    }

    async fn settlement(&self, node: NodeId) -> Result<(Epoch, bool), ChainError> {
        let view = self.client.latest();
        Ok((
            Epoch(view.cursor(node.0).await?),
            view.is_behind(node.0).await?,
        ))
    }

    async fn circuit(&self) -> Result<B256, ChainError> {
        let (view, hub) = (self.client.latest(), self.client.deployment().hub);
        let verifier = view.read(hub, &Hub::verifierCall {}).await?;
        let id = view.read(verifier, &StorageProofVerifier::CIRCUIT_IDCall {});
        Ok(id.await?)
    }

    async fn registration(&self, transaction: B256) -> Result<Registration, ChainError> {
        let (it, quorum) = self.enrolment_in(transaction).await?;
        Ok(Registration {
            enrolment: typed_data::Enrolment {
                account: it.account,
                hardwareId: it.hardwareId,
                akHash: it.akHash,
                nodeKeyHash: it.nodeKeyHash,
                resultHash: it.resultHash,
                tpmClass: it.tpmClass,
                expiry: it.expiry,
            },
            signatures: split(&quorum.signatures),
        })
    }

    async fn report_signatures(&self, transaction: B256) -> Result<Vec<Bytes>, ChainError> {
        match self.input_of(transaction).await? {
            Hub::HubCalls::submitReport(call) => Ok(split(&call.quorum.signatures)),
            _ => Err(ChainError::Unavailable(format!(
                "transaction {transaction}: no report is submitted in it"
            ))),
        }
    }

    async fn record_beacon(&self, epoch: Epoch) -> Result<(), ChainError> {
        let hub = self.client.deployment().hub;
        self.sender
            .send(hub, &Hub::recordBeaconCall { epoch: epoch.0 })
            .await?;
        Ok(())
    }

    async fn submit_report(
        &self,
        report: &Report,
        bitmap: U256,
        signatures: Bytes,
    ) -> Result<(), ChainError> {
        let quorum = QuorumSignatures { bitmap, signatures };
        let hub = self.client.deployment().hub;
        self.sender
            .send(
                hub,
                &Hub::submitReportCall {
                    report: abi_report(report),
                    quorum,
                },
            )
            .await?;
        Ok(())
    }

    async fn settle(
        &self,
        node: NodeId,
        verdicts: &[Verdict],
        proofs: &[Vec<B256>],
    ) -> Result<(), ChainError> {
        let call = Hub::settleCall {
            node: node.0,
            verdicts: verdicts.iter().map(abi_verdict).collect(),
            proofs: proofs.to_vec(),
        };
        self.sender
            .send(self.client.deployment().hub, &call)
            .await?;
        Ok(())
    }

    async fn advance(&self, node: NodeId, max_epochs: u64) -> Result<(), ChainError> {
        let call = Hub::advanceCall {
            node: node.0,
            maxEpochs: max_epochs,
        };
        self.sender
            .send(self.client.deployment().hub, &call)
            .await?;
        Ok(())
    }
}
