//! Why a contract refused a call: its custom error, by name, with its arguments.

use std::{collections::HashMap, fmt, sync::LazyLock};

use alloy::{
    dyn_abi::{DynSolValue, ErrorExt},
    json_abi::{Error as AbiError, JsonAbi},
    primitives::{Bytes, Selector, hex},
    sol_types::{Revert as ErrorString, SolError},
};

/// The ABIs whose errors are known. A call may pass a nested contract's error on, so all of them are looked through.
const ABIS: [&str; 6] = [
    include_str!("../../contracts/abi/Registry.json"),
    include_str!("../../contracts/abi/Deals.json"),
    include_str!("../../contracts/abi/Hub.json"),
    include_str!("../../contracts/abi/StorageProofVerifier.json"),
    include_str!("../../contracts/abi/QuotePolicy.json"),
    include_str!("../../contracts/abi/ProbityToken.json"),
];

static ERRORS: LazyLock<HashMap<Selector, AbiError>> = LazyLock::new(|| {
    // The same files the bindings were generated from at compile time: they are well-formed.
    ABIS.iter()
        .filter_map(|text| serde_json::from_str::<JsonAbi>(text).ok())
        .flat_map(|abi| abi.errors.into_values().flatten())
        .map(|error| (error.selector(), error))
        .collect()
});

/// A contract's refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revert {
    /// Name of the custom error, e.g. `HardwareAlreadyEnrolled`; `Error` for a plain string, `Panic` for a Solidity panic,
    /// `Unknown` for data no known contract sends.
    pub name: String,
    /// The error's arguments, in order.
    pub arguments: Vec<Argument>,
    /// What the contract returned.
    pub data: Bytes,
}

/// One argument of a custom error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Argument {
    /// The parameter's name in the Solidity source.
    pub name: String,
    /// Its value as a person reads it.
    pub value: String,
}

impl Revert {
    /// Reads what a contract returned when it reverted.
    #[must_use]
    pub fn decode(data: Bytes) -> Self {
        let (name, arguments) = custom(&data)
            .or_else(|| string(&data))
            .or_else(|| panic(&data))
            .unwrap_or_else(|| unknown(&data));
        Self {
            name,
            arguments,
            data,
        }
    }

    /// Whether this is the custom error `E`, e.g. `Registry::HardwareAlreadyEnrolled`.
    #[must_use]
    pub fn is<E: SolError>(&self) -> bool {
        self.data.starts_with(&E::SELECTOR)
    }

    /// The custom error `E` with its arguments, if this is one.
    #[must_use]
    pub fn error<E: SolError>(&self) -> Option<E> {
        E::abi_decode(&self.data).ok()
    }
}

impl fmt::Display for Revert {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}(", self.name)?;
        for (index, Argument { name, value }) in self.arguments.iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(f, "{comma}{name}: {value}")?;
        }
        f.write_str(")")
    }
}

fn custom(data: &[u8]) -> Option<(String, Vec<Argument>)> {
    let error = ERRORS.get(&Selector::try_from(data.get(..4)?).ok()?)?;
    let values = error.decode_error(data).ok()?.body;
    let arguments = error
        .inputs
        .iter()
        .zip(&values)
        .map(|(input, value)| Argument {
            name: input.name.clone(),
            value: shown(value),
        })
        .collect();
    Some((error.name.clone(), arguments))
}

fn string(data: &[u8]) -> Option<(String, Vec<Argument>)> {
    let ErrorString { reason } = ErrorString::abi_decode(data).ok()?;
    Some((
        "Error".to_owned(),
        vec![Argument {
            name: "reason".to_owned(),
            value: reason,
        }],
    ))
}

fn panic(data: &[u8]) -> Option<(String, Vec<Argument>)> {
    let panic = alloy::sol_types::Panic::abi_decode(data).ok()?;
    Some((
        "Panic".to_owned(),
        vec![Argument {
            name: "code".to_owned(),
            value: panic.code.to_string(),
        }],
    ))
}

fn unknown(data: &[u8]) -> (String, Vec<Argument>) {
    // The data may be long and is not ours: enough of it to recognise.
    let shown = hex::encode_prefixed(&data[..data.len().min(36)]);
    (
        "Unknown".to_owned(),
        vec![Argument {
            name: "data".to_owned(),
            value: shown,
        }],
    )
}

fn shown(value: &DynSolValue) -> String {
    match value {
        DynSolValue::Bool(value) => value.to_string(),
        DynSolValue::Int(value, _) => value.to_string(),
        DynSolValue::Uint(value, _) => value.to_string(),
        DynSolValue::FixedBytes(word, size) => hex::encode_prefixed(&word[..(*size).min(32)]),
        DynSolValue::Address(address) => address.to_string(),
        DynSolValue::Bytes(bytes) => hex::encode_prefixed(bytes),
        DynSolValue::String(text) => format!("{text:?}"),
        other => format!("{other:?}"),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

    use alloy::primitives::{B256, U256};

    use super::*;
    use crate::bindings::{Hub, Registry};

    #[test]
    fn a_custom_error_is_named_with_its_arguments() {
        let error = Registry::HardwareAlreadyEnrolled {
            hardwareId: B256::repeat_byte(0xab),
            node: 3,
        };
        let revert = Revert::decode(error.abi_encode().into());
        assert_eq!(revert.name, "HardwareAlreadyEnrolled");
        assert_eq!(
            revert.to_string(),
            format!(
                "HardwareAlreadyEnrolled(hardwareId: 0x{}, node: 3)",
                "ab".repeat(32)
            )
        );
        assert!(revert.is::<Registry::HardwareAlreadyEnrolled>());
        assert!(!revert.is::<Hub::NoBeacon>());
        assert_eq!(
            revert.error::<Registry::HardwareAlreadyEnrolled>(),
            Some(error)
        );
    }

    #[test]
    fn strings_and_panics_of_solidity_are_named() {
        let reason = Revert::decode(ErrorString::from("too poor").abi_encode().into());
        assert_eq!(reason.to_string(), "Error(reason: too poor)");
        let panic = alloy::sol_types::Panic {
            code: U256::from(0x11),
        };
        assert_eq!(
            Revert::decode(panic.abi_encode().into()).to_string(),
            "Panic(code: 17)"
        );
    }

    #[test]
    fn data_of_nobody_we_know_is_shown_in_part() {
        let revert = Revert::decode(vec![0xee; 1000].into());
        assert_eq!(revert.name, "Unknown");
        assert!(revert.to_string().len() < 120);
        assert_eq!(
            Revert::decode(Bytes::new()).to_string(),
            "Unknown(data: 0x)"
        );
    }

    #[test]
    fn a_truncated_custom_error_is_no_custom_error() {
        let mut data = Hub::NoBeacon { epoch: 7 }.abi_encode();
        data.truncate(20);
        let revert = Revert::decode(data.into());
        assert_eq!(revert.name, "Unknown");
        assert_eq!(revert.error::<Hub::NoBeacon>(), None);
    }

    #[test]
    fn the_errors_of_every_contract_are_known() {
        assert!(
            ABIS.iter()
                .all(|text| serde_json::from_str::<JsonAbi>(text).is_ok())
        );
        for selector in [Registry::BondTooLow::SELECTOR, Hub::NoBeacon::SELECTOR] {
            assert!(ERRORS.contains_key(&Selector::from(selector)));
        }
    }
}
