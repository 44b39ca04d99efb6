//! The data of server-sent events, from bytes that arrive in any portions
//! (<https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation>).

/// Takes a stream apart. The caller limits how much it is fed.
#[derive(Debug, Default)]
pub(crate) struct Events {
    line: Vec<u8>,
    data: Option<String>,
    /// A line feed that follows belongs to the carriage return before it.
    after_return: bool,
}

impl Events {
    /// The data of the events that these bytes complete.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Vec<String> {
        let mut complete = Vec::new();
        for &byte in bytes {
            let after_return = std::mem::take(&mut self.after_return);
            match byte {
                b'\n' if after_return => {}
                b'\n' | b'\r' => {
                    self.after_return = byte == b'\r';
                    complete.extend(self.end_line());
                }
                other => self.line.push(other),
            }
        }
        complete
    }

    fn end_line(&mut self) -> Option<String> {
        let line = std::mem::take(&mut self.line);
        if line.is_empty() {
            return self.data.take();
        }
        // Comments, names and ids of events are of no interest here.
        let value = line.strip_prefix(b"data:").or((line == b"data").then_some(&[][..]))?;
        let value = value.strip_prefix(b" ").unwrap_or(value);
        let value = String::from_utf8_lossy(value);
        match &mut self.data {
            Some(data) => {
                data.push('\n');
                data.push_str(&value);
            }
            None => self.data = Some(value.into_owned()),
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn all(text: &str) -> Vec<String> {
        Events::default().push(text.as_bytes())
    }

    #[test]
    fn comments_names_and_all_line_ends_are_understood() {
        let stream =
            ": hello\r\n\r\nevent: message\nid: 7\ndata: {\"a\":\ndata: 1}\n\ndata\n\ndata:x\r\r";
        assert_eq!(all(stream), ["{\"a\":\n1}", "", "x"]);
        assert_eq!(all("data: unfinished\n"), Vec::<String>::new());
    }

    proptest! {
        #[test]
        fn portions_do_not_matter(
            parts in proptest::collection::vec("(data:|: |x|\r|\n|\r\n|é){0,6}", 0..12),
            bytes in proptest::collection::vec(any::<u8>(), 0..40),
        ) {
            let whole = [parts.concat().as_bytes(), &bytes, b"\n\n"].concat();
            let mut events = Events::default();
            let single: Vec<String> = whole.iter().flat_map(|byte| events.push(&[*byte])).collect();
            prop_assert_eq!(single, Events::default().push(&whole));
        }
    }
}
