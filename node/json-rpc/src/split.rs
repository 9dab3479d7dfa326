//! Splits a stream of bytes into JSON values: the IPC socket carries one behind the other, with line ends or without.
//! Pure. Only finds where a value ends; whether it is good JSON is for the parser to say.
//! Facts: `spec/operations.md` §2.1 (IPC: bare stream of JSON values).

/// Something that came in.
#[derive(Debug, PartialEq, Eq)]
pub enum Received {
    /// One request or batch.
    Request(Vec<u8>),
    /// Bytes that cannot become one; nothing that follows can be understood.
    Malformed,
}

/// Bytes of a stream, and how far they were looked at.
#[derive(Debug)]
pub struct Splitter {
    max: usize,
    buffer: Vec<u8>,
    /// Where the next byte to look at is.
    at: usize,
    depth: usize,
    in_string: bool,
    escaped: bool,
}

impl Splitter {
    /// Values may have at most `max` bytes.
    pub fn new(max: usize) -> Self {
        Self { max, buffer: Vec::new(), at: 0, depth: 0, in_string: false, escaped: false }
    }

    /// Takes bytes in.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole value, without the white space around it; `None` while it is not there.
    /// [`Received::Malformed`] when what is there cannot become an object or array of at most `max` bytes.
    pub fn next_value(&mut self) -> Option<Received> {
        if self.at == 0 {
            let blank = self.buffer.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
            self.buffer.drain(..blank);
        }
        while let Some(byte) = self.buffer.get(self.at).copied() {
            self.at += 1;
            if self.in_string {
                match byte {
                    _ if self.escaped => self.escaped = false,
                    b'\\' => self.escaped = true,
                    b'"' => self.in_string = false,
                    _ => {}
                }
                continue;
            }
            match byte {
                b'{' | b'[' => self.depth += 1,
                b'}' | b']' if self.depth > 0 => {
                    self.depth -= 1;
                    if self.depth == 0 {
                        return Some(self.take());
                    }
                }
                _ if self.depth == 0 => return Some(Received::Malformed),
                b'"' => self.in_string = true,
                _ => {}
            }
        }
        (self.buffer.len() > self.max).then_some(Received::Malformed)
    }

    fn take(&mut self) -> Received {
        if self.at > self.max {
            return Received::Malformed;
        }
        let rest = self.buffer.split_off(self.at);
        self.at = 0;
        Received::Request(std::mem::replace(&mut self.buffer, rest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(chunks: &[&str]) -> Vec<String> {
        let mut splitter = Splitter::new(64);
        let mut out = Vec::new();
        for chunk in chunks {
            splitter.push(chunk.as_bytes());
            while let Some(received) = splitter.next_value() {
                match received {
                    Received::Request(bytes) => out.push(String::from_utf8(bytes).unwrap()),
                    Received::Malformed => {
                        out.push("malformed".into());
                        return out;
                    }
                }
            }
        }
        out
    }

    #[test]
    fn ops_2_1_values_one_behind_the_other() {
        assert_eq!(split(&["{\"a\":1}\n[2]\r\n {\"b\":{}} "]), ["{\"a\":1}", "[2]", "{\"b\":{}}"]);
        assert_eq!(split(&["{}{}[{}]"]), ["{}", "{}", "[{}]"]);
        assert_eq!(split(&["", "  \n"]), [""; 0]);
    }

    #[test]
    fn a_value_in_pieces() {
        let text = r#"{"a":"}\"]{","b":[1,{"c":"\\"}]}"#;
        let bytes: Vec<String> = text.chars().map(String::from).collect();
        assert_eq!(split(&bytes.iter().map(String::as_str).collect::<Vec<_>>()), [text]);
    }

    #[test]
    fn what_cannot_become_a_request_is_malformed_and_bounded() {
        for bad in ["5", "\"x\"", "}", "null", "x{}", "{} ]"] {
            assert_eq!(split(&[bad]).last().unwrap(), "malformed", "{bad}");
        }
        let long = format!("[{}", "1,".repeat(40));
        assert_eq!(split(&[&long]), ["malformed"], "open and too long");
        assert_eq!(split(&[&format!("{long}1]")]), ["malformed"], "closed and too long");
        let fits = format!("[\"{}\"]", "x".repeat(60));
        assert_eq!(split(&[&fits]), [fits.as_str()]);
    }
}
