//! Published instances, generated whole by the code that generates ours, against published vectors.
//!
//! Every vector is the permutation of (0, 1, 2, …) over the scalar field of BN254, x^5, 8 full rounds. Nothing of an instance
//! is copied: constants come from `grain`, and for widths from 4 on so does the internal matrix, drawn again until it
//! passes the check of `conditions`. That these vectors come out therefore tests the generator, both linear layers,
//! the order of the rounds and the check itself.
//!
//! **Two sets of constants are in use.** The reference repository (HorizenLabs/poseidon2, `poseidon2_rust_params.sage`) seeded
//! the generator with S-box tag 1 until commit bb476b9 and with 0 since. Nothing else changed, neither round numbers nor
//! small matrices, and no attack on either is known. Logos (Codex) storage proofs use the old set of width 3 by default;
//! crates such as `taceo-poseidon2` and Barretenberg's width 4 use the new one. Ours follow the new one.
//!
//! Sources: widths 3 (new) and 4: `plain_implementations/src/poseidon2/` of HorizenLabs/poseidon2; width 3 (old):
//! `tests/poseidon2/testPermutation.nim` and `poseidon2/roundconst_old.nim` of logos-storage/nim-poseidon2; widths 2, 8
//! and 16: tests of `taceo-poseidon2` (TaceoLabs/co-snarks), which names the reference script.
#![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

use super::{
    conditions,
    grain::{Grain, SboxTag},
    permute_with,
    tests::element,
};
use crate::field::Fr;
use ark_ff::Field;

const FULL: usize = super::FULL_ROUNDS;

/// Diagonal less one, as the reference script has it: fixed for widths 2 and 3, else drawn after the constants.
fn reference_diagonal<const T: usize>(grain: &mut Grain) -> [Fr; T] {
    if T < 4 {
        return std::array::from_fn(|i| Fr::from(if i + 1 == T { 2 } else { 1 }));
    }
    loop {
        let diagonal = std::array::from_fn(|_| grain.reduced_element() - Fr::ONE);
        if conditions::resists_subspace_trails(&diagonal) {
            return diagonal;
        }
    }
}

fn permuted<const T: usize>(tag: SboxTag, partial_rounds: usize) -> [Fr; T] {
    let mut grain = Grain::new(tag, T, FULL, partial_rounds);
    let (full, partial) = grain.round_constants::<T>(FULL, partial_rounds);
    let diagonal: [Fr; T] = reference_diagonal(&mut grain);
    let mut state = std::array::from_fn(|i| Fr::from(i as u64));
    permute_with(&full, &partial, &mut state, |state| {
        let next = conditions::apply_internal(&diagonal, state);
        state.copy_from_slice(&next);
    });
    state
}

#[test]
fn width_2_gives_the_published_vector() {
    let expected = [
        "1d01e56f49579cec72319e145f06f6177f6c5253206e78c2689781452a31878b",
        "0d189ec589c41b8cffa88cfc523618a055abe8192c70f75aa72fc514560f6c61",
    ];
    assert_eq!(permuted(SboxTag::Power, 56), expected.map(element));
}

#[test]
fn width_3_gives_the_published_vector() {
    let expected = [
        "0bb61d24daca55eebcb1929a82650f328134334da98ea4f847f760054f4a3033",
        "303b6f7c86d043bfcbcc80214f26a30277a15d3f74ca654992defe7ff8d03570",
        "1ed25194542b12eef8617361c3ba7c52e660b145994427cc86296242cf766ec8",
    ];
    assert_eq!(permuted(SboxTag::Power, 56), expected.map(element));
}

#[test]
fn width_3_gives_the_vector_of_the_old_constants_with_the_old_tag() {
    let expected = [
        "30610a447b7dec194697fb50786aa7421494bd64c221ba4d3b1af25fb07bd103",
        "13f731d6ffbad391be22d2ac364151849e19fa38eced4e761bcd21dbdc600288",
        "1433e2c8f68382c447c5c14b8b3df7cbfd9273dd655fe52f1357c27150da786f",
    ];
    assert_eq!(permuted(SboxTag::OldReference, 56), expected.map(element));
}

#[test]
fn old_and_new_constants_differ_by_the_tag_alone() {
    let outer = |tag| {
        let (full, partial) = Grain::new(tag, 3, FULL, 56).round_constants::<3>(FULL, 56);
        [full[0][0], partial[0], partial[55], full[7][2]]
    };
    let old = [
        "2c4c51fd1bb9567c27e99f5712b49e0574178b41b6f0a476cddc41d242cf2b43",
        "15ce7e5ae220e8623a40b3a3b22d441eff0c9be1ae1d32f1b777af84eea7e38c",
        "238d26ca97c691591e929f32199a643550f325f23a85d420080b289d7cecc9d4",
        "0f81ebce43c47711751fa64d6c007221016d485641c28c507d04fd3dc7fba1d2",
    ];
    assert_eq!(outer(SboxTag::OldReference), old.map(element));
    let new = "1d066a255517b7fd8bddd3a93f7804ef7f8fcde48bb4c37a59a09a1a97052816";
    assert_eq!(outer(SboxTag::Power)[0], element(new));
}

#[test]
fn the_published_internal_matrix_of_width_4_is_drawn_after_the_constants() {
    let published = [
        "10dc6e9c006ea38b04b1e03b4bd9490c0d03f98929ca1d7fb56821fd19d3b6e7",
        "0c28145b6a44df3e0149b3d0a30b3bb599df9756d4dd9b84a86b38cfb45a740b",
        "00544b8338791518b2c7645a50392798b21f75bb60e3596170067d00141cac15",
        "222c01175718386f2e2e82eb122789e352e105a3b8fa852613bc534433ee428b",
    ];
    let mut grain = Grain::new(SboxTag::Power, 4, FULL, 56);
    grain.round_constants::<4>(FULL, 56);
    assert_eq!(reference_diagonal(&mut grain), published.map(element));
}

#[test]
fn width_4_gives_the_published_vector() {
    let expected = [
        "01bd538c2ee014ed5141b29e9ae240bf8db3fe5b9a38629a9647cf8d76c01737",
        "239b62e7db98aa3a2a8f6a0d2fa1709e7a35959aa6c7034814d9daa90cbac662",
        "04cbb44c61d928ed06808456bf758cbf0c18d1e15a7b6dbc8245fa7515d5e3cb",
        "2e11c5cff2a22c64d01304b778d78f6998eff1ab73163a35603f54794c30847a",
    ];
    assert_eq!(permuted(SboxTag::Power, 56), expected.map(element));
}

/// Our width 8 but for the internal matrix and one partial round: the same generator, the same external layer.
#[test]
fn width_8_gives_the_published_vector() {
    let expected = [
        "1d1a50bcde871247856df135d56a4ca61af575f1140ed9b1503c77528cf345df",
        "2d3943cf476ed49fd8a636660d8a76c83b55f07d06bc082005ad7eb1a21791c5",
        "2fcda2dd846fadfde8104b1d05175dcf3cf8bd698ed8ea3ad2fbcf9c06e00310",
        "28811ac7e0829171f9d3d81f1c0ff8f34b360d407a16b331a1cb6b5d992de094",
        "2c07c1817cfccb67c1297935514885c07abad5a0e15477f6c076c0b0fb1ad6f3",
        "1b6114397199bc44e37437dd3ba1754dff007d3315bfcdcdc14ec27d02452f52",
        "1431250baf36fb61a07618caee4dd2f500da339a05c553e8f529a3349e617aa2",
        "0b19bfa00c8f1d505074130e7f8b49a8624b1905e280ceca5ba11099b081b265",
    ];
    assert_eq!(permuted(SboxTag::Power, 57), expected.map(element));
}

/// Our width 16 but for the internal matrix and ten partial rounds: the same generator, the same external layer.
#[test]
fn width_16_gives_the_published_vector() {
    let expected = [
        "0fc2e6b758f493969e1d860f9a44ee3bdffdf796f382aa4ffb16fa4e9bcc333f",
        "0c118155a0dfeca3f91faf14a350511228ac33743be91249c6e0b3a635a50de4",
        "1a02b3a6571f22bb6392322d3f9f5de145b4f00bdf483072ce6188c30ba0f83d",
        "26631df6b2522ecde57413cd680ed590ded356e1c680f865f45be8eb960d1e06",
        "250ac4dfed40dc37bac9abe46f7bff3a80481d52a157ac80a1e5d39a5ed60e18",
        "17160980d8e7d9cb31addaf294cf047768bffd9fe433e8903b4ed262ee913f5b",
        "1d708a9f0995c2e0cd2f55e5dc795126f7191a0eb934ac8172bf54e520361ff6",
        "20721a18915e96e37e12c9697427f34d6a366787ea94ea65565c36813a0d77a3",
        "08671a9e58105eed9ac673249dcf22f08f098e3c6eb28f9eaa55d67d755972d0",
        "01e879484303c6d057128fbcc3a4222c779a62d3666df65d4e0b64c8031d7cc4",
        "239e2ce87955ebe19aaad000b38725b729f51175ab7d688f15d997edf0e3b7fc",
        "06be612f42b3ebdbade3fe199338c9118eb6b5fb760bda96e45443f130a8b2de",
        "11b2c04b4eb9e4844e5ddbb19b56059a815ed5d69405ba51786961235d5f073c",
        "006da33e2d57616c0ffc855b48d225a1237c3d80fc7e6b6e73b74e162b85c8a8",
        "0ef50c2615882523c6c73a69b4371332a066b2dc4b9630f186db47e3bfca88c8",
        "0e2ceb1f8fde5f80be1f41bd239fabdc2f6133a6a98920a55c42891c3a925152",
    ];
    assert_eq!(permuted(SboxTag::Power, 57), expected.map(element));
}
