//! Asking a mailserver for history.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use node_client::{Options, history::Form};
use serde::Serialize;
use waku_wire::{Bloom, EnvelopeHash, MessagesRequest, SymmetricKey, keys::DEFAULT_MAILSERVER_PASSWORD};

use super::{
    Failure, print,
    session::{Common, Received, Topics, unix_now},
};
use crate::files;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum RequestForm {
    /// A list in the clear, as the Status app sends it.
    Plain,
    /// A signed and encrypted envelope, as the canary sends it.
    Encrypted,
}

#[derive(Debug, Args)]
pub(super) struct HistoryArguments {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    topics: Topics,
    /// First UNIX second wanted; a day before --to when not given.
    #[arg(long)]
    from: Option<u32>,
    /// Last UNIX second wanted; now + 10 when not given.
    #[arg(long)]
    to: Option<u32>,
    /// Envelopes a page; 0 is the most, 1000.
    #[arg(long, default_value_t = 1000)]
    limit: u32,
    /// Where to go on, from an earlier completion.
    #[arg(long, value_name = "HEX", default_value = "", hide_default_value = true)]
    cursor: String,
    /// Follow the cursors to the end.
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    how: How,
}

/// How requests travel.
#[derive(Debug, Args)]
pub(super) struct How {
    /// Request form.
    #[arg(long, value_enum, default_value_t = RequestForm::Plain)]
    form: RequestForm,
    /// File with the mailserver's password for the encrypted form; the network's default when not given.
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// Proof of work of the encrypted form.
    #[arg(long, default_value_t = 0.002)]
    pow: f64,
}

impl HistoryArguments {
    fn request(&self) -> Result<MessagesRequest, Failure> {
        let to = self.to.unwrap_or_else(|| unix_now().saturating_add(10));
        let topics = self.topics.all();
        let bloom = if topics.is_empty() { Bloom::FULL } else { Bloom::of_topics(topics.iter().copied()) };
        Ok(MessagesRequest {
            from: self.from.unwrap_or_else(|| to.saturating_sub(86_400)),
            to,
            bloom: bloom.0.to_vec(),
            topics,
            limit: self.limit,
            cursor: hex::decode(&self.cursor)
                .map_err(|_| Failure::Usage("--cursor: want hex digits".to_owned()))?,
            batch: true,
            ..MessagesRequest::default()
        })
    }
}

impl How {
    pub(super) fn form(&self) -> Result<Form, Failure> {
        if self.form == RequestForm::Plain {
            return Ok(Form::Plain);
        }
        let password = match &self.password_file {
            Some(path) => files::read_line(path, "password").map_err(Failure::Usage)?,
            None => DEFAULT_MAILSERVER_PASSWORD.to_owned(),
        };
        Ok(Form::Encrypted { key: SymmetricKey::from_password(&password), pow: self.pow })
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Completed {
    r#type: &'static str,
    request_id: String,
    last: String,
    cursor: String,
    envelopes: usize,
    /// Whether the envelope that the completion names as the last was delivered.
    last_received: bool,
}

pub(super) async fn history(arguments: &HistoryArguments) -> Result<(), Failure> {
    let (mut request, form) = (arguments.request()?, arguments.how.form()?);
    let client = arguments.common.connect(Options::quiet()).await?;
    loop {
        let patience = arguments.common.patience();
        let page = Box::pin(client.request_history(&request, &form, unix_now(), patience)).await?;
        for envelope in &page.envelopes {
            print(&Received::new(envelope))?;
        }
        let received = page.envelopes.iter().any(|envelope| envelope.hash() == page.last);
        print(&Completed {
            r#type: "completion",
            request_id: hex::encode(page.request),
            last: page.last.to_string(),
            cursor: page.cursor.map(|cursor| hex::encode(cursor.0)).unwrap_or_default(),
            envelopes: page.envelopes.len(),
            last_received: page.last != EnvelopeHash::ZERO && received,
        })?;
        match page.cursor {
            Some(cursor) if arguments.all && request.cursor != cursor.0 => request.cursor = cursor.0.to_vec(),
            _ => break,
        }
    }
    client.close().await;
    Ok(())
}
