//! The chain from a pinned root to a chip or provider, damaged in every way.

use super::*;
use crate::snp::fixture::{number, parameters, text};
use crate::tpm;

fn endorsed(world: &World) -> Result<(), Reject> {
    world.endorsement().map(drop)
}

fn refused_as(world: &World, expected: &str) {
    let reject = endorsed(world).unwrap_err();
    assert_eq!(reject.code(), expected, "{reject}");
}

#[test]
fn a_chain_is_taken_in_either_order_and_at_no_other_length() {
    let world = World::milan();
    let [ask, ark] = world.chain();
    for chain in [[&ask, &ark], [&ark, &ask]] {
        assert!(Authority::verify(&chain, &world.anchors).is_ok());
    }
    for (chain, len) in [(vec![], 0), (vec![&ark], 1), (vec![&ark, &ask, &ask], 3)] {
        assert_eq!(
            Authority::verify(&chain, &world.anchors).map(drop),
            Err(Reject::ChainLength(len))
        );
    }
    for twice in [[&ark, &ark], [&ask, &ask]] {
        assert!(matches!(
            Authority::verify(&twice, &world.anchors),
            Err(Reject::UntrustedRoot(_))
        ));
    }
}

#[test]
fn a_root_that_is_not_pinned_is_refused_and_amds_do_not_trust_the_tests() {
    let world = World::milan();
    for anchors in [TrustAnchors::amd(), TrustAnchors::new([])] {
        let refused = Authority::verify(&world.chain(), &anchors).map(drop);
        assert!(matches!(refused, Err(Reject::UntrustedRoot(_))));
    }
}

#[test]
fn every_changed_byte_of_every_certificate_is_refused() {
    let world = World::milan();
    let [ask, ark] = world.chain();
    let vek = world.vek.der();
    let authority = Authority::verify(&[&ask, &ark], &world.anchors).unwrap();
    let flips = |der: &[u8]| -> Vec<(usize, Vec<u8>)> {
        (0..der.len())
            .map(|i| {
                let mut changed = der.to_vec();
                changed[i] ^= 1 << (i % 8);
                (i, changed)
            })
            .collect()
    };
    let accepted = |der: &[u8], accepts: &(dyn Fn(&[u8]) -> bool + Sync)| -> Vec<usize> {
        flips(der)
            .into_par_iter()
            .filter(|(_, changed)| accepts(changed))
            .map(|(i, _)| i)
            .collect()
    };
    let verify = |a: &[u8], b: &[u8]| Authority::verify(&[a, b], &world.anchors).is_ok();
    assert_eq!(accepted(&ark, &|changed| verify(&ask, changed)), [0; 0]);
    assert_eq!(accepted(&ask, &|changed| verify(changed, &ark)), [0; 0]);
    assert_eq!(
        accepted(&vek, &|changed| authority.endorse(changed, NOW).is_ok()),
        [0; 0]
    );
}

#[test]
fn every_certificate_must_be_valid_at_the_time_of_the_judgement() {
    type Pick = fn(&mut World) -> &mut crate::snp::fixture::Body;
    let picks: [Pick; 3] = [|w| &mut w.ark, |w| &mut w.ask, |w| &mut w.vek];
    for pick in picks {
        let mut expired = World::milan();
        pick(&mut expired).not_after = NOW - 1;
        refused_as(&expired, "CERTIFICATE_EXPIRED");
        let mut early = World::milan();
        pick(&mut early).not_before = NOW + 1;
        refused_as(&early, "CERTIFICATE_NOT_YET_VALID");
    }
    // An authority that was verified once does not outlive its certificates.
    let world = World::milan();
    let authority = world.authority().unwrap();
    assert!(authority.endorse(&world.vek.der(), NOW).is_ok());
    assert!(authority.endorse(&world.vek.der(), NOW + 1_001).is_err());
}

#[test]
fn names_bind_each_certificate_to_its_place() {
    let rename = |body: &mut crate::snp::fixture::Body, from: &str, to: &str| {
        assert!(body.subject.contains(from));
        body.subject = body.subject.replace(from, to);
    };
    let mut ark = World::milan();
    rename(&mut ark.ark, "ARK-Milan", "ARK-Genoa");
    refused_as(&ark, "SNP_CERTIFICATE_NAME");
    let mut ask = World::milan();
    rename(&mut ask.ask, "SEV-Milan", "SEV-Genoa");
    refused_as(&ask, "SNP_CERTIFICATE_NAME");
    // The provider's intermediate cannot certify chips, nor the chips' one providers.
    let mut asvk = World::milan();
    rename(&mut asvk.ask, "SEV-Milan", "SEV-VLEK-Milan");
    refused_as(&asvk, "SNP_CERTIFICATE_NAME");
    let mut vek = World::milan();
    rename(&mut vek.vek, "SEV-VCEK", "SEV-VLEK");
    refused_as(&vek, "SNP_CERTIFICATE_NAME");
    let mut twice = World::milan();
    twice.vek.subject = format!("CN=SEV-VCEK,{}", twice.vek.subject);
    refused_as(&twice, "SNP_CERTIFICATE_NAME");
    let mut issuer = World::milan();
    issuer.vek.issuer = issuer.vek.issuer.replace("SEV-Milan", "SEV-Genoa");
    refused_as(&issuer, "CERTIFICATE_UNTRUSTED_ISSUER");
    let mut issuer = World::milan();
    issuer.ask.issuer = issuer.ask.issuer.replace("ARK-Milan", "ARK-Genoa");
    refused_as(&issuer, "CERTIFICATE_UNTRUSTED_ISSUER");
}

#[test]
fn only_authorities_issue_and_an_endorsement_key_is_none() {
    let mut ark = World::milan();
    ark.ark.constraints(false, None);
    refused_as(&ark, "CERTIFICATE_ISSUER_NOT_CA");
    let mut short = World::milan();
    short.ark.constraints(true, Some(0));
    refused_as(&short, "CERTIFICATE_ISSUER_NOT_CA");
    let mut ask = World::milan();
    ask.ask.constraints(false, None);
    refused_as(&ask, "CERTIFICATE_ISSUER_NOT_CA");
    let mut bare = World::milan();
    bare.ask.extensions.clear();
    refused_as(&bare, "CERTIFICATE_ISSUER_NOT_CA");
    let mut vek = World::milan();
    vek.vek.constraints(true, None);
    refused_as(&vek, "SNP_CERTIFICATE_EXTENSION");
}

#[test]
fn critical_extensions_that_are_not_understood_are_refused() {
    let mut world = World::milan();
    world.vek.extensions[0].critical = true;
    refused_as(&world, "CERTIFICATE_UNKNOWN_CRITICAL_EXTENSION");
}

#[test]
fn a_vcek_names_its_chip_and_a_vlek_its_provider() {
    let chip = vec![0xc1; 64];
    let mut wrapped = World::milan();
    wrapped.vek.with("4", [&[0x04, 0x40][..], &chip].concat());
    assert_eq!(endorsed(&wrapped), Ok(()));
    for value in [
        vec![],
        vec![0; 64],
        vec![0xc1; 63],
        vec![0xc1; 65],
        vec![0xc1; 8],
    ] {
        let mut world = World::milan();
        world.vek.with("4", value);
        refused_as(&world, "SNP_CERTIFICATE_EXTENSION");
    }
    let mut anonymous = World::milan();
    anonymous.vek.without("4");
    refused_as(&anonymous, "SNP_CERTIFICATE_EXTENSION");
    let mut both = World::milan();
    both.vek.with("5", text("cloud.example"));
    refused_as(&both, "SNP_CERTIFICATE_EXTENSION");

    let vlek = || World::new(Product::Genoa, KeyKind::Vlek);
    let mut anonymous = vlek();
    anonymous.vek.without("5");
    refused_as(&anonymous, "SNP_CERTIFICATE_EXTENSION");
    let mut both = vlek();
    both.vek.with("4", chip);
    refused_as(&both, "SNP_CERTIFICATE_EXTENSION");
    let mut no_text = vlek();
    no_text.vek.with("5", b"cloud.example".to_vec());
    refused_as(&no_text, "SNP_CERTIFICATE_EXTENSION");
}

#[test]
fn security_version_numbers_must_all_be_there_and_reserved_ones_be_zero() {
    for oid in ["1", "2", "3.1", "3.2", "3.3", "3.8"] {
        let mut missing = World::milan();
        missing.vek.without(oid);
        refused_as(&missing, "SNP_CERTIFICATE_EXTENSION");
        for value in [vec![], vec![0x02, 0x02, 0x01, 0x00], vec![0x04, 0x01, 0x04]] {
            let mut no_number = World::milan();
            no_number.vek.with(oid, value);
            refused_as(&no_number, "SNP_CERTIFICATE_EXTENSION");
        }
    }
    for oid in ["3.4", "3.5", "3.6", "3.7"] {
        let mut absent = World::milan();
        absent.vek.without(oid);
        assert_eq!(endorsed(&absent), Ok(()));
        let mut set = World::milan();
        set.vek.with(oid, number(1));
        refused_as(&set, "SNP_CERTIFICATE_EXTENSION");
    }
    let mut future = World::milan();
    future.vek.with("1", number(2));
    refused_as(&future, "SNP_CERTIFICATE_EXTENSION");
    let mut fmc = World::milan();
    fmc.vek.with("3.9", number(0));
    refused_as(&fmc, "SNP_CERTIFICATE_EXTENSION");
    let mut no_fmc = World::new(Product::Turin, KeyKind::Vcek);
    no_fmc.vek.without("3.9");
    refused_as(&no_fmc, "SNP_CERTIFICATE_EXTENSION");
}

#[test]
fn the_product_name_fits_the_root() {
    for (product, name, fits) in [
        (Product::Milan, "Milan-B0", true),
        (Product::Milan, "Genoa-B1", false),
        (Product::Genoa, "Bergamo-A0", true),
        (Product::Genoa, "Siena-B1", true),
        (Product::Genoa, "Milan", false),
        (Product::Turin, "Turin", true),
        (Product::Turin, "Venice", false),
    ] {
        let mut world = World::new(product, KeyKind::Vcek);
        world.vek.with("2", text(name));
        if fits {
            assert_eq!(endorsed(&world), Ok(()), "{name}");
        } else {
            refused_as(&world, "SNP_PRODUCT_MISMATCH");
        }
    }
}

#[test]
fn only_one_signature_scheme_is_taken() {
    let mut short = World::milan();
    short.vek.parameters = parameters(false);
    assert_eq!(endorsed(&short), Ok(()));
    // A salt of 32 bytes is announced; SHA-256 is announced.
    for (at, byte) in [(parameters(false).len() - 1, 0x20), (16, 0x01)] {
        let mut world = World::milan();
        let mut changed = parameters(false);
        changed[at] = byte;
        world.vek.parameters = changed;
        let refused = endorsed(&world);
        assert!(
            matches!(
                refused,
                Err(Reject::Certificate {
                    role: "VCEK",
                    why: tpm::Reject::CertificateAlgorithm(_)
                })
            ),
            "{refused:?}"
        );
    }
}
