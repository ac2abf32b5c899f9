//! Reports and quotes whose signatures nobody looks at here.

use verifier::snp::{KeyKind, Product, REPORT_BYTES};

use super::{Seeds, certificates, sized_le};
use crate::{snp, tdx};

/// A report of a version, with the processor's family, model and stepping from version 3 on.
fn report(version: u8, cpuid: Option<[u8; 3]>, tcb: [u8; 8]) -> Vec<u8> {
    let mut report = vec![0; REPORT_BYTES];
    let mut set = |at: usize, bytes: &[u8]| report[at..at + bytes.len()].copy_from_slice(bytes);
    set(0x00, &[version]);
    set(0x04, &[3]);
    // One socket, ABI 1.55.
    set(0x08, &0x0012_0137u64.to_le_bytes());
    set(0x34, &[1]);
    for at in [0x38, 0x180, 0x1e0, 0x1f0] {
        set(at, &tcb);
    }
    set(0x50, &[0x5a; 64]);
    set(0x90, &[0x33; 48]);
    set(0x140, &[0x44; 32]);
    set(0x160, &[0xff; 32]);
    if let Some(cpuid) = cpuid {
        set(0x188, &cpuid);
    }
    set(0x1a0, &[0xc1; 8]);
    for at in [0x1e8, 0x1ec] {
        set(at, &[9, 55, 1]);
    }
    if version == 5 {
        set(0x1f8, &[3]);
        set(0x200, &[7]);
    }
    for at in [0x2a0, 0x2a0 + 72] {
        set(at, &[0x11; 48]);
    }
    report
}

pub fn snp() -> Seeds {
    let milan = [4, 1, 0, 0, 0, 0, 24, 219];
    let mut reserved = report(2, None, milan);
    reserved[REPORT_BYTES - 1] = 1;
    vec![
        ("version_2", report(2, None, milan)),
        ("version_3", report(3, Some([0x19, 0x11, 1]), milan)),
        (
            "version_5",
            report(5, Some([0x1a, 0x02, 1]), [2, 4, 1, 24, 0, 0, 0, 219]),
        ),
        ("reserved-refused", reserved),
    ]
}

/// A quote of a version with a body of a kind; everything in it is well formed but the root is not Intel's.
fn quote(version: u16, kind: Option<(u16, usize)>) -> Vec<u8> {
    let mut quote = version.to_le_bytes().to_vec();
    quote.extend([2, 0, 0x81, 0, 0, 0, 0, 0, 0, 0]);
    quote.extend([0x93; 16]);
    quote.extend([0; 20]);
    let mut body = 584;
    if let Some((kind, size)) = kind {
        quote.extend(kind.to_le_bytes());
        quote.extend((size as u32).to_le_bytes());
        body = size;
    }
    quote.extend(vec![5; body]);
    let chain = [
        certificates::ek_p256(),
        certificates::maker(),
        certificates::root(),
    ]
    .map(|der| certificates::pem("CERTIFICATE", &der))
    .concat();
    let enclave = [
        &[9; 384 + 64][..],
        &32u16.to_le_bytes(),
        &[7; 32],
        &5u16.to_le_bytes(),
        &sized_le(chain.as_bytes()),
    ]
    .concat();
    let data = [&[8; 128][..], &6u16.to_le_bytes(), &sized_le(&enclave)].concat();
    quote.extend(sized_le(&data));
    quote
}

pub fn tdx() -> Seeds {
    let (v4, v5) = (quote(4, None), quote(5, Some((3, 648))));
    vec![
        ("padded", [&v4[..], &[0; 500]].concat()),
        ("surplus-refused", [&v4[..], &[1]].concat()),
        ("version_4", v4),
        ("version_5", v5),
        ("version_5_extended", quote(5, Some((4, 885)))),
    ]
}

pub fn vek() -> Seeds {
    let der = |product, kind| snp::fixture::World::new(product, kind).vek.der();
    let mut both = snp::fixture::World::milan();
    both.vek.with("5", snp::fixture::text("cloud.example"));
    vec![
        ("milan", der(Product::Milan, KeyKind::Vcek)),
        ("genoa_vlek", der(Product::Genoa, KeyKind::Vlek)),
        ("turin", der(Product::Turin, KeyKind::Vcek)),
        ("both-refused", both.vek.der()),
        ("endorsement-refused", certificates::ek_p256()),
    ]
}

pub fn collateral() -> Seeds {
    use tdx::fixture::{Format, World};
    let made = |world: &World| {
        let sized = |bytes: &[u8]| [&(bytes.len() as u16).to_le_bytes(), bytes].concat();
        [
            sized(&World::root()),
            sized(&world.quote()),
            world.collateral(),
        ]
        .concat()
    };
    let honest = World::default();
    let mut extended = honest.clone();
    (extended.format, extended.flags) = (Format::V5Extended, None);
    let mut outdated = honest.clone();
    outdated.cpu_svn = 7;
    let mut revoked = honest.clone();
    revoked.revoked = [true, false];
    vec![
        ("honest", made(&honest)),
        ("extended", made(&extended)),
        ("outdated", made(&outdated)),
        ("revoked-refused", made(&revoked)),
    ]
}
