//! Layered configuration: defaults < file < environment < flags.
//!
//! Defaults are serde's (`#[serde(default)]`). The file is TOML. `PROBITY_<SECTION>__<KEY>` in the environment sets
//! `section.key`; two underscores part the levels, so that keys may hold one. Flags come last, through [`Layers::set`].
//! A key nobody asked for is refused by name and origin, whether or not the type denies unknown fields: a misspelt key must
//! not silently leave a default in force. Secrets are not configuration: a key here is the path of a key file.

use std::{collections::BTreeMap, fs, io::ErrorKind, path::Path, sync::Arc};

use serde::{Serialize, de::DeserializeOwned};

use crate::exit::Failure;

mod tree;

use tree::{Leaf, Tree};

/// Prefix of the environment variables that are read.
const PREFIX: &str = "PROBITY_";

/// Largest configuration file that is read, bytes.
const MAX_FILE_BYTES: u64 = 1024 * 1024;

/// The layers of a configuration, added in rising precedence.
#[derive(Clone, Debug, Default)]
pub struct Layers {
    root: BTreeMap<String, Tree>,
}

impl Layers {
    /// No layers: only defaults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Lays a TOML file over what is there.
    ///
    /// # Errors
    /// Usage if the file is missing, too large or no TOML.
    pub fn file(self, path: &Path) -> Result<Self, Failure> {
        let shown = path.display();
        let cannot = |error: std::io::Error| match error.kind() {
            ErrorKind::NotFound => Failure::usage(format!(
                "no configuration file at {shown}; write one with `init` or name it with --config"
            )),
            _ => Failure::usage(format!("cannot read configuration file {shown}: {error}")),
        };
        if fs::metadata(path).map_err(cannot)?.len() > MAX_FILE_BYTES {
            return Err(Failure::usage(format!(
                "configuration file {shown} is larger than {MAX_FILE_BYTES} bytes"
            )));
        }
        self.text(
            &fs::read_to_string(path).map_err(cannot)?,
            &shown.to_string(),
        )
    }

    /// Lays TOML text over what is there; `origin` names it in error messages.
    ///
    /// # Errors
    /// Usage if the text is no TOML.
    pub fn text(mut self, text: &str, origin: &str) -> Result<Self, Failure> {
        let table: toml::Table = text.parse().map_err(|error: toml::de::Error| {
            let line = error.span().map_or(1, |span| {
                text[..span.start.min(text.len())].matches('\n').count() + 1
            });
            Failure::usage(format!("{origin}, line {line}: {}", error.message()))
        })?;
        let origin: Arc<str> = origin.into();
        for (key, value) in table {
            tree::insert(&mut self.root, key.clone(), Tree::from_toml(value, &origin));
        }
        Ok(self)
    }

    /// Lays the process's environment over what is there.
    #[must_use]
    pub fn environment(self) -> Self {
        // A variable that is no UTF-8 cannot be a key or value of ours.
        let variables = std::env::vars_os().filter_map(|(name, value)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        });
        self.variables(variables)
    }

    /// Lays environment variables over what is there. Others than `PROBITY_<SECTION>__<KEY>` are left alone.
    #[must_use]
    pub fn variables(mut self, variables: impl IntoIterator<Item = (String, String)>) -> Self {
        for (name, value) in variables {
            let Some(path) = name.strip_prefix(PREFIX).filter(|path| path.contains("__")) else {
                continue;
            };
            let path = path.to_ascii_lowercase().replace("__", ".");
            let leaf = Leaf {
                value: tree::Value::Text(value),
                origin: name.as_str().into(),
            };
            tree::insert_at(&mut self.root, &path, leaf);
        }
        self
    }

    /// Lays a flag over what is there: `key` is dotted, as `chain.rpc`. `None`, a flag not given, changes nothing.
    #[must_use]
    pub fn set<V: Into<toml::Value>>(mut self, key: &str, value: Option<V>) -> Self {
        if let Some(value) = value {
            let flag = key.replace(['.', '_'], "-");
            let leaf = Leaf {
                value: tree::Value::Toml(value.into()),
                origin: format!("--{flag}").into(),
            };
            tree::insert_at(&mut self.root, key, leaf);
        }
        self
    }

    /// The configuration the layers make together.
    ///
    /// # Errors
    /// Usage, naming key and origin, if a key is unknown, missing or has a wrong value.
    pub fn build<T: DeserializeOwned>(self) -> Result<T, Failure> {
        tree::deserialize(self.root)
            .map_err(|error| Failure::usage(format!("configuration: {error}")))
    }
}

/// A configuration as TOML text, as `config show` prints it and `init` writes it.
///
/// # Errors
/// Internal if TOML cannot express the value.
pub fn to_toml(config: &impl Serialize) -> Result<String, Failure> {
    toml::to_string_pretty(config).map_err(|error| {
        Failure::internal(format!("cannot write the configuration as TOML: {error}"))
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

    use std::{net::SocketAddr, path::PathBuf};

    use serde::Deserialize;

    use super::*;
    use crate::exit::ExitCode;

    #[derive(Debug, Deserialize, Serialize, PartialEq)]
    struct Config {
        listen: SocketAddr,
        #[serde(default)]
        chain: Chain,
        proxy: Option<u16>,
        #[serde(default)]
        mode: Mode,
    }

    #[derive(Debug, Deserialize, Serialize, PartialEq)]
    #[serde(default)]
    struct Chain {
        rpc: Vec<String>,
        key_file: PathBuf,
        confirmations: u8,
        verbose: bool,
        margin: f64,
    }

    impl Default for Chain {
        fn default() -> Self {
            Self {
                rpc: vec!["http://127.0.0.1:8545".to_owned()],
                key_file: "chain.key".into(),
                confirmations: 2,
                verbose: false,
                margin: 1.5,
            }
        }
    }

    #[derive(Debug, Default, Deserialize, Serialize, PartialEq)]
    #[serde(rename_all = "lowercase")]
    enum Mode {
        #[default]
        Quiet,
        Loud,
    }

    const FILE: &str =
        "listen = '127.0.0.1:7100'\n[chain]\nconfirmations = 3\nkey_file = 'a.key'\n";

    fn variables(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    }

    fn file() -> Layers {
        Layers::new().text(FILE, "node.toml").unwrap()
    }

    #[test]
    fn flags_win_over_the_environment_and_that_over_the_file_and_that_over_defaults() {
        let config: Config = file()
            .variables(variables(&[
                ("PROBITY_CHAIN__CONFIRMATIONS", "4"),
                ("PROBITY_CHAIN__KEY_FILE", "b.key"),
            ]))
            .set("chain.confirmations", Some(5))
            .set("chain.key_file", None::<String>)
            .build()
            .unwrap();
        assert_eq!(config.chain.confirmations, 5);
        assert_eq!(config.chain.key_file, PathBuf::from("b.key"));
        assert_eq!(config.chain.rpc, ["http://127.0.0.1:8545"]);
        assert_eq!(config.listen, "127.0.0.1:7100".parse().unwrap());
    }

    #[test]
    fn text_from_the_environment_becomes_whatever_the_key_wants() {
        let config: Config = file()
            .variables(variables(&[
                ("PROBITY_CHAIN__RPC", "http://a:1, http://b:2"),
                ("PROBITY_CHAIN__VERBOSE", "true"),
                ("PROBITY_CHAIN__MARGIN", "2"),
                ("PROBITY_CHAIN__KEY_FILE", "1234"),
            ]))
            .build()
            .unwrap();
        assert_eq!(config.chain.rpc, ["http://a:1", "http://b:2"]);
        assert!(config.chain.verbose);
        assert!((config.chain.margin - 2.0).abs() < f64::EPSILON);
        assert_eq!(config.chain.key_file, PathBuf::from("1234"));
    }

    #[test]
    fn variables_without_a_section_are_left_alone() {
        let config: Config = file()
            .variables(variables(&[("PROBITY_LOG", "debug"), ("OTHER__KEY", "1")]))
            .build()
            .unwrap();
        assert_eq!(config.proxy, None);
    }

    #[test]
    fn an_unknown_key_is_named_with_its_origin() {
        let refused = |layers: Layers, expected: &[&str]| {
            let failure = layers.build::<Config>().unwrap_err();
            assert_eq!(failure.code, ExitCode::Usage);
            for part in expected {
                assert!(failure.message.contains(part), "{failure}");
            }
        };
        refused(
            file().text("[chain]\nrcp = 'x'", "other.toml").unwrap(),
            &["chain.rcp", "other.toml", "unknown"],
        );
        refused(
            file().variables(variables(&[("PROBITY_CHAIN__RCP", "x")])),
            &["chain.rcp", "PROBITY_CHAIN__RCP"],
        );
        refused(
            file().variables(variables(&[("PROBITY_CHIAN__RPC", "x")])),
            &["chian", "PROBITY_CHIAN__RPC"],
        );
    }

    #[test]
    fn a_wrong_value_is_named_with_its_key_and_origin() {
        let message = |layers: Layers| layers.build::<Config>().unwrap_err().message;
        let text =
            message(file().variables(variables(&[("PROBITY_CHAIN__CONFIRMATIONS", "many")])));
        assert!(
            text.contains("chain.confirmations") && text.contains("PROBITY_CHAIN__CONFIRMATIONS"),
            "{text}"
        );
        let text = message(
            file()
                .text("[chain]\nconfirmations = 256", "big.toml")
                .unwrap(),
        );
        assert!(
            text.contains("chain.confirmations") && text.contains("big.toml"),
            "{text}"
        );
        let text = message(file().text("chain = 7", "flat.toml").unwrap());
        assert!(
            text.contains("chain") && text.contains("flat.toml"),
            "{text}"
        );
        let text = message(file().text("mode = 'deaf'", "mode.toml").unwrap());
        assert!(text.contains("mode") && text.contains("quiet"), "{text}");
    }

    #[test]
    fn a_missing_key_is_named() {
        let failure = Layers::new().build::<Config>().unwrap_err();
        assert!(failure.message.contains("listen"), "{failure}");
    }

    #[test]
    fn a_missing_file_is_a_usage_failure_that_names_the_path() {
        let failure = Layers::new()
            .file(Path::new("/nowhere/node.toml"))
            .unwrap_err();
        assert_eq!(failure.code, ExitCode::Usage);
        assert!(failure.message.contains("/nowhere/node.toml"), "{failure}");
    }

    #[test]
    fn broken_toml_is_refused_with_its_line() {
        let failure = Layers::new()
            .text("a = 1\nb = = 2\n", "node.toml")
            .unwrap_err();
        assert!(
            failure.message.starts_with("node.toml, line 2:"),
            "{failure}"
        );
    }

    #[test]
    fn what_is_shown_reads_back_as_the_same_configuration() {
        let config: Config = file()
            .set("proxy", Some(8080))
            .set("mode", Some("loud"))
            .build()
            .unwrap();
        let again: Config = Layers::new()
            .text(&to_toml(&config).unwrap(), "shown")
            .unwrap()
            .build()
            .unwrap();
        assert_eq!(again, config);
    }
}
