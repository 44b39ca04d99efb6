//! The canonical bytes of what is hashed: every field with its length, so that nothing can slide
//! from one field into its neighbour, and an absent field differs from an empty one.

/// Raise it when the fields or their order change. Rows carry theirs, so that old rows stay
/// verifiable.
pub(super) const FORM: i64 = 1;

/// Bytes under construction.
#[derive(Debug)]
pub(super) struct Encoding(Vec<u8>);

impl Encoding {
    /// Starts with what kind of thing it is: the end of a chain can never pass for a row.
    pub(super) fn new(what: &str) -> Self {
        let mut encoding = Self(Vec::with_capacity(256));
        encoding.bytes(what.as_bytes());
        encoding
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.push(1);
        self.0.extend_from_slice(&(bytes.len() as u64).to_be_bytes());
        self.0.extend_from_slice(bytes);
        self
    }

    pub(super) fn text(&mut self, text: Option<&str>) -> &mut Self {
        match text {
            Some(text) => self.bytes(text.as_bytes()),
            None => {
                self.0.push(0);
                self
            }
        }
    }

    pub(super) fn number(&mut self, number: i64) -> &mut Self {
        self.bytes(&number.to_be_bytes())
    }

    pub(super) fn optional_number(&mut self, number: Option<i64>) -> &mut Self {
        match number {
            Some(number) => self.number(number),
            None => {
                self.0.push(0);
                self
            }
        }
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_cannot_slide_into_each_other() {
        let of = |first: Option<&str>, second: Option<&str>| {
            let mut encoding = Encoding::new("test");
            encoding.text(first).text(second);
            encoding.as_bytes().to_vec()
        };
        assert_ne!(of(Some("ab"), Some("c")), of(Some("a"), Some("bc")));
        assert_ne!(of(None, Some("")), of(Some(""), None));
        assert_ne!(of(Some(""), Some("")), of(None, None));
    }
}
