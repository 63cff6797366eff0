//! Git's framing: four hex digits of length, then so many bytes less four.

/// The most bytes one packet carries.
const MAX_DATA: usize = 65516;

/// One packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Packet<'a> {
    /// Bytes.
    Data(&'a [u8]),
    /// `0000`: the end of a message.
    Flush,
    /// `0001`: the end of a section.
    Delimiter,
    /// `0002`: the end of a response.
    ResponseEnd,
}

impl<'a> Packet<'a> {
    /// The text, without the line feed it may end with.
    pub(super) fn text(self) -> Option<&'a str> {
        let Self::Data(data) = self else { return None };
        std::str::from_utf8(data.strip_suffix(b"\n").unwrap_or(data)).ok()
    }
}

/// The bytes are not framed as Git frames them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the request is not in Git's packet format at byte {offset}")]
pub(super) struct Malformed {
    offset: usize,
}

/// The packets in `bytes`. The first fault is the last item.
pub(super) fn packets(bytes: &[u8]) -> impl Iterator<Item = Result<Packet<'_>, Malformed>> {
    let mut offset = 0;
    let mut is_done = false;
    std::iter::from_fn(move || {
        if is_done || offset == bytes.len() {
            return None;
        }
        let packet = packet_at(bytes, offset).ok_or(Malformed { offset });
        match packet {
            Ok((packet, length)) => {
                offset += length;
                Some(Ok(packet))
            }
            Err(malformed) => {
                is_done = true;
                Some(Err(malformed))
            }
        }
    })
}

fn packet_at(bytes: &[u8], offset: usize) -> Option<(Packet<'_>, usize)> {
    let rest = bytes.get(offset..)?;
    let digits = rest.get(..4).filter(|digits| digits.iter().all(u8::is_ascii_hexdigit))?;
    let length = usize::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    match length {
        0 => Some((Packet::Flush, 4)),
        1 => Some((Packet::Delimiter, 4)),
        2 => Some((Packet::ResponseEnd, 4)),
        3 => None,
        _ if length - 4 > MAX_DATA => None,
        _ => Some((Packet::Data(rest.get(4..length)?), length)),
    }
}

/// Whether an answer of `git upload-pack` brings objects, rather than being one round of negotiation.
pub(super) fn contains_pack(mut bytes: &[u8]) -> bool {
    // The first side band carries the pack; without side bands it follows the last packet bare.
    while !bytes.starts_with(b"PACK") {
        match packet_at(bytes, 0) {
            Some((Packet::Data(data), _)) if data.starts_with(b"\x01PACK") => return true,
            Some((_, length)) => bytes = bytes.get(length..).unwrap_or_default(),
            None => return false,
        }
    }
    true
}

/// A message being written.
#[derive(Debug, Default)]
pub(super) struct Writer(Vec<u8>);

impl Writer {
    /// Adds a line. What does not fit into a packet is cut off; reference names end long before.
    pub(super) fn line(&mut self, text: &str) {
        let data = text.as_bytes();
        let data = data.get(..MAX_DATA - 1).unwrap_or(data);
        self.0.extend_from_slice(format!("{:04x}", data.len() + 5).as_bytes());
        self.0.extend_from_slice(data);
        self.0.push(b'\n');
    }

    /// Ends the message.
    pub(super) fn flush(&mut self) {
        self.0.extend_from_slice(b"0000");
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> Vec<Result<Packet<'_>, Malformed>> {
        packets(bytes).collect()
    }

    #[test]
    fn what_is_written_is_read() {
        let mut writer = Writer::default();
        writer.line("command=ls-refs");
        writer.flush();
        let bytes = writer.into_bytes();
        assert_eq!(bytes, b"0014command=ls-refs\n0000");
        assert_eq!(read(&bytes), [Ok(Packet::Data(b"command=ls-refs\n")), Ok(Packet::Flush)]);
    }

    #[test]
    fn faults_are_named_and_end_the_reading() {
        assert_eq!(read(b"0001"), [Ok(Packet::Delimiter)]);
        assert_eq!(read(b"0004"), [Ok(Packet::Data(b""))]);
        assert_eq!(read(b"0000000"), [Ok(Packet::Flush), Err(Malformed { offset: 4 })]);
        for fault in [&b"0003"[..], b"+001", b"xxxx", b"0009abcd", b"ffff", b"GET / HTTP"] {
            assert_eq!(read(fault), [Err(Malformed { offset: 0 })], "{fault:?}");
        }
    }

    #[test]
    fn a_pack_is_told_from_negotiation() {
        assert!(contains_pack(b"0008NAK\n0009\x01PACK0000"));
        assert!(contains_pack(b"0008NAK\nPACK\0\0\0\x02"));
        assert!(contains_pack(b"000dpackfile\n0007\x02hi0009\x01PACK0000"));
        assert!(!contains_pack(b"0008NAK\n"));
        assert!(!contains_pack(b"000eacknowledg\n0000"));
        assert!(!contains_pack(b""));
    }
}
