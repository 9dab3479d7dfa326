//! The bearer token of write methods: read from a file, replaced while the node runs, compared in constant time.

use parking_lot::RwLock;
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

/// The shortest token that is accepted, in bytes: shorter ones can be guessed.
const MIN_TOKEN_BYTES: usize = 16;

/// The configured token. Without a usable one nobody is let in.
#[derive(Default)]
pub(crate) struct Token(RwLock<Option<Zeroizing<String>>>);

impl Token {
    /// Replaces the token by the text of its file, without surrounding white space.
    ///
    /// # Errors
    /// The text is too short; then nobody is let in.
    pub(crate) fn set(&self, text: &str) -> Result<(), &'static str> {
        let token = text.trim();
        if token.len() < MIN_TOKEN_BYTES {
            *self.0.write() = None;
            return Err("holds fewer than 16 characters; write methods are refused until it holds more");
        }
        *self.0.write() = Some(Zeroizing::new(token.to_owned()));
        Ok(())
    }

    /// Nobody is let in until [`Self::set`].
    pub(crate) fn clear(&self) {
        *self.0.write() = None;
    }

    /// Whether the value of an `Authorization` header holds the token.
    pub(crate) fn admits(&self, header: Option<&[u8]>) -> bool {
        const SCHEME: &[u8] = b"bearer ";
        let Some((scheme, shown)) = header.and_then(|header| header.split_at_checked(SCHEME.len())) else {
            return false;
        };
        let token = self.0.read();
        let Some(token) = token.as_ref() else { return false };
        scheme.eq_ignore_ascii_case(SCHEME) && bool::from(shown.trim_ascii().ct_eq(token.as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_token_is_let_in() {
        let token = Token::default();
        assert!(!token.admits(Some(b"Bearer ")), "no token yet");
        token.set("0123456789abcdef\n").unwrap();
        assert!(token.admits(Some(b"Bearer 0123456789abcdef")));
        assert!(token.admits(Some(b"bearer 0123456789abcdef")));
        for wrong in [
            b"Bearer 0123456789abcdeF".as_slice(),
            b"Bearer ",
            b"Basic  0123456789abcdef",
            b"",
            b"0123456789abcdef",
        ] {
            assert!(!token.admits(Some(wrong)), "{wrong:?}");
        }
        assert!(!token.admits(None));
        token.set("fedcba9876543210").unwrap();
        assert!(!token.admits(Some(b"Bearer 0123456789abcdef")), "replaced");
    }

    #[test]
    fn a_short_or_missing_token_lets_nobody_in() {
        let token = Token::default();
        token.set("0123456789abcdef").unwrap();
        assert!(token.set("short").is_err());
        assert!(!token.admits(Some(b"Bearer short")) && !token.admits(Some(b"Bearer 0123456789abcdef")));
        token.set("0123456789abcdef").unwrap();
        token.clear();
        assert!(!token.admits(Some(b"Bearer 0123456789abcdef")));
    }
}
