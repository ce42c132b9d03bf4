//! What clients do in a run.

use std::time::Duration;

use crate::client::Client;
use crate::garbage::pester;
use crate::run::Run;

impl Run {
    /// A client hands a message in.
    pub(crate) fn send(&mut self, index: usize) {
        if self.managers[index].up.is_none() {
            return;
        }
        let recipients: Vec<String> = (0..1 + self.chance.below(4))
            .map(|n| format!("to{n}@d{}.example", self.chance.below(3)))
            .collect();
        self.hand_in(index, recipients);
    }

    /// A client hands a message in for these recipients.
    pub(crate) fn hand_in(&mut self, index: usize, recipients: Vec<String>) {
        let client = self.client();
        self.clients.spawn(client.send(index, recipients));
    }

    /// A client sends garbage.
    pub(crate) fn pester(&mut self, index: usize) {
        if let Some(door) = self.doors.at(index) {
            let (books, chance) = (self.books.clone(), self.crowd.fork());
            self.clients.spawn(pester(door, books, chance));
        }
    }

    fn client(&self) -> Client {
        Client {
            doors: self.doors.clone(),
            books: self.books.clone(),
            world: self.world.clone(),
            chance: self.crowd.fork(),
        }
    }

    /// A client comes just before a manager is stopped.
    pub(crate) async fn come_last(&mut self, index: usize) {
        if self.managers[index].up.is_some() {
            self.hand_in(index, vec!["last@d0.example".to_owned()]);
            let moment = self.crowd.time(Duration::from_secs(1));
            self.world.sleep(moment).await;
        }
    }
}
