//! This node's own record and enode: what it tells others about where it is reached. Never a guess.
//! Facts: `spec/devp2p.md` §1.4, §1.5 and design §2, Advertised address.

use enode::{Endpoint, Enode, NodeKey, Record, RecordContent, RecordError};

/// The key, the advertised endpoint and the record that says so.
pub(crate) struct Local {
    key: NodeKey,
    advertised: Option<Endpoint>,
    record: Record,
}

impl Local {
    /// The first record has the sequence number after `last_seq`.
    pub(crate) fn new(
        key: NodeKey,
        advertised: Option<Endpoint>,
        last_seq: u64,
    ) -> Result<Self, RecordError> {
        let record = sign(&key, advertised, last_seq.saturating_add(1))?;
        Ok(Self { key, advertised, record })
    }

    /// Changes the endpoint; whether it is another one. Then the record has the next sequence number.
    pub(crate) fn advertise(&mut self, endpoint: Option<Endpoint>) -> Result<bool, RecordError> {
        if endpoint == self.advertised {
            return Ok(false);
        }
        self.record = sign(&self.key, endpoint, self.record.seq().saturating_add(1))?;
        self.advertised = endpoint;
        Ok(true)
    }

    pub(crate) fn record(&self) -> &Record {
        &self.record
    }

    pub(crate) fn advertised(&self) -> Option<Endpoint> {
        self.advertised
    }

    /// Without an endpoint while that is unknown.
    pub(crate) fn enode(&self) -> Enode {
        Enode { public_key: self.key.public_key(), endpoint: self.advertised }
    }
}

fn sign(key: &NodeKey, endpoint: Option<Endpoint>, seq: u64) -> Result<Record, RecordError> {
    let content = RecordContent::new(seq);
    match endpoint {
        Some(endpoint) => content.with_endpoint(&endpoint),
        None => content,
    }
    .sign(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_address_is_not_guessed_and_a_change_counts_up() {
        let key = NodeKey::generate();
        let mut local = Local::new(key.clone(), None, 7).unwrap();
        assert_eq!(local.record().seq(), 8);
        assert_eq!(local.record().endpoint(), None);
        assert_eq!(local.enode().to_string(), format!("enode://{}", key.public_key()));
        let endpoint = Endpoint::new("198.51.100.7".parse().unwrap(), 30303, 0);
        assert_eq!(local.advertise(Some(endpoint)), Ok(true));
        assert_eq!(local.advertise(Some(endpoint)), Ok(false));
        assert_eq!((local.record().seq(), local.record().endpoint()), (9, Some(endpoint)));
        assert!(local.enode().to_string().ends_with("@198.51.100.7:30303?discport=0"));
        assert_eq!(local.record().to_string().parse::<Record>().unwrap(), *local.record());
    }
}
