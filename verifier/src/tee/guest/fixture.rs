//! Guests whose processors are a test's own.
#![allow(clippy::unwrap_used)]

use alloy_primitives::B256;

use super::{GuestEvidence, GuestReport, Processors};
use crate::ids::BlockNumber;
use crate::tee::report_data;
use crate::tpm::EnrolmentRequest;
use crate::{snp, tdx, tpm};

/// The hash of block 9.
pub(crate) const BLOCK_HASH: B256 = B256::repeat_byte(0x99);

/// The makers of both fixtures' processors.
pub(crate) fn processors() -> Processors {
    let amd = snp::fixture::World::milan().anchors;
    Processors::of(amd, tdx::fixture::World::root())
}

/// What a guest of a request's node asks its processor to sign.
pub(crate) fn data(request: &EnrolmentRequest) -> [u8; 64] {
    let node_key = tpm::Public::parse(&request.node_key_public).unwrap();
    let xy = tpm::check_node_key(&node_key).unwrap();
    report_data(&xy, &request.guest_context(&BLOCK_HASH)).0
}

fn evidence(report: GuestReport) -> GuestEvidence {
    GuestEvidence {
        block: BlockNumber(9),
        block_hash: BLOCK_HASH,
        report,
    }
}

/// The report of a SEV-SNP guest over these bytes.
pub(crate) fn snp(data: [u8; 64], change: impl Fn(&mut snp::fixture::World)) -> GuestEvidence {
    let mut world = snp::fixture::World::milan();
    world.set(0x50, &data);
    change(&mut world);
    let [authority, root] = world.chain();
    evidence(GuestReport::Snp {
        report: world.signed().into(),
        endorsement: world.vek.der().into(),
        authority: authority.into(),
        root: root.into(),
    })
}

/// The quote of a TDX guest over these bytes, with collateral that outlives an enrolment.
pub(crate) fn tdx(report_data: [u8; 64], attributes: u64) -> GuestEvidence {
    let world = tdx::fixture::World {
        report_data,
        attributes,
        collateral_until: tpm::fixture::NOW + 900,
        crl_until: tpm::fixture::NOW + 900,
        ..tdx::fixture::World::default()
    };
    evidence(GuestReport::Tdx {
        quote: world.quote().into(),
        collateral: world.collateral().into(),
    })
}
