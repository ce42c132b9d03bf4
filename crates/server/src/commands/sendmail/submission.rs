//! One message on its way to the server.

use std::time::Duration;

use slimta_core::message::{Address, Content, Response, ReversePath};

use super::place::Place;
use super::status::{Ended, Status};
use crate::dsn::Dsn;
use crate::smtp_client::{Connection, Parameters, SessionError, dot_stuffed};

/// RFC 5321 section 4.5.3.2: servers may take ten minutes after the final dot.
const ANSWER_WAIT_MAX: Duration = Duration::from_mins(10);
/// What a server answers to recipients that are too many for one transaction (RFC
/// 5321 section 4.5.3.1.10).
const TOO_MANY_RECIPIENTS: u16 = 452;

/// What is handed in.
pub(super) struct Submission {
    /// Where notices go.
    pub(super) sender: ReversePath,
    /// Who gets it.
    pub(super) recipients: Vec<Address>,
    /// Header and body.
    pub(super) content: Content,
    /// What the sender wants to be told.
    pub(super) dsn: Dsn,
}

impl Submission {
    /// Hands it in, and gives the answer for each recipient. It fails only while
    /// nobody is known to have it.
    pub(super) async fn hand_over(&self, place: &Place) -> Result<Vec<Response>, Ended> {
        let server = &place.server.0;
        let mut connection = Connection::open(&place.server, &place.hostname, ANSWER_WAIT_MAX)
            .await
            .map_err(|error| unreachable(server, &error))?;
        let wire = dot_stuffed(&self.content.to_vec());
        let all: Vec<&str> = self.recipients.iter().map(Address::as_str).collect();
        let mut answers = self
            .transaction(&mut connection, &all, &wire)
            .await
            .map_err(|error| broken_off(server, &error))?;
        let mut goes_on = answers.iter().any(Response::is_success);
        // Those who were too many for one transaction go into the next.
        while goes_on {
            let left = too_many(&answers);
            let some: Vec<&str> = left.iter().filter_map(|at| all.get(*at).copied()).collect();
            if some.is_empty() {
                break;
            }
            // If it fails, they have their answer already: to come again later.
            let Ok(more) = self.transaction(&mut connection, &some, &wire).await else {
                return Ok(answers);
            };
            goes_on = more.iter().any(Response::is_success);
            for (at, answer) in left.into_iter().zip(more) {
                if let Some(place) = answers.get_mut(at) {
                    *place = answer;
                }
            }
        }
        connection.quit().await;
        Ok(answers)
    }

    async fn transaction(
        &self,
        connection: &mut Connection,
        recipients: &[&str],
        wire: &[u8],
    ) -> Result<Vec<Response>, SessionError> {
        let offered = connection.extensions();
        let is_ascii = self.sender.as_str().is_ascii() && recipients.iter().all(|r| r.is_ascii());
        let parameters = Parameters {
            eight_bit: !wire.is_ascii() && offered.eight_bit,
            utf8: !is_ascii && offered.utf8,
            dsn: match offered.dsn {
                true => self.dsn.clone(),
                false => Dsn::default(),
            },
            ..Parameters::default()
        };
        let sent = connection.send(&self.sender, recipients, &parameters, wire, |_| {});
        Ok(sent.await?.responses)
    }
}

/// Where the answers stand that ask for another transaction.
fn too_many(answers: &[Response]) -> Vec<usize> {
    let numbered = answers.iter().enumerate();
    let meant = numbered.filter(|(_, answer)| answer.code.get() == TOO_MANY_RECIPIENTS);
    meant.map(|(at, _)| at).collect()
}

fn unreachable(server: &str, error: &SessionError) -> Ended {
    if let SessionError::Refused { response, .. } = error {
        return Status::of_refusal(response).because(format!("{server}: {error}"));
    }
    Status::Later.because(format!(
        "the server {server} cannot be reached: {error}; is `slimta serve` running there?"
    ))
}

fn broken_off(server: &str, error: &SessionError) -> Ended {
    Status::Later.because(format!(
        "the session with {server} broke off: {error}; send the message again later"
    ))
}
