//! Lists of nodes: in the configuration, and in the two files of the data directory. Facts: `spec/devp2p.md` §1.3, §3.6.

use enode::{EnodeUrl, parse_node};
use serde_json::Value;

use crate::{ConfigError, Warning};

/// Directory inside `DataDir` that holds the two files; the reference's.
pub(crate) const INSTANCE: &str = "Statusd";
/// The list of peers that are always dialled.
pub(crate) const STATIC_NODES: &str = "static-nodes.json";
/// The list of peers that may exceed `MaxPeers`.
pub(crate) const TRUSTED_NODES: &str = "trusted-nodes.json";

/// The enode URLs of a list; one that does not parse is skipped and named by its place in `list`.
pub(crate) fn urls(list: &str, texts: &[String]) -> (Vec<EnodeUrl>, Vec<Warning>) {
    parse(list, texts.iter().map(|text| EnodeUrl::parse_with_0x(text).map_err(|error| error.to_string())))
}

/// The nodes of `static-nodes.json` or `trusted-nodes.json`: enode URLs and `enr:` texts.
///
/// # Errors
/// [`ConfigError::NodeList`] when it is no JSON array.
pub(crate) fn file(file: &str, text: &str) -> Result<(Vec<EnodeUrl>, Vec<Warning>), ConfigError> {
    let broken = |problem: String| ConfigError::NodeList { file: file.to_owned(), problem };
    match serde_json::from_str(text) {
        Ok(Value::Array(nodes)) => Ok(parse(
            file,
            nodes.iter().map(|node| match node {
                Value::String(text) => parse_node(text).map_err(|error| error.to_string()),
                _ => Err("it is no text".to_owned()),
            }),
        )),
        Ok(_) => Err(broken("holds something else than an array".to_owned())),
        Err(error) => Err(broken(format!("not JSON: {error}"))),
    }
}

fn parse(list: &str, nodes: impl Iterator<Item = Result<EnodeUrl, String>>) -> (Vec<EnodeUrl>, Vec<Warning>) {
    let (mut urls, mut warnings) = (Vec::new(), Vec::new());
    for (index, node) in nodes.enumerate() {
        match node {
            Ok(url) => urls.push(url),
            Err(error) => warnings.push(Warning(format!("{list}[{index}] is skipped: {error}"))),
        }
    }
    (urls, warnings)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const KEY: &str = "b71c71a67e1177ad4e901695e1b4b9ee17ae16c6668d313eac2f96dbcda3f291";

    fn public() -> String {
        enode::NodeKey::from_hex(KEY).unwrap().public_key().to_string()
    }

    #[test]
    fn ops_8_every_form_of_an_enode() {
        let public = public();
        let plain = format!("enode://{public}@192.0.2.1:30303");
        for text in [
            plain.clone(),
            format!("enode://{public}:status-offline-inbox@192.0.2.1:30303"),
            format!("enode://0x{public}@192.0.2.1:30303"),
            format!("enode://{public}@192.0.2.1:30303?discport=30303"),
        ] {
            let (urls, warnings) = urls("L", std::slice::from_ref(&text));
            assert_eq!((urls.len(), warnings.len()), (1, 0), "{text}: {warnings:?}");
            assert_eq!(urls[0].to_string(), plain, "the password is not kept");
        }
    }

    #[test]
    fn a_password_is_not_shown_when_its_enode_is_skipped() {
        let (_, warnings) = urls("L", &["enode://00:hush-hush@192.0.2.1:1".to_owned()]);
        assert!(warnings[0].0.starts_with("L[0] is skipped: "), "{warnings:?}");
        assert!(!warnings[0].0.contains("hush"), "{warnings:?}");
    }

    #[test]
    fn devp2p_3_6_the_files_hold_enodes_and_records() {
        let key = enode::NodeKey::from_hex(KEY).unwrap();
        let endpoint = enode::Endpoint::new("192.0.2.1".parse().unwrap(), 1, 2);
        let record = enode::RecordContent::new(1).with_endpoint(&endpoint).sign(&key).unwrap();
        let text = format!(r#"["enode://{}@192.0.2.1:1?discport=2", "{record}", "nonsense", 5]"#, public());
        let (urls, warnings) = file("f", &text).unwrap();
        assert_eq!(urls.len(), 2);
        assert_eq!(urls[0], urls[1]);
        assert_eq!(warnings.len(), 2);
        assert!(
            warnings[0].0.starts_with("f[2] is skipped: ") && warnings[1].0.starts_with("f[3]"),
            "{warnings:?}"
        );
        for text in ["", "{}", "[\"", "5"] {
            let error = file("f", text).unwrap_err().to_string();
            assert!(error.starts_with("f: ") && error.ends_with("or remove the file"), "{error}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in ".{0,100}", enode in "enode://[0-9a-fx:@.?=]{0,60}") {
            let _ = file("f", &text);
            let _ = urls("L", &[text, enode]);
        }
    }
}
