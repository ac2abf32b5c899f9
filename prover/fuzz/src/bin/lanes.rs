//! Programs of field operations, in Fr, Fq and Fq2, and Poseidon2: the lanes against arkworks and the circuits' own hash.
#![no_main]

use ark_bn254::{Fq, Fq2, Fr};
use ark_ff::{AdditiveGroup, BigInt, Field, Zero};
use libfuzzer_sys::fuzz_target;
use prover::kernel::{
    FieldLanes, LANES, LaneField, Lanes, QuadraticLanes, Words, batch_invert, poseidon2,
};
use prover_fuzz::{Bytes, Check, everywhere};
use std::array;

/// Values that operations read and write.
const REGISTERS: usize = 4;
/// Operations of one program.
const LONGEST: usize = 64;

/// Elements as arkworks has them and as the lanes do.
trait Pair<W: Words>: FieldLanes<W> {
    /// The element.
    type Field: Field;
    fn read(bytes: &mut Bytes<'_>) -> Self::Field;
    fn enter(backend: W::Backend, elements: &[Self::Field; LANES]) -> Self;
    fn leave(&self) -> [Self::Field; LANES];
    /// What only these elements have.
    fn more(
        _operation: u8,
        _bytes: &mut Bytes<'_>,
        _value: &mut Self,
        _expected: &mut [Self::Field; LANES],
    ) {
    }
}

impl<F: LaneField, W: Words> Pair<W> for Lanes<F, W> {
    type Field = F;

    fn read(bytes: &mut Bytes<'_>) -> F {
        bytes.element()
    }

    fn enter(backend: W::Backend, elements: &[F; LANES]) -> Self {
        Self::from_fields(backend, elements)
    }

    fn leave(&self) -> [F; LANES] {
        self.to_fields()
    }

    fn more(operation: u8, bytes: &mut Bytes<'_>, value: &mut Self, expected: &mut [F; LANES]) {
        match operation % 6 {
            0 => {
                *value = value.fifth_power();
                *expected = expected.map(|x| x.square().square() * x);
            }
            1 => *value = value.canonical(),
            2 => {
                // Numbers below 2^256, which are 2^260 x for what elements they may be.
                let words: [[u64; LANES]; 4] = array::from_fn(|_| array::from_fn(|_| bytes.word()));
                let packed = words.map(|words| W::load(value.backend(), &words));
                *value = Self::unpack(&packed);
                let unit = F::from(2_u64).pow([260]).inverse().unwrap_or_default();
                *expected = array::from_fn(|lane| {
                    let bytes: Vec<u8> = words
                        .iter()
                        .flat_map(|word| word[lane].to_le_bytes())
                        .collect();
                    F::from_le_bytes_mod_order(&bytes) * unit
                });
            }
            3 => {
                let integers = value.to_integers();
                assert_eq!(integers, expected.map(|x| x.into_bigint().0));
                let elements =
                    integers.map(|words| F::from_bigint(BigInt(words)).unwrap_or_default());
                *value = Self::from_fields(value.backend(), &elements);
            }
            4 => *value = Self::unpack(&value.reduce().pack()),
            _ => {
                for x in expected.iter_mut().filter(|x| x.is_zero()) {
                    *x = F::ONE;
                }
                let zeros = value.is_zero();
                *value = Self::select(zeros, &Self::one(value.backend()), value).invert_units();
                *expected = expected.map(|x| x.inverse().unwrap_or_default());
            }
        }
    }
}

impl<W: Words> Pair<W> for QuadraticLanes<Fq, W> {
    type Field = Fq2;

    fn read(bytes: &mut Bytes<'_>) -> Fq2 {
        Fq2::new(bytes.element(), bytes.element())
    }

    fn enter(backend: W::Backend, elements: &[Fq2; LANES]) -> Self {
        Self::from_fields(backend, elements)
    }

    fn leave(&self) -> [Fq2; LANES] {
        self.to_fields()
    }
}

/// Runs the program that bytes are.
fn program<W: Words, P: Pair<W>>(backend: W::Backend, bytes: &mut Bytes<'_>) {
    let mut expected: [[P::Field; LANES]; REGISTERS] =
        array::from_fn(|_| array::from_fn(|_| P::read(bytes)));
    let mut values = expected.map(|elements| P::enter(backend, &elements));
    for _ in 0..LONGEST {
        if bytes.is_empty() {
            break;
        }
        let (operation, at) = (bytes.byte(), usize::from(bytes.byte()));
        let (to, a, b) = (at % REGISTERS, at / 4 % REGISTERS, at / 16 % REGISTERS);
        let (x, y) = (values[a], values[b]);
        let (u, v) = (expected[a], expected[b]);
        let each = |f: fn(P::Field, P::Field) -> P::Field| array::from_fn(|i| f(u[i], v[i]));
        (values[to], expected[to]) = match operation % 10 {
            0 | 1 => (x.mul(&y), each(|x, y| x * y)),
            2 => (x.add(&y), each(|x, y| x + y)),
            3 => (x.sub(&y), each(|x, y| x - y)),
            4 => (x.square(), each(|x, _| x.square())),
            5 => (x.neg(), each(|x, _| -x)),
            6 => (x.double(), each(|x, _| x.double())),
            7 => {
                let mut both = [x, y];
                batch_invert(&mut both, &mut Vec::new());
                (both[0], each(|x, _| x.inverse().unwrap_or_default()))
            }
            8 => {
                let mask = bytes.byte();
                let chosen = array::from_fn(|i| if mask >> i & 1 == 1 { u[i] } else { v[i] });
                (P::select(mask, &x, &y), chosen)
            }
            _ => {
                let (mut value, mut elements) = (x, u);
                P::more(bytes.byte(), bytes, &mut value, &mut elements);
                (value, elements)
            }
        };
        let zeros = (0..LANES).fold(0, |mask, i| mask | u8::from(expected[to][i].is_zero()) << i);
        assert_eq!(values[to].is_zero(), zeros);
        assert_eq!(values[to].leave(), expected[to]);
    }
}

/// One permutation of each width.
fn permutations<W: Words>(backend: W::Backend, bytes: &mut Bytes<'_>) {
    let states: [[Fr; LANES]; 16] = array::from_fn(|_| bytes.elements());
    let mut wide = states.map(|elements| Lanes::<Fr, W>::from_fields(backend, &elements));
    let mut narrow: [Lanes<Fr, W>; 8] = array::from_fn(|position| wide[position]);
    poseidon2::width_16().permute(&mut wide);
    poseidon2::width_8().permute(&mut narrow);
    let (wide, narrow) = (
        wide.map(|lanes| lanes.to_fields()),
        narrow.map(|lanes| lanes.to_fields()),
    );
    for lane in 0..LANES {
        let mut state = states.map(|elements| elements[lane]);
        circuits::poseidon2::width_16().permute(&mut state);
        assert_eq!(wide.map(|elements| elements[lane]), state);
        let mut state: [Fr; 8] = array::from_fn(|position| states[position][lane]);
        circuits::poseidon2::width_8().permute(&mut state);
        assert_eq!(narrow.map(|elements| elements[lane]), state);
    }
}

struct Input<'a>(&'a [u8]);

impl Check for Input<'_> {
    fn run<W: Words>(&self, backend: W::Backend) {
        let mut bytes = Bytes(self.0);
        match bytes.byte() % 4 {
            0 => program::<W, Lanes<Fr, W>>(backend, &mut bytes),
            1 => program::<W, Lanes<Fq, W>>(backend, &mut bytes),
            2 => program::<W, QuadraticLanes<Fq, W>>(backend, &mut bytes),
            _ => permutations::<W>(backend, &mut bytes),
        }
    }
}

fuzz_target!(|bytes: &[u8]| everywhere(&Input(bytes)));
