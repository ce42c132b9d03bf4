//! What the server says by itself: fixed texts, so that the common replies
//! cost no allocation. Codes after RFC 5321 section 4.2 and RFC 3463; every
//! 2yz, 4yz and 5yz has an enhanced code (RFC 2034).

use super::{Ending, intake::Fault};

/// A fixed reply, with its line end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Reply(&'static str);

impl Reply {
    pub(super) fn as_bytes(self) -> &'static [u8] {
        self.0.as_bytes()
    }
}

macro_rules! replies {
    ($($name:ident = $text:literal;)*) => {
        $(pub(super) const $name: Reply = Reply(concat!($text, "\r\n"));)*
        #[cfg(test)]
        const ALL: &[Reply] = &[$($name),*];
    };
}

replies! {
    OK = "250 2.0.0 Ok";
    SENDER_OK = "250 2.1.0 Sender ok";
    NOW_HIGH = "250 2.3.6 4 is the new priority assigned to the message";
    NOW_NORMAL = "250 2.3.6 0 is the new priority assigned to the message";
    NOW_LOW = "250 2.3.6 -4 is the new priority assigned to the message";
    RECIPIENT_OK = "250 2.1.5 Recipient ok";
    CHUNK_OK = "250 2.0.0 Chunk received";
    GO_AHEAD = "354 End data with <CR><LF>.<CR><LF>";
    USER_PLEASE = "334 VXNlcm5hbWU6";
    PASSWORD_PLEASE = "334 UGFzc3dvcmQ6";
    INITIAL_PLEASE = "334 ";
    AUTHENTICATED = "235 2.7.0 Authentication successful";
    BYE = "221 2.0.0 Bye";
    START_TLS = "220 2.0.0 Ready to start TLS";
    HELP = "214 2.0.0 Commands: EHLO HELO MAIL RCPT DATA BDAT RSET NOOP VRFY HELP QUIT";
    HELP_LMTP = "214 2.0.0 Commands: LHLO MAIL RCPT DATA BDAT RSET NOOP VRFY HELP QUIT";
    NOT_VERIFIED = "252 2.0.0 Cannot verify, but will take a message and try";

    LINE_TOO_LONG = "500 5.5.2 Line too long";
    BARE_LF = "500 5.5.2 Lines end with CR LF";
    UNKNOWN = "500 5.5.2 Command not recognized";
    CONTROLS = "501 5.5.2 Control characters in command";
    NOT_UTF8 = "501 5.5.2 Command is not UTF-8";
    BAD_ARGUMENT = "501 5.5.4 Syntax error in arguments";
    BAD_NAME = "501 5.5.4 A domain or address literal is needed";
    BAD_SENDER = "501 5.1.7 Syntax error in reverse-path";
    BAD_RECIPIENT = "501 5.1.3 Syntax error in forward-path";
    HELD_TOO_LONG = "501 5.5.4 No message is held for so long";
    HELD_TILL_LATE = "501 5.5.4 It would be held for longer than it may take";
    BAD_PARAMETER = "501 5.5.4 Syntax error in parameters";
    NOT_IMPLEMENTED = "502 5.5.1 Command not implemented";
    HELLO_FIRST = "503 5.5.1 Send EHLO or HELO first";
    LHLO_FIRST = "503 5.5.1 Send LHLO first";
    ONLY_QUIT = "503 5.5.1 Nothing but QUIT is done here";
    EHLO_FIRST = "503 5.5.1 Send EHLO first";
    NO_AUTH_IN_MAIL = "503 5.5.1 Not in a mail transaction";
    IS_AUTHENTICATED = "503 5.5.1 Already authenticated";
    AUTH_CANCELED = "501 5.7.0 Authentication canceled by client";
    BAD_EXCHANGE = "501 5.5.2 Cannot decode the response";
    EXCHANGE_TOO_LONG = "500 5.5.6 Authentication exchange line is too long";
    UNKNOWN_MECHANISM = "504 5.5.4 Invalid authentication mechanism";
    BAD_CREDENTIALS = "535 5.7.8 Authentication credentials invalid";
    AUTH_NEEDS_TLS = "538 5.7.11 Encryption required for requested authentication mechanism";
    NO_PROXY = "550 5.7.0 You may not speak for others";
    NO_AUTH_NOW = "454 4.7.0 Temporary authentication failure";
    NESTED_MAIL = "503 5.5.1 There is a sender already";
    MAIL_FIRST = "503 5.5.1 Send MAIL first";
    RECIPIENT_FIRST = "503 5.5.1 Send RCPT first";
    BINARY_BY_BDAT = "503 5.5.1 A BINARYMIME message comes by BDAT";
    CHUNKS_BEGUN = "503 5.5.1 The message has begun with BDAT";
    TLS_IS_ON = "503 5.5.1 TLS is on already";
    USER_FIRST = "530 5.7.0 Authentication required";
    TLS_FIRST = "530 5.7.0 Must issue a STARTTLS command first";
    VALUE_NOT_IMPLEMENTED = "504 5.5.4 Parameter value not implemented";
    SENDER_NEEDS_SMTPUTF8 = "550 5.6.7 Such an address needs SMTPUTF8";
    RECIPIENT_NEEDS_SMTPUTF8 = "553 5.6.7 Such an address needs SMTPUTF8";
    NO_RECIPIENTS = "554 5.5.1 No valid recipients";
    UNKNOWN_PARAMETER = "555 5.5.4 Parameter not recognized";

    TOO_MANY_RECIPIENTS = "452 4.5.3 Too many recipients";
    LOCAL_ERROR = "451 4.3.0 Error in processing";
    NO_TLS_NOW = "454 4.7.0 TLS is not available now";
    INJECTED = "421 4.7.0 Nothing may follow STARTTLS before its answer";
    NOT_HTTP = "421 4.7.0 This is not HTTP";
    TOO_MANY_ERRORS = "421 4.7.0 Too many errors";
    SHUTDOWN = "421 4.3.2 Service shutting down";
    TIMED_OUT = "421 4.4.2 Timed out";

    LINE_ENDS = "550 5.5.2 Message has bare CR or LF";
    NULS = "550 5.6.0 Message has NUL characters";
    LONG_LINES = "500 5.6.0 Message has a line that is too long";
    LARGE_HEADER = "552 5.3.4 Message header exceeded size limit";
    TOO_LARGE = "552 5.3.4 Message exceeded size limit.";
    NO_ROOM = "452 4.3.1 No room for the message now";
}

impl From<Fault> for Reply {
    fn from(fault: Fault) -> Reply {
        match fault {
            Fault::LineEnds => LINE_ENDS,
            Fault::Nuls => NULS,
            Fault::LongLine => LONG_LINES,
            Fault::LargeHeader => LARGE_HEADER,
            Fault::TooLarge => TOO_LARGE,
            Fault::NoRoom => NO_ROOM,
        }
    }
}

impl From<Ending> for Reply {
    fn from(ending: Ending) -> Reply {
        match ending {
            Ending::Shutdown => SHUTDOWN,
            Ending::TimedOut => TIMED_OUT,
        }
    }
}

#[cfg(test)]
mod tests {
    use slimta_core::message::EnhancedCode;

    use super::*;

    #[test]
    fn every_reply_has_the_enhanced_code_of_its_class() {
        for Reply(reply) in ALL {
            let line = reply.strip_suffix("\r\n").unwrap();
            assert!(reply.len() <= 512 && line.bytes().all(|b| (32..127).contains(&b)));
            let (code, text) = line.split_once(' ').unwrap();
            assert!(code.len() == 3 && code.parse::<u16>().is_ok(), "{line}");
            let enhanced = EnhancedCode::split_from(text).map(|(e, _)| e.class.to_string());
            let class = (!code.starts_with('3')).then(|| code[..1].to_owned());
            assert_eq!(enhanced, class, "{line}");
        }
    }
}
