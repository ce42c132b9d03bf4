//! `slimta schedule explain`: what a retry schedule means for a message.

use std::time::Duration;

use clap::{Args, Subcommand};
use serde::Serialize;
use slimta_core::queue::{Plan, Schedule, Step};

use crate::failure::Failure;
use crate::output;

/// Retries that are shown one by one: all of the server's own schedule.
const STEPS_MAX: usize = 50;

/// Understand retry schedules before mail waits by them.
#[derive(Args, Debug)]
pub(crate) struct ScheduleCommand {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand, Debug)]
enum Action {
    /// Show when the attempts of a message would fall, and when it is given up
    Explain {
        /// The schedule, such as '1m,5m,1h..;until=5d;jitter=20%' or
        /// '1m*2..4h;until=5d'
        #[arg(value_name = "SPEC")]
        schedule: Schedule,
        /// Print one JSON object; times are in seconds
        #[arg(long)]
        json: bool,
    },
}

impl ScheduleCommand {
    /// Runs it.
    pub(crate) fn run(self) -> Result<(), Failure> {
        let Action::Explain { schedule, json } = self.action;
        let plan = schedule.plan(STEPS_MAX);
        if json {
            let text = serde_json::to_string(&Explained::new(&schedule, &plan))
                .map_err(|error| Failure::Failed(error.to_string()))?;
            return output::line(text);
        }
        output::line(table(&plan))
    }
}

/// As programs read it.
#[derive(Serialize)]
struct Explained {
    schedule: String,
    attempts: Vec<Attempt>,
    more: u64,
    last_attempt_earliest: u64,
    last_attempt_latest: u64,
    given_up_earliest_seconds: f64,
    given_up_latest_seconds: f64,
}

#[derive(Serialize)]
struct Attempt {
    attempt: u64,
    delay_seconds: f64,
    earliest_seconds: f64,
    latest_seconds: f64,
    certain: bool,
}

impl Explained {
    fn new(schedule: &Schedule, plan: &Plan) -> Self {
        let first = Attempt {
            attempt: 1,
            delay_seconds: 0.0,
            earliest_seconds: 0.0,
            latest_seconds: 0.0,
            certain: true,
        };
        let retries = plan.steps.iter().map(|step| Attempt {
            attempt: step.attempt,
            delay_seconds: seconds(step.delay),
            earliest_seconds: seconds(step.earliest),
            latest_seconds: seconds(step.latest),
            certain: step.certain,
        });
        Explained {
            schedule: schedule.to_string(),
            attempts: std::iter::once(first).chain(retries).collect(),
            more: plan.more,
            last_attempt_earliest: plan.last_attempt.0,
            last_attempt_latest: plan.last_attempt.1,
            given_up_earliest_seconds: seconds(plan.given_up.0),
            given_up_latest_seconds: seconds(plan.given_up.1),
        }
    }
}

fn seconds(time: Duration) -> f64 {
    time.as_millis() as f64 / 1000.0
}

/// As people read it.
fn table(plan: &Plan) -> String {
    let mut lines = vec![
        "ATTEMPT  DELAY         AFTER RECEPTION".to_owned(),
        "      1                at once".to_owned(),
    ];
    lines.extend(plan.steps.iter().map(row));
    if plan.more > 0 {
        lines.push(format!("         … and up to {} more", plan.more));
    }
    let (least, most) = plan.last_attempt;
    let last = match least == most {
        true => format!("attempt {most}"),
        false => format!("the last attempt, number {least} to {most},"),
    };
    lines.push(format!(
        "Given up, and bounced, when {last} fails: {} after reception.",
        range(plan.given_up.0, plan.given_up.1)
    ));
    lines.join("\n")
}

fn row(step: &Step) -> String {
    let perhaps = if step.certain {
        ""
    } else {
        ", if not given up before"
    };
    format!(
        "{:>7}  {:<12}  {}{perhaps}",
        step.attempt,
        written(step.delay),
        range(step.earliest, step.latest)
    )
}

fn range(earliest: Duration, latest: Duration) -> String {
    let (earliest, latest) = (written(earliest), written(latest));
    match earliest == latest {
        true => earliest,
        false => format!("{earliest} to {latest}"),
    }
}

/// `1d 3h 51m`, to the second; to the millisecond below ten seconds.
fn written(time: Duration) -> String {
    let (seconds, millis) = (time.as_secs(), time.subsec_millis());
    if seconds < 10 && millis > 0 {
        return format!("{}ms", time.as_millis());
    }
    let parts = [
        (seconds / 86_400, "d"),
        (seconds / 3600 % 24, "h"),
        (seconds / 60 % 60, "m"),
        (seconds % 60, "s"),
    ];
    let named = parts.iter().filter(|(number, _)| *number > 0);
    let text: Vec<_> = named
        .map(|(number, unit)| format!("{number}{unit}"))
        .collect();
    if text.is_empty() {
        return "0s".to_owned();
    }
    text.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_as_exact_as_people_need() {
        let millis = [0, 1, 9_999, 10_999, 60_000, 93_784_000, 86_400_000];
        let texts = millis.map(|millis| written(Duration::from_millis(millis)));
        assert_eq!(
            texts,
            ["0s", "1ms", "9999ms", "10s", "1m", "1d 2h 3m 4s", "1d"]
        );
    }
}
