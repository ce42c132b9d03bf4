//! What tables of the file have that are no flags, for the reference.

/// What tables of the file have that are no flags.
pub(super) const TABLES: [Table; 8] = [
    Table {
        head: "[listener.NAME]",
        about: "Where clients connect that need rules of their own. What a table leaves out is as the option of the server says. A table that is new or gone counts when the server is started anew.",
        keys: &[
            Key(
                "address",
                "IP:PORT, one or several",
                "–",
                "where it listens; port 0 takes a free one",
            ),
            Key(
                "role",
                "`relay`, `submission`, `lmtp`",
                "`relay`",
                "what mail is taken for",
            ),
            Key(
                "tls",
                "`off`, `offered`, `required`, `implicit`",
                "`offered` if there is a `tls-certificate`, `required` with `require-tls`, else `off`",
                "when its clients turn to TLS: never; when they want to, by STARTTLS; before MAIL; with their first byte",
            ),
            Key(
                "auth",
                "`true`, `false`",
                "`true` if there are `credentials`",
                "whether AUTH is offered",
            ),
            Key(
                "permit",
                "network, several",
                "`permit`",
                "whose mail is taken without a password; `[]` is nobody's",
            ),
            Key(
                "accept-domains",
                "domain, several",
                "`accept-domains`",
                "domains whose mail is taken from anybody; `[]` is none",
            ),
            Key(
                "recipients",
                "file",
                "`recipients`",
                "the mailboxes in them",
            ),
            Key(
                "message-bytes-max",
                "size",
                "`message-bytes-max`",
                "the largest message",
            ),
            Key(
                "recipients-max",
                "count",
                "`recipients-max`",
                "the most recipients of one message",
            ),
            Key(
                "proxy-from",
                "network, several",
                "none",
                "proxies, whose connections begin with a header that says whose they are (PROXY protocol)",
            ),
        ],
    },
    Table {
        head: "[destination.\"PATTERN\"]",
        about: "What is so for some destinations only. PATTERN is a domain (`example.org`), all \
                below one (`*.example.org`, not itself), the URL of a smarthost, or all (`*`). \
                Of each option the value of the longest pattern that fits counts: the name \
                itself, then the nearest `*.`, then `*`, then the option of the server.",
        keys: &[
            Key(
                "retry",
                "schedule",
                "`retry`",
                "when what failed for now is tried again",
            ),
            Key(
                "attempts-max",
                "count",
                "`attempts-per-destination-max`",
                "most attempts at the same time",
            ),
            Key(
                "rate",
                "rate, `none`",
                "`rate-per-destination`",
                "most attempts in a time",
            ),
            Key(
                "messages-per-connection",
                "count",
                "`messages-per-connection`",
                "most messages that a connection carries",
            ),
            Key(
                "source-address",
                "IP address, or an array of two",
                "`source-address`",
                "the address of this host that connections are made from",
            ),
            Key("tls", "level", "`tls`", "how connections are encrypted"),
            Key(
                "mta-sts",
                "`true`, `false`",
                "`mta-sts`",
                "whether the domain's own policy on that is heeded",
            ),
            Key(
                "source-pool",
                "name",
                "`[[source-pool.default]]`",
                "the pool that its mail goes from; not with `source-address`",
            ),
            Key(
                "ehlo-name",
                "name",
                "`ehlo-name`",
                "what this host calls itself there",
            ),
            Key(
                "socks5",
                "HOST:PORT, `none`",
                "`socks5`",
                "the SOCKS5 proxy that connections are made through",
            ),
            Key(
                "socks5-user",
                "name",
                "none",
                "who this host says it is to that proxy",
            ),
            Key(
                "socks5-password-file",
                "file",
                "none",
                "the file whose first line is the password of that user",
            ),
            Key(
                "relay",
                "URL",
                "`relay`",
                "how mail is handed on; not `none`",
            ),
            Key(
                "relay-user",
                "name",
                "none",
                "who this host says it is to the server of that relay",
            ),
            Key(
                "relay-password-file",
                "file",
                "none",
                "the file whose first line is the password of that user",
            ),
            Key(
                "relay-auth-in-clear",
                "`true`, `false`",
                "`false`",
                "whether it is sent in the clear, too",
            ),
        ],
    },
    Table {
        head: "[tenants.NAME]",
        about: "Tenants, as `tenant` names them.",
        keys: &[
            Key(
                "source-pool",
                "name",
                "none",
                "the pool that its mail goes from",
            ),
            Key(
                "weight",
                "1 to 1000",
                "1",
                "how many parts of what there is the tenant gets while several want more",
            ),
        ],
    },
    Table {
        head: "[dkim.\"DOMAIN\"]",
        about: "Who signs mail of DOMAIN and of all below it; `[[dkim.\"DOMAIN\"]]`, several \
                times, for several keys.",
        keys: &[
            Key(
                "selector",
                "name",
                "–",
                "under which name the domain publishes the public key",
            ),
            Key("key", "file", "–", "the private key, in PEM"),
        ],
    },
    Table {
        head: "[[source-pool.NAME]]",
        about: "Ways that mail goes from this host, each by a table; those of one name are a pool. The pool `default` is that of all mail for which nothing else is said.",
        keys: &[
            Key(
                "address",
                "IP address, or an array of two",
                "the system chooses",
                "the address of this host that connections are made from",
            ),
            Key(
                "ehlo-name",
                "name",
                "`ehlo-name`",
                "what this host calls itself there",
            ),
            Key(
                "weight",
                "1 to 1000",
                "1",
                "how many parts of the mail go there",
            ),
        ],
    },
    Table {
        head: "[verify-senders]",
        about: "Mail of strangers is verified: SPF, DKIM, DMARC and ARC.",
        keys: &[
            Key(
                "authserv-id",
                "name",
                "`hostname`",
                "in whose name results are told",
            ),
            Key(
                "dmarc-reject",
                "`true`, `false`",
                "`false`",
                "whether mail is refused that fails DMARC and whose author's domain asks for that",
            ),
            Key(
                "null-mx-reject",
                "`true`, `false`",
                "`false`",
                "whether mail is refused whose sender's domain takes no mail itself (null MX)",
            ),
            Key(
                "arc-seal",
                "domain",
                "none",
                "whose key of a table `[dkim.\"DOMAIN\"]` seals what is passed on",
            ),
            Key(
                "trusted",
                "network, several",
                "`permit`",
                "whose mail is not looked at, by the client's address; `[]` is nobody's",
            ),
            Key(
                "name-server",
                "IP:PORT",
                "those of the system",
                "who is asked",
            ),
            Key(
                "time-max",
                "time, 25s at most",
                "`15s`",
                "how long the look-ups for a message may take, with the wait for its turn",
            ),
            Key(
                "at-once-max",
                "count",
                "`10`",
                "the most messages that are looked at at the same time",
            ),
        ],
    },
    Table {
        head: "[spam-scan]",
        about: "A spam filter is asked about each message.",
        keys: &[
            Key(
                "server",
                "URL",
                "–",
                "the filter: `spamd://HOST` (SpamAssassin) or `rspamd://HOST`",
            ),
            Key(
                "reject-score",
                "number",
                "none",
                "messages with this score or a higher one are refused",
            ),
            Key(
                "failure",
                "`defer`, `accept`",
                "`defer`",
                "what becomes of mail that could not be scanned",
            ),
            Key(
                "time-max",
                "time, 25s at most",
                "`20s`",
                "how long a scan may take, with the wait for its turn",
            ),
            Key(
                "bytes-max",
                "size",
                "`512k`",
                "larger messages are taken without a scan",
            ),
            Key(
                "at-once-max",
                "count",
                "`10`",
                "the most scans at the same time",
            ),
        ],
    },
    Table {
        head: "[[forward]]",
        about: "Recipients are rewritten, by the first of these tables that fits.",
        keys: &[
            Key(
                "match",
                "regular expression",
                "–",
                "the recipients that the rule is for, by their whole address",
            ),
            Key(
                "to",
                "address",
                "–",
                "where their mail goes instead; `$1` is the first group of the expression",
            ),
        ],
    },
];

/// A kind of table.
pub(super) struct Table {
    pub(super) head: &'static str,
    pub(super) about: &'static str,
    pub(super) keys: &'static [Key],
}

/// A key of a table: its name, unit, default and meaning.
pub(super) struct Key(
    pub(super) &'static str,
    pub(super) &'static str,
    pub(super) &'static str,
    pub(super) &'static str,
);
