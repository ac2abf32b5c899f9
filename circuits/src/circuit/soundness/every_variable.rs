//! Under-constrained variables, searched for one by one: each is forced to another value, everything after it follows as the
//! prover computes it, and the rows that define it must break, or it is free by design.

use super::*;
use crate::storage::CELL_ELEMENTS;

/// A circuit and an honest statement.
struct Search {
    profile: Profile,
    circuit: Circuit,
    fixture: Fixture,
    honest: Vec<Fr>,
}

/// What a changed variable must break, the root left aside; all other rules but those of `may` must hold.
struct Expected {
    must: Rule,
    may: &'static [Rule],
}

/// What defines a variable; `None` for what the prover is free to choose, which only the root holds.
const fn expected(wire: Wire) -> Option<Expected> {
    let (must, may): (Rule, &[Rule]) = match wire {
        Wire::Cell | Wire::Child => return None,
        Wire::SboxInput | Wire::SboxOutput => (Rule::SboxFifth, &[]),
        Wire::SboxSquare => (Rule::SboxSquare, &[]),
        Wire::SboxFourth => (Rule::SboxFourth, &[]),
        // A seed has many bits that are bounded by those above.
        Wire::SeedBit => (Rule::Recompose, &[Rule::BelowOrder]),
        Wire::Run => (Rule::Run, &[Rule::BelowOrder]),
        Wire::CountBit => (Rule::Count, &[]),
        Wire::ShardBit | Wire::RestBit => (Rule::Product, &[]),
        Wire::Chosen => (Rule::Select, &[]),
    };
    Some(Expected { must, may })
}

impl Search {
    fn new(profile: Profile, shards: u8) -> Self {
        let circuit = Circuit::new(&profile);
        let fixture = Fixture::new(&profile, shards);
        let honest = circuit
            .assignment(&fixture.public, &fixture.private)
            .unwrap();
        assert!(circuit.is_satisfied(&honest));
        Self {
            profile,
            circuit,
            honest: honest.values().to_vec(),
            fixture,
        }
    }

    /// Rows that break when a variable is forced.
    fn broken(&self, variable: usize, value: Fr) -> Vec<super::super::Broken> {
        let forced = HashMap::from([(variable, value)]);
        let assignment = assign(
            &self.profile,
            &self.fixture.public,
            &self.fixture.private,
            &forced,
        );
        self.circuit.violations(&assignment)
    }

    /// Every variable but the free ones breaks its rows; every row is broken by some variable.
    fn run(&self) {
        let wires = self.circuit.wires();
        let results: Vec<(BTreeSet<Rule>, BTreeSet<usize>)> = (0..wires.len())
            .into_par_iter()
            .map(|nth| self.attack(wires[nth], INSTANCE_VARIABLES + nth))
            .collect();
        let covered: BTreeSet<usize> = results.iter().flat_map(|(_, rows)| rows).copied().collect();
        let idle: Vec<_> = (0..self.circuit.constraints())
            .filter(|row| !covered.contains(row))
            .map(|row| (row, self.circuit.rules()[row]))
            .collect();
        assert!(idle.is_empty(), "{idle:?}: rows that no attack needs");

        let count = |wire| wires.iter().filter(|w| **w == wire).count();
        let free = wires.iter().zip(&results);
        let siblings = free
            .filter(|(wire, (rules, _))| **wire == Wire::Child && *rules == only(Rule::Root))
            .count();
        assert_eq!(siblings * 8, count(Wire::Child) * 7, "one of eight is held");
        assert_eq!(count(Wire::Cell), CELL_ELEMENTS * self.profile.samples());
    }

    /// The rules that break when a variable has another value, and the rows that break then, or when a bit is 2.
    fn attack(&self, wire: Wire, variable: usize) -> (BTreeSet<Rule>, BTreeSet<usize>) {
        let honest = self.honest[variable];
        let expected = expected(wire);
        let value = if is_bit(wire) {
            Fr::ONE - honest
        } else {
            honest + Fr::ONE
        };
        let mut broken = self.broken(variable, value);
        let rules: BTreeSet<Rule> = broken.iter().map(|row| row.rule).collect();
        match &expected {
            Some(Expected { must, may }) => {
                let known = |rule: &Rule| rule == must || *rule == Rule::Root || may.contains(rule);
                assert!(
                    rules.contains(must) && rules.iter().all(known),
                    "{wire:?} {variable}: {rules:?}"
                );
            }
            None => {
                let held = BTreeSet::from([Rule::Select, Rule::Root]);
                assert!(
                    rules == only(Rule::Root) || (wire == Wire::Child && rules == held),
                    "{wire:?} {variable}: {rules:?}"
                );
            }
        }
        if is_bit(wire) {
            let two = self.broken(variable, Fr::from(2u64));
            let bounds = |rule| matches!(rule, Rule::Boolean | Rule::BelowOrder | Rule::Run);
            assert!(
                two.iter().any(|row| bounds(row.rule)),
                "{wire:?} {variable} may be 2"
            );
            broken.extend(two);
        }
        (rules, broken.iter().map(|row| row.row).collect())
    }
}

const fn is_bit(wire: Wire) -> bool {
    matches!(
        wire,
        Wire::SeedBit | Wire::Run | Wire::CountBit | Wire::ShardBit | Wire::RestBit
    )
}

#[test]
fn every_variable_is_free_by_design_or_breaks_its_rows() {
    Search::new(Profile::new("one", 1, 1), 5).run();
}

#[test]
#[ignore = "some 40,000 assignments of a circuit with two lanes of samples take minutes"]
fn every_variable_of_two_lanes_and_levels_is_free_by_design_or_breaks_its_rows() {
    Search::new(Profile::new("lanes", 2, 5), 11).run();
}
