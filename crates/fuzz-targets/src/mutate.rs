//! Known inputs, changed a little: what the ordinary test tries beside the
//! corpus, the same at every run.

use slimta_core::world::{Random, SeededRandom};

/// Words that parsers look for.
const WORDS: &[&[u8]] = &[
    b"\r\n",
    b"\r\n.\r\n",
    b"\n.\n",
    b"..",
    b"\0",
    b"EHLO c\r\n",
    b"MAIL FROM:<a@b> SMTPUTF8\r\n",
    b"RCPT TO:<c@d> NOTIFY=NEVER\r\n",
    b"DATA\r\n",
    b"BDAT 7 LAST\r\n",
    b" BODY=BINARYMIME",
    b"250-BINARYMIME\r\n250-CHUNKING\r\n",
    b"250-",
    b"250 2.1.0 Ok\r\n",
    b"354 Go on\r\n",
    b"421 4.3.2 Closing\r\n",
    b"550 5.1.1 No\r\n",
    b"<>",
    b"@",
    b"\"\\\"\"",
    b"+2B",
    b"\\x{2B}",
    b";until=5d",
    b"..;jitter=20%",
    b"\xff",
    b"\xc3\xa5",
    b"18446744073709551616",
];
const CHANGES_MAX: usize = 8;

/// Changes inputs by chance that begins with a seed.
#[derive(Debug)]
pub struct Mutator(SeededRandom);

impl Mutator {
    /// The same seed makes the same changes.
    pub fn new(seed: u64) -> Self {
        Mutator(SeededRandom::new(seed))
    }

    fn pick(&self, below: usize) -> usize {
        let mut bytes = [0; 8];
        self.0.fill(&mut bytes);
        let below = below.max(1) as u64;
        usize::try_from(u64::from_le_bytes(bytes) % below).unwrap_or_default()
    }

    /// One of the inputs, changed; at most `bytes_max` long.
    pub fn mutated(&self, inputs: &[Vec<u8>], bytes_max: usize) -> Vec<u8> {
        let one = |at: usize| inputs.get(at).cloned().unwrap_or_default();
        let mut input = one(self.pick(inputs.len()));
        for _ in 0..=self.pick(CHANGES_MAX) {
            let at = self.pick(input.len() + 1);
            match self.pick(6) {
                0 => {
                    let bit = 1 << self.pick(8);
                    input
                        .iter_mut()
                        .skip(at)
                        .take(1)
                        .for_each(|byte| *byte ^= bit);
                }
                1 => {
                    let byte = self.pick(256) as u8;
                    input.insert(at, byte);
                }
                2 => {
                    let end = input.len().min(at + 1 + self.pick(16));
                    input.drain(at..end);
                }
                3 => {
                    let word = WORDS.get(self.pick(WORDS.len())).copied();
                    input.splice(at..at, word.unwrap_or_default().iter().copied());
                }
                4 => {
                    let end = input.len().min(at + 1 + self.pick(64));
                    let again = input.get(at..end).unwrap_or_default().to_vec();
                    input.splice(at..at, again);
                }
                _ => {
                    let other = one(self.pick(inputs.len()));
                    let from = self.pick(other.len() + 1);
                    input.truncate(at);
                    input.extend_from_slice(&other[from..]);
                }
            }
        }
        input.truncate(bytes_max);
        input
    }
}
