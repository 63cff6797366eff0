//! The least an HTTP/1.1 client can do, so that what is measured is the server.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use divan::Bencher;
use divan::counter::ItemsCount;

/// How many devices ask at once.
pub(crate) const CONNECTIONS: usize = 16;

/// A connection that is kept.
pub(crate) struct Connection<S = TcpStream> {
    stream: S,
    buffer: Vec<u8>,
}

/// A stream without delay.
pub(crate) fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

impl Connection {
    pub(crate) fn open(address: SocketAddr) -> Self {
        Self::over(connect(address))
    }

    /// Sends the same request on every connection at once, and waits for every answer.
    pub(crate) fn bench(
        bencher: Bencher<'_, '_>,
        address: SocketAddr,
        request: &[u8],
        expected: (u16, usize),
    ) {
        Self::bench_over(bencher, || connect(address), request, expected);
    }
}

impl<S: Read + Write> Connection<S> {
    pub(crate) fn over(stream: S) -> Self {
        Self { stream, buffer: vec![0; 64 * 1024] }
    }

    /// The same over whatever `open` opens.
    pub(crate) fn bench_over(
        bencher: Bencher<'_, '_>,
        open: impl Fn() -> S,
        request: &[u8],
        expected: (u16, usize),
    ) {
        let mut connections: Vec<_> = (0..CONNECTIONS).map(|_| Self::over(open())).collect();
        bencher.counter(ItemsCount::new(CONNECTIONS)).bench_local(|| {
            for connection in &mut connections {
                connection.send(request);
            }
            for connection in &mut connections {
                assert_eq!(connection.receive().0, expected);
            }
        });
    }

    pub(crate) fn send(&mut self, request: &[u8]) {
        self.stream.write_all(request).unwrap();
    }

    /// The status, the length of the body, and the head of the answer.
    pub(crate) fn receive(&mut self) -> ((u16, usize), &str) {
        let mut filled = 0;
        let end = loop {
            filled += self.read(filled);
            if let Some(end) = self.buffer[..filled].windows(4).position(|window| window == b"\r\n\r\n") {
                break end;
            }
        };
        let head = std::str::from_utf8(&self.buffer[..end]).unwrap();
        let length = header(head, "content-length").map_or(0, |value| value.parse().unwrap());
        let status = head[9..12].parse().unwrap();
        let mut body = filled - end - 4;
        while body < length {
            // The head stays where it is; a body is only counted.
            let read = self.stream.read(&mut self.buffer[end..]).unwrap();
            assert!(read > 0, "the connection was closed");
            body += read;
        }
        assert_eq!(body, length);
        ((status, length), std::str::from_utf8(&self.buffer[..end]).unwrap())
    }

    fn read(&mut self, from: usize) -> usize {
        let read = self.stream.read(&mut self.buffer[from..]).unwrap();
        assert!(read > 0, "the connection was closed");
        read
    }
}

/// The value of the header `name`, in lowercase.
pub(crate) fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().skip(1).find_map(|line| {
        let (found, value) = line.split_once(':')?;
        found.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}
