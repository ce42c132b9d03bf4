//! A simulated network: each connection carries bytes with delay, in large
//! pieces or one at a time, and may be cut, or fall silent, at any byte.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{
    AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, DuplexStream, ReadBuf,
};

use crate::books::Books;
use crate::flaky::Weather;

/// What a socket's buffers hold.
const BUFFER_BYTES: usize = 4096;
/// Within how many bytes a fault comes.
const FAULT_BYTES_MAX: u64 = 3000;
/// For how many bytes a slow line is slow: each of them costs as much of a run
/// as a whole command does.
const SLOW_BYTES: u64 = 300;

tokio::task_local! {
    /// The attempt on whose behalf a task writes.
    pub(crate) static ATTEMPT: u64;
}

/// What both ends and the books know of a connection.
#[derive(Debug, Default)]
pub(crate) struct Line {
    /// The attempt that wrote last; zero if none did.
    attempt: AtomicU64,
    /// What is said on it cannot be relied on.
    is_bad: AtomicBool,
    /// Bytes come one at a time, for a while.
    pub(crate) is_slow: bool,
}

impl Line {
    pub(crate) fn attempt(&self) -> u64 {
        self.attempt.load(Ordering::Relaxed)
    }

    pub(crate) fn is_bad(&self) -> bool {
        self.is_bad.load(Ordering::Relaxed)
    }

    pub(crate) fn spoil(&self) {
        self.is_bad.store(true, Ordering::Relaxed);
    }
}

/// The end of the side that connected.
pub(crate) struct Near {
    stream: DuplexStream,
    line: Arc<Line>,
}

/// A new connection: the end of who connects, and that of who listens.
pub(crate) fn connect(weather: &Arc<Weather>, books: &Books) -> (Near, DuplexStream, Arc<Line>) {
    let line = Arc::new(Line {
        is_slow: weather.chance.permille(100),
        ..Line::default()
    });
    let (stream, near) = tokio::io::duplex(BUFFER_BYTES);
    let (far, listening) = tokio::io::duplex(BUFFER_BYTES);
    let carrying = carry(near, far, Plan::draw(weather, books, line.clone()));
    tokio::spawn(carrying);
    let near = Near {
        stream,
        line: line.clone(),
    };
    (near, listening, line)
}

/// What happens to a connection.
struct Plan {
    weather: Arc<Weather>,
    books: Books,
    line: Arc<Line>,
    trouble: Trouble,
    /// After how many bytes, of both ways together.
    after: u64,
    /// After how many bytes a slow line begins to be so.
    slow_from: u64,
    carried: AtomicU64,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Trouble {
    None,
    Cut,
    Silence,
}

/// The connection is gone.
struct Gone;

impl Plan {
    fn draw(weather: &Arc<Weather>, books: &Books, line: Arc<Line>) -> Self {
        let chance = &weather.chance;
        let trouble = match chance.below(100) {
            _ if weather.is_calm() => Trouble::None,
            0..8 => Trouble::Cut,
            8..12 => Trouble::Silence,
            _ => Trouble::None,
        };
        Plan {
            weather: weather.clone(),
            books: books.clone(),
            line,
            trouble,
            after: chance.below(FAULT_BYTES_MAX),
            slow_from: chance.below(FAULT_BYTES_MAX / 2),
            carried: AtomicU64::new(0),
        }
    }

    /// How much passes at once, and how many milliseconds that takes at most.
    fn pace(&self) -> (usize, u64) {
        let carried = self.carried.load(Ordering::Relaxed);
        if !self.line.is_slow || carried >= self.slow_from + SLOW_BYTES {
            return (BUFFER_BYTES, 60);
        }
        match usize::try_from(self.slow_from.saturating_sub(carried)) {
            Ok(0) => (1, 2),
            Ok(before) => (before.min(BUFFER_BYTES), 60),
            Err(_) => (BUFFER_BYTES, 60),
        }
    }

    /// How many of so many bytes pass before something happens.
    fn grant(&self, bytes: usize) -> usize {
        if self.trouble == Trouble::None || self.weather.is_calm() {
            return bytes;
        }
        let left = self
            .after
            .saturating_sub(self.carried.load(Ordering::Relaxed));
        bytes.min(usize::try_from(left).unwrap_or(usize::MAX))
    }

    async fn strike(&self) -> Gone {
        self.line.spoil();
        let (what, after) = (self.trouble, self.after);
        let at = self.weather.chance.0.monotonic().as_secs_f64();
        self.books
            .tell_fault(format!("{at:>12.3} network: {what:?} after byte {after}"));
        if self.trouble == Trouble::Silence {
            std::future::pending::<()>().await;
        }
        Gone
    }
}

async fn carry(near: DuplexStream, far: DuplexStream, plan: Plan) {
    let (near_read, near_write) = tokio::io::split(near);
    let (far_read, far_write) = tokio::io::split(far);
    // The first way that is cut takes the other along.
    let both = tokio::try_join!(
        one_way(near_read, far_write, &plan),
        one_way(far_read, near_write, &plan)
    );
    drop(both);
}

async fn one_way(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    plan: &Plan,
) -> Result<(), Gone> {
    let chance = &plan.weather.chance;
    let mut buffer = [0; BUFFER_BYTES];
    loop {
        let (piece_max, delay_max) = plan.pace();
        let piece = buffer.get_mut(..piece_max).unwrap_or_default();
        let read = from.read(piece).await.map_err(|_| Gone)?;
        if read == 0 {
            return to.shutdown().await.map_err(|_| Gone);
        }
        chance
            .0
            .sleep(chance.time(Duration::from_millis(delay_max)))
            .await;
        let granted = plan.grant(read);
        let passes = buffer.get(..granted).unwrap_or_default();
        to.write_all(passes).await.map_err(|_| Gone)?;
        plan.carried.fetch_add(granted as u64, Ordering::Relaxed);
        if granted < read {
            return Err(plan.strike().await);
        }
    }
}

impl fmt::Debug for Near {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Near").finish_non_exhaustive()
    }
}

impl AsyncRead for Near {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Near {
    /// Whoever writes says on whose behalf.
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if let Ok(attempt) = ATTEMPT.try_with(|attempt| *attempt) {
            self.line.attempt.store(attempt, Ordering::Relaxed);
        }
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
