#![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

use proptest::prelude::*;

use super::*;
use crate::eventlog::fixture::{MadeLog, boot};
use crate::eventlog::{Digest, Log, explain_with_measurements};
use crate::tpm::wire::HashAlgorithm::{Sha1, Sha256, Sha384};

/// A measurement to be written, as the kernel writes it.
#[derive(Clone, Debug)]
struct Made {
    template: Template,
    digest: Vec<u8>,
    path: String,
    signature: Vec<u8>,
    violation: bool,
}

impl Made {
    fn ng(path: &str) -> Self {
        Self {
            template: Template::ImaNg,
            digest: Sha256.digest(&[path.as_bytes()]),
            path: path.to_owned(),
            signature: vec![],
            violation: false,
        }
    }

    fn ima(path: &str) -> Self {
        Self {
            template: Template::Ima,
            digest: Sha1.digest(&[path.as_bytes()]),
            ..Self::ng(path)
        }
    }

    fn sig(path: &str, signature: &[u8]) -> Self {
        Self {
            template: Template::ImaSig,
            signature: signature.to_vec(),
            ..Self::ng(path)
        }
    }

    fn violation(path: &str) -> Self {
        Self {
            violation: true,
            digest: vec![0; 32],
            ..Self::ng(path)
        }
    }

    fn name(&self) -> &'static str {
        match self.template {
            Template::Ima => "ima",
            Template::ImaNg => "ima-ng",
            Template::ImaSig => "ima-sig",
        }
    }

    fn data(&self) -> Vec<u8> {
        let sized = |field: &[u8]| [&(field.len() as u32).to_le_bytes()[..], field].concat();
        let mut data = sized(&[b"sha256:\0", &self.digest[..]].concat());
        data.extend(sized(&[self.path.as_bytes(), &[0]].concat()));
        if self.template == Template::ImaSig {
            data.extend(sized(&self.signature));
        }
        data
    }

    fn hashed(&self) -> Vec<u8> {
        if self.template != Template::Ima {
            return self.data();
        }
        let mut hashed = [&self.digest[..], self.path.as_bytes()].concat();
        hashed.resize(276, 0);
        hashed
    }

    fn template_hash(&self) -> Vec<u8> {
        if self.violation {
            vec![0; 20]
        } else {
            Sha1.digest(&[&self.hashed()])
        }
    }

    fn binary(&self) -> Vec<u8> {
        let sized = |field: &[u8]| [&(field.len() as u32).to_le_bytes()[..], field].concat();
        let mut out = 10u32.to_le_bytes().to_vec();
        out.extend(self.template_hash());
        out.extend(sized(self.name().as_bytes()));
        if self.template == Template::Ima {
            out.extend(&self.digest);
            out.extend(sized(self.path.as_bytes()));
        } else {
            out.extend(sized(&self.data()));
        }
        out
    }

    fn ascii(&self) -> String {
        let hash = hex::encode(self.template_hash());
        let digest = hex::encode(&self.digest);
        let (name, path) = (self.name(), &self.path);
        match self.template {
            Template::Ima => format!("10 {hash} {name} {digest} {path}\n"),
            Template::ImaNg => format!("10 {hash} {name} sha256:{digest} {path}\n"),
            Template::ImaSig => {
                let signature = hex::encode(&self.signature);
                format!("10 {hash} {name} sha256:{digest} {path} {signature}\n")
            }
        }
    }

    /// The PCR after it, computed apart from the code under test.
    fn extend(&self, value: &[u8], bank: HashAlgorithm, extension: Extension) -> Vec<u8> {
        let digest = match (extension, self.violation) {
            (Extension::PerBank, false) => bank.digest(&[&self.hashed()]),
            (Extension::PerBank, true) => vec![0xff; bank.digest_len()],
            (Extension::PaddedSha1, violation) => {
                let mut digest = if violation {
                    vec![0xff; 20]
                } else {
                    self.template_hash()
                };
                digest.extend(vec![0; bank.digest_len() - 20]);
                digest
            }
        };
        bank.digest(&[value, &digest])
    }
}

fn typical() -> Vec<Made> {
    vec![
        Made::ng("boot_aggregate"),
        Made::ng("/usr/lib/systemd/systemd"),
        Made::sig("/usr/bin/bash", &[3, 2, 4, 1]),
        Made::sig("/usr/bin/cat", &[]),
        Made::ima("/usr/bin/ls"),
        Made::violation("/var/log/wtmp"),
        Made::ng("/usr/sbin/sshd"),
    ]
}

fn binary(made: &[Made]) -> Vec<u8> {
    made.iter().flat_map(Made::binary).collect()
}

fn ascii(made: &[Made]) -> Vec<u8> {
    made.iter().flat_map(|it| it.ascii().into_bytes()).collect()
}

fn pcr(made: &[Made], bank: HashAlgorithm, extension: Extension) -> Digest {
    made.iter()
        .fold(vec![0; bank.digest_len()], |value, it| {
            it.extend(&value, bank, extension)
        })
        .into()
}

#[test]
fn both_forms_give_the_same_entries_and_reach_the_pcr_in_every_bank() {
    let made = typical();
    let (binary, ascii) = (binary(&made), ascii(&made));
    let entries = parse(&binary).unwrap();
    assert_eq!(entries, parse(&ascii).unwrap());
    for (entry, made) in entries.iter().zip(&made) {
        assert_eq!(entry.path, made.path);
        assert_eq!(entry.digest, made.digest);
        assert_eq!(entry.signature, made.signature);
        assert_eq!(entry.is_violation(), made.violation);
    }
    for bank in [Sha1, Sha256, Sha384] {
        for extension in [Extension::PerBank, Extension::PaddedSha1] {
            let expected = pcr(&made, bank, extension);
            let (reached, used) = Progress::start(bank, extension)
                .reach(&entries, |value| *value == expected)
                .unwrap();
            assert_eq!(used, made.len());
            assert_eq!(reached.count, made.len() as u64);
        }
    }
    let other = pcr(&made, Sha256, Extension::PaddedSha1);
    let refused = Progress::start(Sha256, Extension::PerBank)
        .reach(&entries, |value| *value == other)
        .unwrap_err();
    assert_eq!(refused.code(), "IMA_NOT_REACHED");
}

/// Lines of real machines: a boot aggregate where there is no TPM, in the templates `ima-ng` and `ima`, and a module without a signature.
#[test]
fn template_hashes_are_those_of_the_kernel() {
    let list = "\
10 1d8d532d463c9f8c205d0df7787669a85f93e260 ima-ng sha1:0000000000000000000000000000000000000000 boot_aggregate
10 7971593a7ad22a7cce5b234e4bc5d71b04696af4 ima b5a166c10d153b7cc3e5b4f1eab1f71672b7c524 boot_aggregate
10 5426cf3031a43f5bfca183d79950698a95a728f6 ima-sig sha256:f1125b940480d20ad841d26d5ea253edc0704b5ec1548c891edf212cb1a9365e /lib/modules/5.4.48-openpower1/kernel/drivers/usb/common/usb-common.ko\x20
";
    // Whoever trims line ends takes the empty signature's space away.
    for list in [list.to_owned(), list.replace(" \n", "\n")] {
        let entries = parse(list.as_bytes()).unwrap();
        assert_eq!(entries.len(), 3);
        for (number, entry) in entries.iter().enumerate() {
            entry.check(number).unwrap();
        }
    }
}

#[test]
fn lists_with_hashes_of_another_algorithm_are_read() {
    let made = typical();
    let mut list = vec![];
    let mut text = String::new();
    for it in &made {
        let hash = if it.violation {
            vec![0; 32]
        } else {
            Sha256.digest(&[&it.hashed()])
        };
        let binary = it.binary();
        list.extend(&binary[..4]);
        list.extend(&hash);
        list.extend(&binary[24..]);
        text.push_str(
            &it.ascii()
                .replace(&hex::encode(it.template_hash()), &hex::encode(&hash)),
        );
    }
    let expected = pcr(&made, Sha256, Extension::PerBank);
    for bytes in [&list[..], text.as_bytes()] {
        let entries = parse(bytes).unwrap();
        Progress::start(Sha256, Extension::PerBank)
            .reach(&entries, |value| *value == expected)
            .unwrap();
    }
}

#[test]
fn every_flipped_bit_is_found() {
    let made = typical();
    let list = binary(&made);
    let expected = pcr(&made, Sha256, Extension::PerBank);
    let violation = binary(&made[..5]).len()..binary(&made[..6]).len();
    for bit in 0..list.len() * 8 {
        let mut flipped = list.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let outcome = parse(&flipped).and_then(|entries| {
            Progress::start(Sha256, Extension::PerBank)
                .reach(&entries, |value| *value == expected)
                .map(|_| ())
        });
        // What stands beside a violation is covered by nothing: the PCR holds ones for it.
        let beside = violation.contains(&(bit / 8)) && bit / 8 >= violation.start + 24;
        assert!(outcome.is_err() || beside, "bit {bit}");
    }
}

#[test]
fn a_changed_path_names_its_entry() {
    let made = typical();
    let text = String::from_utf8(ascii(&made)).unwrap();
    let text = text.replace("/usr/bin/cat", "/usr/bin/rat");
    let entries = parse(text.as_bytes()).unwrap();
    let refused = Progress::start(Sha256, Extension::PerBank)
        .reach(&entries, |_| false)
        .unwrap_err();
    assert_eq!(
        refused,
        Reject::ImaTemplateHash {
            entry: 3,
            path: "/usr/bin/rat".into()
        }
    );
}

#[test]
fn what_is_not_a_list_is_refused() {
    let list = binary(&typical());
    let starts: Vec<usize> = (0..=typical().len())
        .map(|n| binary(&typical()[..n]).len())
        .collect();
    for n in 0..list.len() {
        assert_eq!(parse(&list[..n]).is_ok(), starts.contains(&n), "cut at {n}");
    }
    for (text, code) in [
        ("10 00 ima-ng sha256:00 /x\n", "IMA_MALFORMED"),
        ("10", "IMA_MALFORMED"),
        ("11 LONG ima-ng sha256:00 /x\n", "IMA_PCR"),
        ("10 LONG ima-buf sha256:00 /x 00\n", "IMA_TEMPLATE"),
        ("10 LONG ima-ng 00 /x\n", "IMA_MALFORMED"),
        ("10 LONG ima-ng sha256:0 /x\n", "IMA_MALFORMED"),
        ("10 LONG ima sha1:00 /x\n", "IMA_MALFORMED"),
        ("10 LONG ima-ng sha256:00\n", "IMA_MALFORMED"),
        ("10 LONG ima-ng sha256:00 \n", "IMA_MALFORMED"),
        ("10 LONG ima-sig sha256:00 /x zz\n", "IMA_MALFORMED"),
        ("10 LONG ima-ng sha256:00 /x\n\n", "IMA_MALFORMED"),
        // What the binary form refuses is refused as text: else the names `/x` and `/x` with a zero have one hash.
        ("10 LONG ima DIGEST /x\0\n", "IMA_MALFORMED"),
        ("10 LONG ima-ng sha256:00 /x\0y\n", "IMA_MALFORMED"),
        ("10 LONG ima-ng sha\x00256:00 /x\n", "IMA_MALFORMED"),
        (
            "10 LONG ima-ng an-algorithm-of-such-a-long-name:00 /x\n",
            "IMA_MALFORMED",
        ),
    ] {
        let text = text
            .replace("LONG", &"00".repeat(20))
            .replace("DIGEST", &"00".repeat(20));
        assert_eq!(parse(text.as_bytes()).unwrap_err().code(), code, "{text}");
    }
    assert_eq!(parse(&[]).unwrap(), []);
}

#[test]
fn only_listed_files_with_listed_digests_are_allowed() {
    let made = typical();
    let bytes = binary(&made);
    let entries = parse(&bytes).unwrap();
    let line = |it: &Made| {
        let algorithm = if it.digest.len() == 20 {
            "sha1"
        } else {
            "sha256"
        };
        format!("{algorithm}:{}  {}\n", hex::encode(&it.digest), it.path)
    };
    let text: String = made[1..5].iter().map(line).collect();
    let list = AllowList::parse(&format!("# built files\n\n{text}")).unwrap();
    for (number, entry) in entries.iter().take(5).enumerate() {
        list.check(entry, number as u64).unwrap();
    }
    for (number, why) in [(5, "a violation"), (6, "does not have its path")] {
        let refused = list.check(&entries[number], number as u64).unwrap_err();
        assert_eq!(refused.code(), "IMA_NOT_ALLOWED");
        assert!(refused.to_string().contains(why), "{refused}");
    }
    // Only the first entry of a boot is the boot aggregate.
    assert!(list.check(&entries[0], 7).is_err());
    let mut changed = entries[1].clone();
    changed.digest[0] ^= 1;
    let refused = list.check(&changed, 1).unwrap_err();
    assert!(refused.to_string().contains("other digests"), "{refused}");
    for bad in ["sha256:00 /x", "md5:00 /x", "sha256:zz /x", "/x", "x /x"] {
        let refused = AllowList::parse(&format!("\n{bad}\n")).unwrap_err();
        assert!(
            matches!(refused, Reject::AllowList { line: 2, .. }),
            "{bad}"
        );
    }
}

#[test]
fn a_log_and_a_list_together_explain_a_quote_over_both() {
    let boot = boot(MadeLog::new(&[Sha256])).to_bytes();
    let made = typical();
    let list = ascii(&made);
    let pcrs = [0, 4, 7, 10];
    let replay = Log::parse(&boot).unwrap().replay(Sha256).unwrap();
    let quoted = |count: usize| {
        let mut replay = replay.clone();
        let value = pcr(&made[..count], Sha256, Extension::PerBank);
        replay.values.insert(10, value);
        replay.quote_digest(&pcrs)
    };
    let start = Progress::start(Sha256, Extension::PerBank);
    // The list was read after the quote, and is ahead of it.
    let (facts, reached, used) =
        explain_with_measurements(&boot, &list, &start, &pcrs, quoted(4)).unwrap();
    assert_eq!((used, reached.count), (4, 4));
    assert_eq!(facts.pcrs[&10], reached.value);
    assert!(facts.secure_boot.is_some());
    let rest = ascii(&made[4..]);
    let (_, reached, used) =
        explain_with_measurements(&boot, &rest, &reached, &pcrs, quoted(7)).unwrap();
    assert_eq!((used, reached.count), (3, 7));
    let refused = explain_with_measurements(&boot, &rest, &reached, &pcrs, quoted(4));
    assert_eq!(refused.unwrap_err().code(), "IMA_NOT_REACHED");
    let refused = explain_with_measurements(&boot, &list, &start, &pcrs[..3], quoted(4));
    assert_eq!(refused.unwrap_err().code(), "IMA_NOT_SELECTED");
}

fn any_made() -> impl Strategy<Value = Made> {
    ("/[a-z/]{1,40}", 0..4u8, any::<[u8; 4]>()).prop_map(|(path, kind, signature)| match kind {
        0 => Made::ng(&path),
        1 => Made::ima(&path),
        2 => Made::sig(&path, &signature),
        _ => Made::violation(&path),
    })
}

proptest! {
    #[test]
    fn going_on_gives_the_same_as_starting_anew(
        made in proptest::collection::vec(any_made(), 0..30),
        cuts in (0usize..31, 0usize..31),
        per_bank in any::<bool>(),
    ) {
        let extension = if per_bank { Extension::PerBank } else { Extension::PaddedSha1 };
        let list = binary(&made);
        let entries = parse(&list).unwrap();
        let whole = pcr(&made, Sha256, extension);
        let start = Progress::start(Sha256, extension);
        let (at_once, used) = start.reach(&entries, |value| *value == whole).unwrap();
        prop_assert_eq!(used, made.len());
        let (a, b) = (cuts.0.min(cuts.1).min(made.len()), cuts.0.max(cuts.1).min(made.len()));
        let mut progress = start;
        for (from, to) in [(0, a), (a, b), (b, made.len())] {
            let part = binary(&made[from..]);
            prop_assert_eq!(progress.rest(&entries).unwrap(), &entries[from..]);
            prop_assert_eq!(progress.to_string().parse(), Ok(progress.clone()));
            let target = pcr(&made[..to], Sha256, extension);
            let (next, used) = progress
                .reach(&parse(&part).unwrap(), |value| *value == target)
                .unwrap();
            prop_assert_eq!(used, to - from);
            progress = next;
        }
        prop_assert_eq!(progress, at_once);
    }

    #[test]
    fn no_bytes_make_the_parser_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), at in any::<usize>(), byte in any::<u8>()) {
        let _ = parse(&bytes);
        let list = binary(&typical());
        for mut list in [list, ascii(&typical())] {
            let at = at % list.len();
            list[at] = byte;
            let _ = parse(&list);
        }
    }
}
