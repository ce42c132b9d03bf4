//! What a sender wants to be told, as MAIL and RCPT say it (RFC 3461).

use slimta_core::message::{Notify, Ret};
use slimta_smtp::xtext;

/// Longest ENVID as it is written, RFC 3461 section 4.4.
const ENVID_BYTES_MAX: usize = 100;

/// What was asked for; what was not is left to the server.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Dsn {
    notify: Option<Notify>,
    ret: Option<Ret>,
    envid: Option<String>,
}

impl Dsn {
    /// `never`, or some of `success`, `failure`, `delay` with commas between
    /// them.
    pub(crate) fn set_notify(&mut self, text: &str) -> Result<(), &'static str> {
        let mut notify = Notify::NEVER;
        if !text.eq_ignore_ascii_case("never") {
            for word in text.split(',').map(str::trim) {
                match word.to_ascii_lowercase().as_str() {
                    "success" => notify.success = true,
                    "failure" => notify.failure = true,
                    "delay" => notify.delay = true,
                    _ => return Err("say never, or some of success,failure,delay"),
                }
            }
        }
        self.notify = Some(notify);
        Ok(())
    }

    /// `full` or `hdrs`.
    pub(crate) fn set_ret(&mut self, text: &str) -> Result<(), &'static str> {
        self.ret = Some(match text.to_ascii_lowercase().as_str() {
            "full" => Ret::Full,
            "hdrs" => Ret::Headers,
            _ => return Err("say full or hdrs"),
        });
        Ok(())
    }

    /// Text that stands in the notices.
    pub(crate) fn set_envid(&mut self, text: &str) -> Result<(), &'static str> {
        let is_printable = text.bytes().all(|b| matches!(b, b' '..=b'~'));
        let written = xtext::encode(text);
        if text.is_empty() || !is_printable || written.len() > ENVID_BYTES_MAX {
            return Err("an envelope ID is printable ASCII, about 100 characters at most");
        }
        self.envid = Some(written);
        Ok(())
    }

    /// The parameters of MAIL, each behind a blank.
    pub(crate) fn on_mail(&self) -> String {
        let ret = match self.ret {
            Some(Ret::Full) => " RET=FULL",
            Some(Ret::Headers) => " RET=HDRS",
            None => "",
        };
        match &self.envid {
            Some(envid) => format!("{ret} ENVID={envid}"),
            None => ret.to_owned(),
        }
    }

    /// The parameters of RCPT, each behind a blank.
    pub(crate) fn on_rcpt(&self) -> String {
        let Some(notify) = self.notify else {
            return String::new();
        };
        let words = [
            (notify.success, "SUCCESS"),
            (notify.failure, "FAILURE"),
            (notify.delay, "DELAY"),
        ];
        let words: Vec<_> = words.iter().filter(|(on, _)| *on).map(|w| w.1).collect();
        match words.as_slice() {
            [] => " NOTIFY=NEVER".to_owned(),
            words => format!(" NOTIFY={}", words.join(",")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wanted_is_written() {
        let mut dsn = Dsn::default();
        assert_eq!((dsn.on_mail().as_str(), dsn.on_rcpt().as_str()), ("", ""));
        dsn.set_notify("Delay, SUCCESS").unwrap();
        dsn.set_ret("HDRS").unwrap();
        dsn.set_envid("a+b c").unwrap();
        assert_eq!(dsn.on_mail(), " RET=HDRS ENVID=a+2Bb+20c");
        assert_eq!(dsn.on_rcpt(), " NOTIFY=SUCCESS,DELAY");
        dsn.set_notify("never").unwrap();
        assert_eq!(dsn.on_rcpt(), " NOTIFY=NEVER");
    }

    #[test]
    fn what_nobody_can_want_is_refused() {
        let mut dsn = Dsn::default();
        for text in ["", "never,delay", "x", "delay,"] {
            assert!(dsn.set_notify(text).is_err(), "{text}");
        }
        assert!(dsn.set_ret("some").is_err());
        for text in ["", "a\r\nb", "\u{e9}", &"x".repeat(101), &"+".repeat(34)] {
            assert!(dsn.set_envid(text).is_err(), "{text}");
        }
        assert_eq!(dsn, Dsn::default());
    }
}
