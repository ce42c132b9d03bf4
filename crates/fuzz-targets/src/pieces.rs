//! Bytes read as decisions, so that structured input costs no more than a few
//! of them.

/// The front of some bytes decides, the rest is what it is about.
pub(crate) struct Pieces<'a>(&'a [u8]);

impl<'a> Pieces<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Pieces(bytes)
    }

    /// The next byte; 0 at the end.
    pub(crate) fn byte(&mut self) -> u8 {
        match self.0.split_first() {
            Some((first, rest)) => {
                self.0 = rest;
                *first
            }
            None => 0,
        }
    }

    /// A number below `below`, which is small.
    pub(crate) fn pick(&mut self, below: usize) -> usize {
        usize::from(self.byte()) % below
    }

    pub(crate) fn flag(&mut self) -> bool {
        self.byte() & 1 == 1
    }

    /// So many bytes, or what is left.
    pub(crate) fn take(&mut self, len: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(len.min(self.0.len()));
        self.0 = rest;
        taken
    }

    /// Up to the next zero or the end.
    pub(crate) fn text(&mut self) -> String {
        let end = memchr::memchr(0, self.0).unwrap_or(self.0.len());
        let text = String::from_utf8_lossy(self.take(end)).into_owned();
        self.take(1);
        text
    }

    pub(crate) fn rest(self) -> &'a [u8] {
        self.0
    }
}
