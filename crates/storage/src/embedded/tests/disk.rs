//! A disk that fails when it is told to, and forgets what was not synced.

use std::io;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use slimta_core::world::{Random, SeededRandom};

use crate::embedded::file::Disk;

/// What a real disk tears a write into.
const SECTOR_BYTES: usize = 512;

#[derive(Debug, Default)]
pub(super) struct SimDisk {
    state: Mutex<State>,
    /// Writes say that the disk is full, as long as the reserve is there.
    pub(super) full: AtomicBool,
    /// There is less free than anybody asks for.
    pub(super) scarce: AtomicBool,
    no_reserve: AtomicBool,
}

#[derive(Debug, Default)]
struct State {
    /// What reads see.
    now: Vec<u8>,
    /// What is on the disk for certain.
    synced: Vec<u8>,
    /// What was written since, in order.
    unsynced: Vec<Write>,
    steps: u64,
    fault: Option<Fault>,
    /// How the disk stood before each sync, once somebody watches.
    cuts: Option<Vec<Cut>>,
}

/// The disk at one moment: what is on it for certain, and what may be.
#[derive(Clone, Debug)]
pub(super) struct Cut {
    synced: Vec<u8>,
    unsynced: Vec<Write>,
}

#[derive(Clone, Debug)]
enum Write {
    Data(usize, Vec<u8>),
    Len(usize),
}

/// What goes wrong, counting writes, syncs and changes of the length.
#[derive(Clone, Copy, Debug)]
pub(super) enum Fault {
    /// One step fails; the next may work.
    Once(u64),
    /// From this step on nothing works: the machine is gone.
    From(u64),
}

impl SimDisk {
    pub(super) fn holding(image: Vec<u8>) -> Self {
        let disk = SimDisk::default();
        disk.state.lock().unwrap().now.clone_from(&image);
        disk.state.lock().unwrap().synced = image;
        disk
    }

    pub(super) fn fail(&self, fault: Fault) {
        let mut state = self.state.lock().unwrap();
        let steps = state.steps;
        state.fault = Some(match fault {
            Fault::Once(at) => Fault::Once(steps + at),
            Fault::From(at) => Fault::From(steps + at),
        });
    }

    /// What the power cut leaves, see [`Cut::image`].
    pub(super) fn after_power_cut(&self, seed: u64) -> Vec<u8> {
        self.state.lock().unwrap().cut().image(seed)
    }

    /// Notes from now on how the disk stands before each sync.
    pub(super) fn watch(&self) {
        self.state.lock().unwrap().cuts = Some(Vec::new());
    }

    /// What was noted since the last time.
    pub(super) fn cuts(&self) -> Vec<Cut> {
        let mut state = self.state.lock().unwrap();
        state.cuts.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// How many steps were taken.
    pub(super) fn steps(&self) -> u64 {
        self.state.lock().unwrap().steps
    }

    /// Whether the fault was met.
    pub(super) fn has_failed(&self) -> bool {
        let state = self.state.lock().unwrap();
        let Some(Fault::Once(at) | Fault::From(at)) = state.fault else {
            return false;
        };
        state.steps >= at
    }

    /// What is left when only the process dies.
    pub(super) fn after_kill(&self) -> Vec<u8> {
        self.state.lock().unwrap().now.clone()
    }

    fn step(&self) -> io::Result<std::sync::MutexGuard<'_, State>> {
        let mut state = self.state.lock().unwrap();
        state.steps += 1;
        let fails = match state.fault {
            None => false,
            Some(Fault::Once(at)) => state.steps == at,
            Some(Fault::From(at)) => state.steps >= at,
        };
        match fails {
            true => Err(io::Error::other("a simulated fault of the disk")),
            false => Ok(state),
        }
    }
}

impl Cut {
    /// What a power cut leaves: what was synced, and of the rest any part, in
    /// any order, torn between sectors.
    pub(super) fn image(&self, seed: u64) -> Vec<u8> {
        let chance = SeededRandom::new(seed);
        let pick = |below: u64| {
            let mut bytes = [0; 8];
            chance.fill(&mut bytes);
            u64::from_le_bytes(bytes) % below
        };
        let mut image = self.synced.clone();
        let kept = pick(4);
        for write in &self.unsynced {
            match write {
                Write::Len(len) if pick(4) < kept => image.resize(*len, 0),
                Write::Len(_) => {}
                Write::Data(at, data) => {
                    for (n, sector) in data.chunks(SECTOR_BYTES).enumerate() {
                        let at = at + n * SECTOR_BYTES;
                        if pick(4) < kept && at + sector.len() <= image.len() {
                            image[at..at + sector.len()].copy_from_slice(sector);
                        }
                    }
                }
            }
        }
        image
    }
}

impl State {
    fn cut(&self) -> Cut {
        Cut {
            synced: self.synced.clone(),
            unsynced: self.unsynced.clone(),
        }
    }

    fn apply(&mut self, write: Write) {
        match &write {
            Write::Len(len) => self.now.resize(*len, 0),
            Write::Data(at, data) => {
                let end = at + data.len();
                if self.now.len() < end {
                    self.now.resize(end, 0);
                }
                self.now[*at..end].copy_from_slice(data);
            }
        }
        self.unsynced.push(write);
    }
}

impl Disk for SimDisk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.state.lock().unwrap().now.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let state = self.state.lock().unwrap();
        let from = usize::try_from(offset).unwrap();
        match state.now.get(from..from + out.len()) {
            Some(data) => {
                out.copy_from_slice(data);
                Ok(())
            }
            None => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let len = usize::try_from(len).unwrap();
        self.step()?.apply(Write::Len(len));
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.step()?;
        if state.cuts.is_some() {
            let cut = state.cut();
            state.cuts.get_or_insert_default().push(cut);
        }
        state.synced = state.now.clone();
        state.unsynced.clear();
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        if self.full.load(Ordering::Relaxed) && self.has_reserve() {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let at = usize::try_from(offset).unwrap();
        self.step()?.apply(Write::Data(at, data.to_vec()));
        Ok(())
    }

    fn free(&self) -> io::Result<u64> {
        Ok(match self.scarce.load(Ordering::Relaxed) {
            true => 0,
            false => u64::MAX,
        })
    }

    fn has_reserve(&self) -> bool {
        !self.no_reserve.load(Ordering::Relaxed)
    }

    fn give_up_reserve(&self) -> bool {
        !self.no_reserve.swap(true, Ordering::Relaxed)
    }

    fn restore_reserve(&self) -> bool {
        if !self.full.load(Ordering::Relaxed) {
            self.no_reserve.store(false, Ordering::Relaxed);
        }
        self.has_reserve()
    }
}
