//! Enrolments under way, within bounds that nobody can use up for others.
//!
//! A request to begin is made of public parts: whoever has seen one can repeat it, or make up keys to go with a certificate. So
//! slots are counted by who asks. One requester displaces its own sessions, the oldest first, and never those of another that
//! holds no more than it does.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};

use alloy::primitives::B256;

/// How long a node has to open its credential.
const SESSION_TIME: Duration = Duration::from_secs(300);
/// Most sessions open at a time.
const MAX_SESSIONS: usize = 1024;
/// Most sessions of one requester: a site that enrols all its machines at once.
const MAX_OF_REQUESTER: usize = 64;
/// Most sessions of one requester for one machine: an honest node has one, and another if it was interrupted.
const MAX_OF_MACHINE: usize = 4;

/// Who asks: an IPv4 address, or the network of an IPv6 address, of which everybody has any number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Requester(IpAddr);

impl From<IpAddr> for Requester {
    fn from(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V6(address) => {
                let network = address.to_bits() & (u128::MAX << 64);
                Ipv6Addr::from_bits(network).into()
            }
            address => address,
        })
    }
}

struct Open<T> {
    number: u64,
    began: Instant,
    requester: Requester,
    hardware: B256,
    content: T,
}

/// Open sessions by name, with what each holds.
pub(super) struct Sessions<T> {
    open: HashMap<[u8; 16], Open<T>>,
    begun: u64,
}

impl<T> Default for Sessions<T> {
    fn default() -> Self {
        Self {
            open: HashMap::new(),
            begun: 0,
        }
    }
}

impl<T> Sessions<T> {
    /// Opens a session; false if all slots are taken by requesters that hold no more than this one.
    pub(super) fn open(
        &mut self,
        name: [u8; 16],
        requester: Requester,
        hardware: B256,
        content: T,
        now: Instant,
    ) -> bool {
        self.open.retain(|_, open| is_open(open, now));
        let mut held: HashMap<Requester, usize> = HashMap::new();
        for open in self.open.values() {
            *held.entry(open.requester).or_default() += 1;
        }
        let own = held.get(&requester).copied().unwrap_or_default();
        let same = |open: &Open<T>| open.requester == requester && open.hardware == hardware;
        if self.open.values().filter(|open| same(open)).count() >= MAX_OF_MACHINE {
            self.displace_oldest(same);
        } else if own >= MAX_OF_REQUESTER {
            self.displace_oldest(|open| open.requester == requester);
        } else if self.open.len() >= MAX_SESSIONS {
            match held.into_iter().max_by_key(|(_, count)| *count) {
                Some((greedy, most)) if most > own + 1 => {
                    self.displace_oldest(|open| open.requester == greedy);
                }
                _ => return false,
            }
        }
        self.begun += 1;
        let open = Open {
            number: self.begun,
            began: now,
            requester,
            hardware,
            content,
        };
        self.open.insert(name, open);
        true
    }

    fn displace_oldest(&mut self, among: impl Fn(&Open<T>) -> bool) {
        let candidates = self.open.iter().filter(|(_, open)| among(open));
        let oldest = candidates.min_by_key(|(_, open)| open.number);
        if let Some(name) = oldest.map(|(name, _)| *name) {
            self.open.remove(&name);
        }
    }

    /// Takes a session out.
    pub(super) fn take(&mut self, name: &[u8; 16], now: Instant) -> Option<T> {
        let open = self.open.remove(name)?;
        is_open(&open, now).then_some(open.content)
    }
}

fn is_open<T>(open: &Open<T>, now: Instant) -> bool {
    now.saturating_duration_since(open.began) < SESSION_TIME
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

    use super::*;

    /// A table whose sessions are named and filled with their number.
    struct Table {
        sessions: Sessions<u64>,
        now: Instant,
        next: u64,
    }

    impl Table {
        fn new() -> Self {
            Self {
                sessions: Sessions::default(),
                now: Instant::now(),
                next: 0,
            }
        }

        fn open(&mut self, from: &str, machine: u64) -> Option<u64> {
            self.next += 1;
            let requester = Requester::from(from.parse::<IpAddr>().unwrap());
            let hardware = B256::left_padding_from(&machine.to_be_bytes());
            let opened =
                self.sessions
                    .open(name(self.next), requester, hardware, self.next, self.now);
            opened.then_some(self.next)
        }

        fn take(&mut self, session: u64) -> Option<u64> {
            self.sessions.take(&name(session), self.now)
        }

        fn len(&self) -> usize {
            self.sessions.open.len()
        }
    }

    fn name(number: u64) -> [u8; 16] {
        u128::from(number).to_be_bytes()
    }

    #[test]
    fn replayed_requests_for_a_machine_never_cost_the_machine_its_own_session() {
        let mut table = Table::new();
        let honest = table.open("192.0.2.1", 7).unwrap();
        for _ in 0..5_000 {
            table.open("198.51.100.9", 7).unwrap();
        }
        assert_eq!(table.len(), 1 + MAX_OF_MACHINE);
        assert_eq!(table.take(honest), Some(honest));
        assert!(
            table.open("192.0.2.1", 7).is_some(),
            "and it may begin again"
        );
    }

    #[test]
    fn one_peer_with_any_number_of_certificates_cannot_fill_the_table() {
        let mut table = Table::new();
        for machine in 0..5_000 {
            // Any address of its network is the same peer.
            let from = format!("2001:db8::{:x}", machine % 0xffff);
            table.open(&from, machine).unwrap();
        }
        assert_eq!(table.len(), MAX_OF_REQUESTER);
        let honest = table.open("2001:db8:0:1::1", 1).unwrap();
        assert_eq!(table.take(honest), Some(honest));
    }

    #[test]
    fn many_peers_that_fill_the_table_make_room_for_one_that_holds_less() {
        let mut table = Table::new();
        for machine in 0..u64::try_from(MAX_SESSIONS).unwrap() {
            table.open(&format!("203.0.113.{}", machine % 16), machine);
        }
        assert_eq!(table.len(), MAX_SESSIONS);
        let honest = table.open("192.0.2.1", 1).unwrap();
        for machine in 0..500 {
            table.open(&format!("203.0.113.{}", machine % 16), 10_000 + machine);
        }
        assert_eq!(table.len(), MAX_SESSIONS);
        assert_eq!(table.take(honest), Some(honest));
    }

    #[test]
    fn a_table_full_of_peers_with_one_session_each_is_busy() {
        let mut table = Table::new();
        for peer in 0..u64::try_from(MAX_SESSIONS).unwrap() {
            let from = format!("10.0.{}.{}", peer / 256, peer % 256);
            table.open(&from, peer).unwrap();
        }
        assert_eq!(table.open("192.0.2.1", 1), None);
        table.now += SESSION_TIME;
        assert!(table.open("192.0.2.1", 1).is_some(), "until they are over");
    }

    #[test]
    fn a_session_is_taken_once_and_in_time() {
        let mut table = Table::new();
        let (first, second) = (
            table.open("192.0.2.1", 1).unwrap(),
            table.open("192.0.2.1", 1).unwrap(),
        );
        assert_eq!((table.take(first), table.take(first)), (Some(first), None));
        table.now += SESSION_TIME;
        assert_eq!(table.take(second), None);
    }

    #[test]
    fn an_ipv4_address_written_as_ipv6_is_the_same_requester() {
        let of = |text: &str| Requester::from(text.parse::<IpAddr>().unwrap());
        assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
        assert_ne!(of("192.0.2.2"), of("192.0.2.1"));
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:1"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
    }
}
