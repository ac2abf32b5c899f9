//! A firmware event log, parsed strictly from both of its formats.
//!
//! SHA-1 logs are TCG_PCClientPCREvent records; crypto-agile ones start with such a record that holds the Spec ID event
//! ("Spec ID Event03"), and go on with TCG_PCR_EVENT2 records. Everything is little-endian. Reference: TCG PC Client Platform
//! Firmware Profile 1.05, section 10.
//!
//! **Padding.** Some systems hand out the whole log area. A tail of zeros, however long, is taken for the unused rest
//! of it and never for events; any other tail is refused. That is safe: what a log leaves out makes its replay fail.

use super::{
    EventKind, EventRef, Reject,
    bank::{BANKS, bank_name, slot},
};
use crate::tpm::wire::HashAlgorithm;

/// Largest event log read, bytes. Logs of today's servers have 20 to 110 KiB, most of it in Secure Boot's databases.
pub const MAX_LOG_BYTES: usize = 256 << 10;
/// Most events read.
pub const MAX_EVENTS: usize = 4096;
/// PCRs of a PC-client TPM.
pub const PCRS: u8 = 24;

const SPEC_ID: &[u8; 16] = b"Spec ID Event03\0";
const STARTUP_LOCALITY: &[u8; 16] = b"StartupLocality\0";
/// More algorithms than any TPM has banks.
const MAX_ALGORITHMS: u32 = 16;
/// Longest digest of any algorithm in the TCG registry.
const MAX_DIGEST_BYTES: u16 = 64;

/// One event. Its type, and its data where no digest covers it, are claims of whoever wrote the log; see [`super`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event<'a> {
    /// Number in the log.
    pub index: usize,
    /// Where it starts, bytes from the start of the log.
    pub offset: usize,
    /// The PCR it was extended into; meaningless for EV_NO_ACTION.
    pub pcr: u8,
    /// Claimed type.
    pub kind: EventKind,
    /// Event data.
    pub data: &'a [u8],
    digests: [Option<&'a [u8]>; BANKS.len()],
}

impl<'a> Event<'a> {
    /// Its digest in a bank, if the log has that bank.
    pub fn digest(&self, bank: HashAlgorithm) -> Option<&'a [u8]> {
        self.digests.get(slot(bank)).copied().flatten()
    }

    /// Whether the TPM was extended with it.
    pub fn is_extended(&self) -> bool {
        self.kind != EventKind::NO_ACTION
    }

    /// What names it.
    pub fn reference(&self) -> EventRef {
        EventRef {
            index: self.index,
            offset: self.offset,
            pcr: self.pcr,
            kind: self.kind,
        }
    }
}

/// A parsed log; it borrows the bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log<'a> {
    /// Events in order, EV_NO_ACTION among them.
    pub events: Vec<Event<'a>>,
    /// Banks it has digests for, of those that can be replayed.
    pub banks: Vec<HashAlgorithm>,
    /// Whether it is a crypto-agile log.
    pub crypto_agile: bool,
    /// Locality from which the TPM was started: in what PCR 0 begins with.
    pub startup_locality: u8,
    /// Zeros after the last event, bytes.
    pub padding: usize,
}

/// An algorithm of the Spec ID event.
struct Algorithm {
    id: u16,
    size: usize,
    /// `None` for a bank that is not replayed here, such as SM3.
    bank: Option<HashAlgorithm>,
}

impl<'a> Log<'a> {
    /// Parses a log.
    ///
    /// # Errors
    /// A [`Reject`] for anything the profile does not allow; the event at fault is named.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Reject> {
        if bytes.len() > MAX_LOG_BYTES {
            return Err(Reject::TooLarge {
                what: "event log",
                unit: "bytes",
                limit: MAX_LOG_BYTES,
                actual: bytes.len(),
            });
        }
        let end = bytes.iter().rposition(|b| *b != 0).map_or(0, |at| at + 1);
        let mut reader = Reader {
            bytes,
            at: 0,
            start: 0,
            event: 0,
        };
        let mut log = Self {
            events: vec![],
            banks: vec![HashAlgorithm::Sha1],
            crypto_agile: false,
            startup_locality: 0,
            padding: 0,
        };
        if end == 0 {
            return Err(Reject::Truncated {
                event: 0,
                offset: 0,
                field: "PCR index",
            });
        }
        let first = reader.sha1_event()?;
        let algorithms = if first.data.starts_with(SPEC_ID) {
            let algorithms = spec_id(&first)?;
            log.crypto_agile = true;
            log.banks = BANKS
                .into_iter()
                .filter(|bank| algorithms.iter().any(|it| it.bank == Some(*bank)))
                .collect();
            algorithms
        } else {
            vec![]
        };
        let mut state = Startup::default();
        state.check(&first)?;
        log.events.push(first);
        // Zeros that belong to the last event end it; a record starts only where something other than zeros is left.
        while reader.at < end {
            if log.events.len() >= MAX_EVENTS {
                return Err(Reject::TooLarge {
                    what: "event log",
                    unit: "events",
                    limit: MAX_EVENTS,
                    actual: log.events.len() + 1,
                });
            }
            reader.start = reader.at;
            reader.event = log.events.len();
            let event = if log.crypto_agile {
                reader.agile_event(&algorithms)?
            } else {
                reader.sha1_event()?
            };
            state.check(&event)?;
            log.events.push(event);
        }
        log.startup_locality = state.locality.unwrap_or(0);
        log.padding = bytes.len().saturating_sub(reader.at);
        Ok(log)
    }

    /// Events extended into a PCR, in order.
    pub fn extended(&self, pcr: u8) -> impl Iterator<Item = &Event<'a>> {
        self.events
            .iter()
            .filter(move |event| event.is_extended() && event.pcr == pcr)
    }

    /// Refuses a bank the log has no digests for.
    ///
    /// # Errors
    /// [`Reject::NoSuchBank`].
    pub fn require_bank(&self, bank: HashAlgorithm) -> Result<(), Reject> {
        if self.banks.contains(&bank) {
            return Ok(());
        }
        let has: Vec<_> = self.banks.iter().map(|bank| bank_name(*bank)).collect();
        Err(Reject::NoSuchBank {
            bank: bank_name(bank),
            has: has.join(", "),
        })
    }
}

/// What must hold across events while they are read.
#[derive(Default)]
struct Startup {
    locality: Option<u8>,
    pcr0_extended: bool,
}

impl Startup {
    fn check(&mut self, event: &Event<'_>) -> Result<(), Reject> {
        let refuse = |why| {
            Err(Reject::StartupLocality {
                event: event.index,
                why,
            })
        };
        if event.is_extended() {
            self.pcr0_extended |= event.pcr == 0;
            return Ok(());
        }
        if event.digests.iter().flatten().any(|it| !is_zero(it)) {
            return Err(Reject::NoActionDigest { event: event.index });
        }
        let Some(rest) = event.data.strip_prefix(STARTUP_LOCALITY) else {
            return Ok(());
        };
        let &[locality] = rest else {
            return refuse("does not hold one locality");
        };
        if !matches!(locality, 0 | 3 | 4) {
            return refuse("is not 0, 3 or 4");
        }
        if event.pcr != 0 {
            return refuse("is not for PCR 0");
        }
        if self.pcr0_extended {
            return refuse("comes after PCR 0 was extended");
        }
        if self.locality.replace(locality).is_some() {
            return refuse("is not the only one");
        }
        Ok(())
    }
}

/// Reads TCG_EfiSpecIdEvent.
fn spec_id(event: &Event<'_>) -> Result<Vec<Algorithm>, Reject> {
    let refuse = |why| Err(Reject::Header(why));
    if event.kind != EventKind::NO_ACTION || event.pcr != 0 {
        return refuse("it is not EV_NO_ACTION in PCR 0");
    }
    let mut rest = event
        .data
        .get(SPEC_ID.len()..)
        .ok_or(Reject::Header("cut"))?;
    let mut take = |n: usize| -> Result<&[u8], Reject> {
        let (head, tail) = rest
            .split_at_checked(n)
            .ok_or(Reject::Header("it is cut short"))?;
        rest = tail;
        Ok(head)
    };
    let fixed = take(8)?;
    if fixed.get(5) != Some(&2) || fixed.get(4) != Some(&0) {
        return refuse("its specification version is not 2.0");
    }
    if !matches!(fixed.get(7), Some(1 | 2)) {
        return refuse("its UINTN is neither 4 nor 8 bytes wide");
    }
    let count = le32(take(4)?);
    if !(1..=MAX_ALGORITHMS).contains(&count) {
        return refuse("it lists no algorithms, or more than 16");
    }
    let mut algorithms: Vec<Algorithm> = vec![];
    for _ in 0..count {
        let (id, size) = (le16(take(2)?), le16(take(2)?));
        if algorithms.iter().any(|it| it.id == id) {
            return refuse("it lists an algorithm twice");
        }
        let bank = BANKS.into_iter().find(|bank| bank.id() == id);
        if bank.is_some_and(|bank| bank.digest_len() != usize::from(size))
            || !(1..=MAX_DIGEST_BYTES).contains(&size)
        {
            return refuse("it gives an algorithm a digest size that is not its own");
        }
        algorithms.push(Algorithm {
            id,
            size: usize::from(size),
            bank,
        });
    }
    let vendor = take(1)?;
    take(vendor.first().copied().map_or(0, usize::from))?;
    if !rest.is_empty() {
        return refuse("surplus bytes follow its vendor information");
    }
    if algorithms.iter().all(|it| it.bank.is_none()) {
        return refuse("it lists no algorithm that can be replayed");
    }
    Ok(algorithms)
}

/// Reads records; every failure names the record it is in.
struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    start: usize,
    event: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, n: usize, field: &'static str) -> Result<&'a [u8], Reject> {
        let end = self.at.checked_add(n);
        let taken = end.and_then(|end| self.bytes.get(self.at..end));
        let taken = taken.ok_or(Reject::Truncated {
            event: self.event,
            offset: self.start,
            field,
        })?;
        self.at += n;
        Ok(taken)
    }

    fn u32(&mut self, field: &'static str) -> Result<u32, Reject> {
        self.take(4, field).map(le32)
    }

    fn head(&mut self) -> Result<(u8, EventKind), Reject> {
        let pcr = self.u32("PCR index")?;
        let kind = EventKind(self.u32("event type")?);
        match u8::try_from(pcr) {
            Ok(pcr) if pcr < PCRS => Ok((pcr, kind)),
            // Events that describe and are not extended may be for no PCR at all.
            _ if kind == EventKind::NO_ACTION => Ok((u8::MAX, kind)),
            _ => Err(Reject::PcrIndex {
                event: self.event,
                pcr,
            }),
        }
    }

    fn data(&mut self) -> Result<&'a [u8], Reject> {
        let size = self.u32("data size")?;
        self.take(usize::try_from(size).unwrap_or(usize::MAX), "data")
    }

    fn sha1_event(&mut self) -> Result<Event<'a>, Reject> {
        let (pcr, kind) = self.head()?;
        let digest = self.take(HashAlgorithm::Sha1.digest_len(), "digest")?;
        let mut digests = [None; BANKS.len()];
        digests[slot(HashAlgorithm::Sha1)] = Some(digest);
        Ok(Event {
            index: self.event,
            offset: self.start,
            pcr,
            kind,
            data: self.data()?,
            digests,
        })
    }

    fn agile_event(&mut self, algorithms: &[Algorithm]) -> Result<Event<'a>, Reject> {
        let (pcr, kind) = self.head()?;
        let count = self.u32("digest count")?;
        let refuse = |event: usize, found: String| {
            Err(Reject::Digests {
                event,
                expected: algorithms.len(),
                found,
            })
        };
        if usize::try_from(count) != Ok(algorithms.len()) {
            return refuse(self.event, format!("it has {count}"));
        }
        let mut digests = [None; BANKS.len()];
        let mut seen = [false; MAX_ALGORITHMS as usize];
        for _ in algorithms {
            let id = le16(self.take(2, "digest algorithm")?);
            let found = algorithms
                .iter()
                .zip(&mut seen)
                .find(|(algorithm, _)| algorithm.id == id);
            let Some((algorithm, seen)) = found else {
                return refuse(
                    self.event,
                    format!("it has one for {id:#06x}, which is none of them"),
                );
            };
            if std::mem::replace(seen, true) {
                return refuse(self.event, format!("it has two for {id:#06x}"));
            }
            let digest = self.take(algorithm.size, "digest")?;
            if let Some(bank) = algorithm.bank {
                digests[slot(bank)] = Some(digest);
            }
        }
        Ok(Event {
            index: self.event,
            offset: self.start,
            pcr,
            kind,
            data: self.data()?,
            digests,
        })
    }
}

fn is_zero(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| *byte == 0)
}

fn le16(bytes: &[u8]) -> u16 {
    bytes.first_chunk().map_or(0, |b| u16::from_le_bytes(*b))
}

fn le32(bytes: &[u8]) -> u32 {
    bytes.first_chunk().map_or(0, |b| u32::from_le_bytes(*b))
}
