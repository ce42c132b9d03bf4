//! Clients that send garbage: broken commands, overlong lines, line ends that
//! are none, messages that they never end.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, ReadHalf, WriteHalf};

use crate::books::Books;
use crate::chance::Chance;
use crate::door::Door;
use crate::mail::content;
use crate::wire::Near;

/// Pieces that such a client sends at most.
const PIECES_MAX: u64 = 12;
/// Longest line that it sends.
const LINE_BYTES_MAX: u64 = 5000;
/// How long it stays after its last piece.
const STAY_MAX: Duration = Duration::from_secs(20);
/// How long a session may take, should the network fall silent.
const SESSION_TIME_MAX: Duration = Duration::from_secs(600);
/// Longest line of a reply (RFC 5321 section 4.5.3.1.5).
const REPLY_BYTES_MAX: usize = 512;

const ENVELOPE: &[u8] = b"RSET\r\nMAIL FROM:<from@sender.example>\r\nRCPT TO:<to0@d0.example>\r\n";

/// What is no end of a message.
const NO_ENDS: [&[u8]; 8] = [
    b"\n.\n",
    b"\r\n.\n",
    b"\n.\r\n",
    b"\r.\r",
    b"\r\n.\r",
    b"\0.\0",
    b"\r\n.\r\r\n",
    b"\r\n..\r\n",
];

/// What is no command, or not now.
const NO_COMMANDS: [&[u8]; 12] = [
    b"HELP ME\r\n",
    b"\r\n",
    b"\xff\xfe\x00MAIL\r\n",
    b"NOOP\n",
    b"MAIL FROM:<a@sender.example>\nRCPT TO:<to0@d0.example>\nDATA\n",
    b"RCPT TO:<@@@>\r\n",
    b"MAIL FROM:<a@b@c> SIZE=99999999999999999999\r\n",
    b"DATA\r\n",
    b"BDAT 99999999999999999999 LAST\r\n",
    b"BDAT -1\r\n",
    b"EHLO \x7f\r\n",
    b"VRFY root\rQUIT\r",
];

/// Sends garbage, and leaves without a word. Whatever it said of a message, it
/// did not end it.
pub(crate) async fn pester(door: Arc<Door>, books: Books, chance: Chance) {
    let Ok((near, _)) = door.enter() else {
        return;
    };
    let number = books.copies.begin_half();
    let at = chance.0.monotonic().as_secs_f64();
    books.tell_fault(format!(
        "{at:>12.3} a client sends garbage, and half of copy {number}"
    ));
    let (read, write) = tokio::io::split(near);
    let session = async {
        tokio::select! {
            biased;
            () = listen(read, &books) => {}
            () = talk(write, number, &chance) => {}
        }
    };
    chance.0.timeout(SESSION_TIME_MAX, session).await;
}

async fn talk(mut write: WriteHalf<Near>, number: usize, chance: &Chance) {
    for _ in 0..1 + chance.below(PIECES_MAX) {
        if write.write_all(&piece(number, chance)).await.is_err() {
            return;
        }
        if chance.permille(500) {
            chance.0.sleep(chance.time(Duration::from_secs(2))).await;
        }
    }
    chance.0.sleep(chance.time(STAY_MAX)).await;
}

fn piece(number: usize, chance: &Chance) -> Vec<u8> {
    match chance.below(10) {
        0..2 => b"EHLO client.example\r\n".to_vec(),
        2..5 => pick(&NO_COMMANDS, chance).to_vec(),
        5 => {
            let length = usize::try_from(chance.below(LINE_BYTES_MAX)).unwrap_or(0);
            let mut line = vec![b'x'; length];
            line.extend_from_slice(if chance.permille(500) { b"\r\n" } else { b"\n" });
            line
        }
        6..9 => half_a_message(number, chance),
        _ => no_end(chance),
    }
}

/// A transaction whose contents do not end, though it may look so.
fn half_a_message(number: usize, chance: &Chance) -> Vec<u8> {
    let whole = content(number, number).to_vec();
    // Its first lone dot would be the end.
    let body = whole.windows(4).position(|bytes| bytes == b"\r\n\r\n");
    let length = chance.below(body.unwrap_or(0) as u64);
    let half = whole.get(..usize::try_from(length).unwrap_or(0));
    let begin = if chance.permille(800) {
        &b"DATA\r\n"[..]
    } else {
        &b"BDAT 100000 LAST\r\n"[..]
    };
    let half = half.unwrap_or_default();
    // It may be cut within a line end, which what follows must not complete.
    [ENVELOPE, begin, half, b"x", &no_end(chance)].concat()
}

/// Whoever takes it for an end goes on with a command.
fn no_end(chance: &Chance) -> Vec<u8> {
    [pick(&NO_ENDS, chance), b"RSET\r\n"].concat()
}

fn pick(of: &[&'static [u8]], chance: &Chance) -> &'static [u8] {
    let at = usize::try_from(chance.below(of.len() as u64)).unwrap_or(0);
    of.get(at).copied().unwrap_or_default()
}

/// Reads what the server says, which must be replies.
async fn listen(mut read: ReadHalf<Near>, books: &Books) {
    let mut said = Vec::new();
    while let Ok(1..) = read.read_buf(&mut said).await {
        while let Some(end) = said.iter().position(|b| *b == b'\n') {
            let line: Vec<u8> = said.drain(..=end).collect();
            if !is_reply(&line) {
                let line = String::from_utf8_lossy(&line).into_owned();
                books.fault(format!("this is no reply: {line:?}"));
            }
        }
    }
}

fn is_reply(line: &[u8]) -> bool {
    let Some(text) = line.strip_suffix(b"\r\n") else {
        return false;
    };
    let (code, rest) = text.split_at_checked(3).unwrap_or((text, b""));
    matches!(code, [b'2'..=b'5', b'0'..=b'5', b'0'..=b'9'])
        && matches!(rest, [b' ' | b'-', ..])
        && line.len() <= REPLY_BYTES_MAX
        && rest.iter().all(|b| matches!(b, b' '..=b'~'))
}
