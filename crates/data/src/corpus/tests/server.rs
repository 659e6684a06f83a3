//! A small HTTP server on this machine, which misbehaves as told.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// How the server answers a request.
#[derive(Debug, Clone, Copy)]
pub(super) enum Answer {
    /// As it should, ranges included.
    Well,
    /// As it should, but ranges are not known.
    Whole,
    /// Only this many bytes of what it promised.
    Truncated(usize),
    /// Another status, with no body.
    Status(u16),
    /// A range that was not asked for.
    OtherRange,
}

/// The `Range` of each request so far, or nothing.
type Ranges = Mutex<Vec<Option<String>>>;

/// A server of one file under any name; the last answer is repeated.
pub(super) struct Server {
    pub(super) url: String,
    ranges: Arc<Ranges>,
}

impl Server {
    pub(super) fn new(content: &[u8], answers: &[Answer]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port on this machine");
        let address = listener.local_addr().expect("it is bound");
        let ranges = Arc::new(Mutex::new(Vec::new()));
        let (content, answers, seen) = (content.to_owned(), answers.to_owned(), Arc::clone(&ranges));
        std::thread::spawn(move || {
            for (number, stream) in listener.incoming().enumerate() {
                let answer = answers[number.min(answers.len() - 1)];
                // A client that goes away is its own business.
                let _ = stream.and_then(|stream| serve(stream, &content, answer, &seen));
            }
        });
        Self { url: format!("http://{address}"), ranges }
    }

    /// The ranges asked for, in order.
    pub(super) fn ranges(&self) -> Vec<Option<String>> {
        self.ranges.lock().expect("nobody panics with it").clone()
    }
}

/// Answers one request, notes the `Range` asked for, and closes the connection. Asked to be a proxy, it says yes, and
/// is itself what is behind it.
fn serve(stream: TcpStream, content: &[u8], answer: Answer, seen: &Ranges) -> std::io::Result<()> {
    let mut stream = stream;
    let mut range = None;
    let mut connect = false;
    for line in BufReader::new(stream.try_clone()?).lines() {
        let line = line?.to_ascii_lowercase();
        connect |= line.starts_with("connect ");
        if line.is_empty() && connect {
            stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n")?;
            connect = false;
        } else if line.is_empty() {
            break;
        }
        range = line.strip_prefix("range: ").map(str::to_owned).or(range);
    }
    let asked =
        range.as_deref().and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-')?.parse::<usize>().ok());
    seen.lock().expect("nobody panics with it").push(range);
    let total = content.len();
    let (head, body) = match (answer, asked) {
        (Answer::Status(status), _) => (format!("{status} No\r\nContent-Length: 0"), &content[..0]),
        (Answer::OtherRange, Some(_)) => (
            format!("206 Partial Content\r\nContent-Range: bytes 0-{}/{total}\r\nContent-Length: {total}", total - 1),
            content,
        ),
        (Answer::Well, Some(start)) if start >= total => {
            (format!("416 No\r\nContent-Range: bytes */{total}\r\nContent-Length: 0"), &content[..0])
        }
        (Answer::Well | Answer::Truncated(_), Some(start)) => {
            let left = total - start;
            let range = format!("Content-Range: bytes {start}-{}/{total}", total - 1);
            (format!("206 Partial Content\r\n{range}\r\nContent-Length: {left}"), &content[start..])
        }
        _ => (format!("200 OK\r\nContent-Length: {total}"), content),
    };
    let body = match answer {
        Answer::Truncated(length) => &body[..length.min(body.len())],
        _ => body,
    };
    stream.write_all(format!("HTTP/1.1 {head}\r\nConnection: close\r\n\r\n").as_bytes())?;
    stream.write_all(body)?;
    stream.flush()?;
    stream.shutdown(std::net::Shutdown::Both)
}
