//! The words and signs of a list of addresses (RFC 5322 section 3.2), in one walk
//! over its text. Blanks and comments are passed over.

/// A word or a sign.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Token<'a> {
    /// An atom, or a domain literal with its brackets.
    Word(&'a str),
    /// What stands between quotation marks, without what quotes.
    Quoted(String),
    /// A sign.
    Special(char),
    /// Something has no end; the reason.
    Broken(&'static str),
}

/// A token, and where it stands.
pub(super) struct Placed<'a> {
    pub(super) kind: Token<'a>,
    pub(super) begin: usize,
    pub(super) end: usize,
}

/// A text on its way.
pub(super) struct Tokens<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Tokens<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Tokens { text, at: 0 }
    }

    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    /// Goes behind as many characters as fit.
    fn pass(&mut self, mut fits: impl FnMut(char) -> bool) -> &'a str {
        let rest = self.rest();
        let length = rest.find(|c| !fits(c)).unwrap_or(rest.len());
        self.at += length;
        rest.get(..length).unwrap_or_default()
    }

    /// Goes behind the sign that was just seen.
    fn step(&mut self, c: char) {
        self.at += c.len_utf8();
    }

    /// Goes behind a comment, and those in it; whether it has an end.
    fn comment(&mut self) -> bool {
        let (mut depth, mut is_escaped) = (0_usize, false);
        self.pass(|c| {
            match c {
                _ if is_escaped => is_escaped = false,
                '\\' => is_escaped = true,
                '(' => depth += 1,
                // The last one is left.
                ')' if depth == 1 => return false,
                ')' => depth -= 1,
                _ => {}
            }
            true
        });
        let is_closed = self.rest().starts_with(')');
        self.pass_if(is_closed, ')');
        is_closed
    }

    fn quoted(&mut self) -> Token<'a> {
        self.step('"');
        let (mut text, mut is_escaped) = (String::new(), false);
        self.pass(|c| {
            match c {
                '\\' if !is_escaped => {
                    is_escaped = true;
                    return true;
                }
                '"' if !is_escaped => return false,
                c => text.push(c),
            }
            is_escaped = false;
            true
        });
        let is_closed = self.rest().starts_with('"');
        self.pass_if(is_closed, '"');
        match is_closed {
            true => Token::Quoted(text),
            false => Token::Broken("its quotation mark is not closed"),
        }
    }

    fn literal(&mut self) -> Token<'a> {
        let begin = self.at;
        self.pass(|c| c != ']');
        let is_closed = self.rest().starts_with(']');
        self.pass_if(is_closed, ']');
        match self.text.get(begin..self.at) {
            Some(literal) if is_closed => Token::Word(literal),
            _ => Token::Broken("its [ is not closed"),
        }
    }

    fn pass_if(&mut self, is_there: bool, c: char) {
        if is_there {
            self.step(c);
        }
    }
}

impl<'a> Iterator for Tokens<'a> {
    type Item = Placed<'a>;

    fn next(&mut self) -> Option<Placed<'a>> {
        loop {
            self.pass(is_blank);
            let begin = self.at;
            let kind = match self.rest().chars().next()? {
                '(' => match self.comment() {
                    true => continue,
                    false => Token::Broken("its comment is not closed"),
                },
                '"' => self.quoted(),
                '[' => self.literal(),
                c if is_special(c) => {
                    self.step(c);
                    Token::Special(c)
                }
                _ => Token::Word(self.pass(|c| !is_special(c) && !is_blank(c))),
            };
            let end = self.at;
            return Some(Placed { kind, begin, end });
        }
    }
}

fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n')
}

fn is_special(c: char) -> bool {
    "()<>[]:;@\\,.\"".contains(c)
}
