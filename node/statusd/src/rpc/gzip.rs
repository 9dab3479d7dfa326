//! Answers compressed for clients that take gzip (`spec/operations.md` §2.1).

use std::io::{self, Write as _};

use axum::http::{HeaderMap, header};
use flate2::{Compression, write::GzEncoder};

/// Longer texts are compressed off the event loop.
const INLINE_BYTES: usize = 64 * 1024;

/// Whether the client takes gzip.
pub(super) fn is_accepted(headers: &HeaderMap) -> bool {
    let values = headers.get_all(header::ACCEPT_ENCODING).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|coding| {
        let (name, parameters) = coding.split_once(';').unwrap_or((coding, ""));
        let quality =
            parameters.trim().strip_prefix("q=").and_then(|quality| quality.trim().parse::<f32>().ok());
        name.trim().eq_ignore_ascii_case("gzip") && quality.unwrap_or(1.0) > 0.0
    })
}

/// Compresses a text.
///
/// # Errors
/// The task that does it was cut off.
pub(super) async fn compress(text: String) -> io::Result<Vec<u8>> {
    if text.len() <= INLINE_BYTES {
        return encode(&text);
    }
    tokio::task::spawn_blocking(move || encode(&text)).await.map_err(io::Error::other)?
}

fn encode(text: &str) -> io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text.as_bytes())?;
    encoder.finish()
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn ops_2_1_who_takes_gzip() {
        for (value, accepted) in [
            ("gzip", true),
            ("deflate, GZIP;q=0.5", true),
            ("gzip;q=0", false),
            ("gzip; q=0.0, br", false),
            ("br", false),
            ("", false),
            ("x-gzip", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static(value));
            assert_eq!(is_accepted(&headers), accepted, "{value}");
        }
        assert!(!is_accepted(&HeaderMap::new()));
    }

    #[tokio::test]
    async fn short_and_long_texts_come_back_whole() {
        for length in [0, 1, INLINE_BYTES, INLINE_BYTES + 1, 1 << 20] {
            let text: String = ('a'..='z').cycle().take(length).collect();
            let compressed = compress(text.clone()).await.unwrap();
            let mut back = String::new();
            flate2::read::GzDecoder::new(compressed.as_slice()).read_to_string(&mut back).unwrap();
            assert_eq!(back, text);
        }
    }
}
