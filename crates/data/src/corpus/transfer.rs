//! One file over HTTP, resumed where an earlier attempt stopped.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::path::Path;
use std::time::Duration;

use ureq::http::{Response, Uri, header};
use ureq::{Agent, Body, Proxy};

use super::DownloadError;

/// How long a server may be silent.
const PATIENCE: Duration = Duration::from_secs(60);

/// How often a transfer is tried again without a single new byte.
const FRUITLESS_ATTEMPTS: u32 = 2;

/// Called with bytes received and, if known, bytes in all.
pub(super) type Report<'a> = &'a mut dyn FnMut(u64, Option<u64>);

/// What is being fetched, and where it grows.
pub(super) struct Target<'a> {
    /// The name of the file.
    pub(super) name: &'a str,
    /// What is there of it so far.
    pub(super) part: &'a Path,
}

impl Target<'_> {
    pub(super) fn file_error(&self, source: std::io::Error) -> DownloadError {
        DownloadError::File { path: self.part.to_owned(), source }
    }
}

/// How one attempt ended.
enum Attempt {
    /// The part is as long as the other side says.
    Complete,
    /// The connection broke, for this reason.
    Broken(String),
    /// The part is of no use to this server and was removed.
    Restart,
}

/// Makes the part of `target` as long as the file at `url`, and says whether it began with bytes of an earlier call.
pub(super) fn receive(target: &Target, url: &str, report: Report) -> Result<bool, DownloadError> {
    let agent = agent(url);
    let resumed = length(target) > 0;
    let mut fruitless = 0;
    loop {
        let before = length(target);
        let reason = match attempt(&agent, target, url, report)? {
            Attempt::Complete => return Ok(resumed),
            Attempt::Restart => "the server has another file now".to_owned(),
            Attempt::Broken(reason) => reason,
        };
        let received = length(target);
        fruitless = if received > before { 0 } else { fruitless + 1 };
        if fruitless > FRUITLESS_ATTEMPTS {
            return Err(DownloadError::Interrupted { url: url.to_owned(), received, reason });
        }
    }
}

/// Errors of HTTP are answers here, proxies are those of the environment, and silence ends.
fn agent(url: &str) -> Agent {
    let host = url.parse::<Uri>().ok().and_then(|uri| uri.host().map(str::to_owned)).unwrap_or_default();
    // No proxy can reach what is on this machine alone.
    let here = host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
    let proxy = if here { None } else { Proxy::try_from_env() };
    let config = Agent::config_builder()
        .http_status_as_error(false)
        .user_agent(concat!("kiln/", env!("CARGO_PKG_VERSION")))
        .proxy(proxy)
        .timeout_connect(Some(PATIENCE))
        .timeout_recv_response(Some(PATIENCE))
        .timeout_per_read(Some(PATIENCE));
    config.build().new_agent()
}

fn length(target: &Target) -> u64 {
    std::fs::metadata(target.part).map_or(0, |metadata| metadata.len())
}

fn attempt(agent: &Agent, target: &Target, url: &str, report: Report) -> Result<Attempt, DownloadError> {
    let have = length(target);
    let mut request = agent.get(url).header(header::ACCEPT_ENCODING, "identity");
    if have > 0 {
        request = request.header(header::RANGE, format!("bytes={have}-"));
    }
    let response = request.call().map_err(|error| DownloadError::Unreachable {
        url: url.to_owned(),
        reason: error.to_string(),
        name: target.name.to_owned(),
    })?;
    let range = response.headers().get(header::CONTENT_RANGE).and_then(|value| value.to_str().ok());
    let range = range.and_then(ContentRange::parse);
    match response.status().as_u16() {
        200 => write_body(response, 0, target, report),
        206 if range.is_some_and(|range| range.start == Some(have)) => write_body(response, have, target, report),
        416 if range.is_some_and(|range| range.total == Some(have)) => Ok(Attempt::Complete),
        206 | 416 => {
            std::fs::remove_file(target.part).map_err(|source| target.file_error(source))?;
            Ok(Attempt::Restart)
        }
        status => Err(DownloadError::Status { url: url.to_owned(), status, name: target.name.to_owned() }),
    }
}

/// Writes the body into the part from byte `start` on.
fn write_body(response: Response<Body>, start: u64, target: &Target, report: Report) -> Result<Attempt, DownloadError> {
    let body = response.into_body();
    let total = body.content_length().map(|length| length + start);
    let mut part = open_at(start, target).map_err(|source| target.file_error(source))?;
    let mut reader = body.into_reader();
    let mut buffer = vec![0; 64 << 10];
    let mut received = start;
    report(received, total);
    let end = loop {
        match reader.read(&mut buffer) {
            Ok(0) if total.is_some_and(|total| received < total) => {
                break Attempt::Broken(format!("{received} of {} bytes came", total.unwrap_or_default()));
            }
            Ok(0) => break Attempt::Complete,
            Ok(read) => {
                part.write_all(&buffer[..read]).map_err(|source| target.file_error(source))?;
                received += read as u64;
                report(received, total);
            }
            Err(error) => break Attempt::Broken(error.to_string()),
        }
    };
    part.sync_all().map_err(|source| target.file_error(source))?;
    Ok(end)
}

/// The part, cut to `start` bytes and ready to grow.
fn open_at(start: u64, target: &Target) -> std::io::Result<File> {
    let mut part = OpenOptions::new().create(true).write(true).truncate(false).open(target.part)?;
    part.set_len(start)?;
    std::io::Seek::seek(&mut part, std::io::SeekFrom::End(0))?;
    Ok(part)
}

/// `bytes 5-9/10` or `bytes */10` (RFC 9110, section 14.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct ContentRange {
    start: Option<u64>,
    total: Option<u64>,
}

impl ContentRange {
    fn parse(value: &str) -> Option<Self> {
        let (range, total) = value.trim().strip_prefix("bytes ")?.split_once('/')?;
        let start = range.split_once('-').and_then(|(start, _)| start.trim().parse().ok());
        Some(Self { start, total: total.trim().parse().ok() })
    }
}
