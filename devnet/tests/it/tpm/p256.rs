//! An endorsement key on P-256. The tools that manufacture software TPMs certify RSA and P-384 keys only; here the same local maker
//! certifies the P-256 key of the same TPM, and the certificate is put where a maker puts it.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::str::FromStr as _;

use devnet::swtpm::SwTpm;
use storage_node::tpm::Tpm as _;
use tss_esapi::Context;
use tss_esapi::abstraction::{AsymmetricAlgorithmSelection, ek};
use tss_esapi::attributes::NvIndexAttributesBuilder;
use tss_esapi::handles::NvIndexTpmHandle;
use tss_esapi::interface_types::algorithm::HashingAlgorithm;
use tss_esapi::interface_types::ecc::EccCurve;
use tss_esapi::interface_types::resource_handles::{NvAuth, Provision};
use tss_esapi::interface_types::session_handles::AuthSession;
use tss_esapi::structures::{MaxNvBuffer, NvPublicBuilder, Public};
use tss_esapi::tcti_ldr::TctiNameConf;
use verifier::tpm::EndorsementKey;

use super::{Lab, PCRS, STATEMENT, judge_quote};

/// Where a certificate of a P-256 endorsement key lies (TCG EK Credential Profile 2.5, section 2.2.1.4).
const INDEX: u32 = 0x01c0_000a;
/// Bytes a TPM takes with one NV_Write.
const PIECE: usize = 512;

#[test]
fn a_machine_enrols_with_its_p_256_key() {
    let lab = Lab::new();
    let machine = lab.manufacture("a");
    certify(&lab, &machine);
    let key = EndorsementKey::EccP256;
    let mut tpm = lab.try_open_with("a", &machine, key).unwrap();
    let facts = lab.enrol(&mut tpm);
    assert_eq!(facts.endorsement_key, key);
    let quoted = tpm.quote(STATEMENT, &PCRS).unwrap();
    judge_quote(&facts.ak, &quoted).unwrap();
    let rsa = lab.enrol(
        &mut lab
            .try_open_with("rsa", &machine, EndorsementKey::Rsa2048)
            .unwrap(),
    );
    assert_ne!(rsa.hardware_id, facts.hardware_id, "one TPM, two machines");
}

/// The maker certifies the TPM's P-256 key.
fn certify(lab: &Lab, machine: &SwTpm) {
    let mut context = Context::new(TctiNameConf::from_str(&machine.tcti()).unwrap()).unwrap();
    let curve = AsymmetricAlgorithmSelection::Ecc(EccCurve::NistP256);
    let key = ek::create_ek_object_2(&mut context, curve, None).unwrap();
    let (public, _, _) = context.read_public(key).unwrap();
    let Public::Ecc { unique, .. } = public else {
        panic!("an elliptic-curve key was asked for");
    };
    context.flush_context(key.into()).unwrap();
    let [x, y] = [unique.x(), unique.y()].map(|it| alloy::hex::encode(it.value()));
    let folder = tempfile::tempdir().unwrap();
    sign(lab, folder.path(), &format!("x={x},y={y},id=secp256r1"));
    write(
        &mut context,
        &fs::read(folder.path().join("ek.cert")).unwrap(),
    );
}

/// `ek.cert` in a folder, signed by the maker that signed the TPM's other certificates.
fn sign(lab: &Lab, folder: &Path, key: &str) {
    let maker = lab.ca.root_pem();
    let maker = maker.parent().unwrap();
    let setup = fs::read_to_string(maker.join("setup.conf")).unwrap();
    let tool = setup
        .lines()
        .find_map(|line| line.strip_prefix("create_certs_tool = "));
    let output = Command::new(tool.unwrap())
        .args([
            "--type",
            "ek",
            "--tpm2",
            "--decryption",
            "--vmid",
            "a",
            "--ek",
            key,
        ])
        .args([
            "--tpm-spec-family",
            "2.0",
            "--tpm-spec-level",
            "0",
            "--tpm-spec-revision",
            "164",
        ])
        .args([
            "--tpm-manufacturer",
            "id:00001014",
            "--tpm-model",
            "swtpm",
            "--tpm-version",
            "id:20191023",
        ])
        .arg("--dir")
        .arg(folder)
        .arg("--configfile")
        .arg(maker.join("localca.conf"))
        .arg("--optsfile")
        .arg(maker.join("localca.options"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
}

fn write(context: &mut Context, certificate: &[u8]) {
    let attributes = NvIndexAttributesBuilder::new()
        .with_owner_write(true)
        .with_owner_read(true)
        .with_auth_read(true)
        .with_no_da(true)
        .build()
        .unwrap();
    let area = NvPublicBuilder::new()
        .with_nv_index(NvIndexTpmHandle::new(INDEX).unwrap())
        .with_index_name_algorithm(HashingAlgorithm::Sha256)
        .with_index_attributes(attributes)
        .with_data_area_size(certificate.len())
        .build()
        .unwrap();
    context.execute_with_session(Some(AuthSession::Password), |context| {
        let index = context
            .nv_define_space(Provision::Owner, None, area)
            .unwrap();
        for (place, piece) in certificate.chunks(PIECE).enumerate() {
            let offset = u16::try_from(place * PIECE).unwrap();
            let piece = MaxNvBuffer::try_from(piece).unwrap();
            context
                .nv_write(NvAuth::Owner, index, piece, offset)
                .unwrap();
        }
    });
}
