//! SMTP and LMTP without I/O, both ends: bytes in, steps out.
