//! Downloads against a server on this machine.

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::super::download::fetch;
use super::super::{CorpusError, DataConfig, DownloadConfig, DownloadError, MIRROR_VARIABLE, Split};
use super::server::{Answer, Server};
use super::{folder, text, write};

/// What the server has: larger than any buffer on the way.
fn content() -> Vec<u8> {
    (0..300_000_u32).flat_map(|number| format!("{number} ").into_bytes()).collect()
}

fn hash(content: &[u8]) -> String {
    Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn config(url: &str, content: &[u8]) -> DownloadConfig {
    DownloadConfig { url: url.to_owned(), sha256: hash(content), name: None }
}

fn fetched(config: &DownloadConfig, cache: &Path, mirror: Option<&str>) -> Result<PathBuf, DownloadError> {
    fetch(config, cache, mirror, &mut |_, _| ())
}

/// Where the unfinished file grows.
fn part(cache: &Path, config: &DownloadConfig) -> PathBuf {
    cache.join("downloads").join(&config.sha256).join(format!("{}.part", config.file_name()))
}

fn put_part(cache: &Path, config: &DownloadConfig, bytes: &[u8]) {
    let path = part(cache, config);
    std::fs::create_dir_all(path.parent().expect("it is in a folder")).expect("the temporary folder can be written");
    std::fs::write(path, bytes).expect("the temporary folder can be written");
}

fn assert_content(path: &Path, content: &[u8]) {
    assert!(std::fs::read(path).expect("it was fetched") == content);
}

#[test]
fn a_file_is_fetched_once_with_progress() {
    let (cache, content) = (folder(), content());
    let server = Server::new(&content, &[Answer::Well, Answer::Status(500)]);
    let config = config(&format!("{}/deep/text.txt?version=1", server.url), &content);
    let mut seen = Vec::new();
    let path = fetch(&config, cache.path(), None, &mut |done, total| seen.push((done, total))).expect("all is well");
    assert!(path.ends_with("text.txt"));
    assert_content(&path, &content);
    let total = content.len() as u64;
    assert_eq!((seen[0], *seen.last().expect("it was called")), ((0, Some(total)), (total, Some(total))));
    assert!(seen.is_sorted());
    // The second time the server would refuse.
    assert_eq!(fetched(&config, cache.path(), None).expect("it is there"), path);
    assert_eq!(server.ranges(), [None]);
    assert!(!part(cache.path(), &config).exists());
}

#[test]
fn a_broken_download_goes_on_where_it_stopped() {
    let (cache, content) = (folder(), content());
    let server = Server::new(&content, &[Answer::Truncated(70_000), Answer::Truncated(50_000), Answer::Well]);
    let config = config(&server.url, &content);
    assert_content(&fetched(&config, cache.path(), None).expect("the third attempt ends it"), &content);
    assert_eq!(server.ranges(), [None, Some("bytes=70000-".into()), Some("bytes=120000-".into())]);
}

#[test]
fn an_earlier_part_is_gone_on_with() {
    let (cache, content) = (folder(), content());
    let server = Server::new(&content, &[Answer::Well]);
    let config = config(&server.url, &content);
    put_part(cache.path(), &config, &content[..1000]);
    assert_content(&fetched(&config, cache.path(), None).expect("all is well"), &content);
    assert_eq!(server.ranges(), [Some("bytes=1000-".into())]);
}

#[test]
fn a_part_that_is_whole_needs_only_its_hash() {
    let (cache, content) = (folder(), content());
    let server = Server::new(&content, &[Answer::Well]);
    let config = config(&server.url, &content);
    put_part(cache.path(), &config, &content);
    assert_content(&fetched(&config, cache.path(), None).expect("all is well"), &content);
    assert_eq!(server.ranges(), [Some(format!("bytes={}-", content.len()))]);
}

#[test]
fn a_server_that_ignores_or_mistakes_ranges_is_asked_for_the_whole() {
    for answers in [&[Answer::Whole][..], &[Answer::OtherRange, Answer::Well]] {
        let (cache, content) = (folder(), content());
        let server = Server::new(&content, answers);
        let config = config(&server.url, &content);
        put_part(cache.path(), &config, &content[..1000]);
        assert_content(&fetched(&config, cache.path(), None).expect("it starts again"), &content);
    }
}

#[test]
fn a_part_of_another_file_is_thrown_away() {
    for wrong in [&b"nonsense"[..], &[b'x'; 3_000_000]] {
        let (cache, content) = (folder(), content());
        let server = Server::new(&content, &[Answer::Well]);
        let config = config(&server.url, &content);
        put_part(cache.path(), &config, wrong);
        assert_content(&fetched(&config, cache.path(), None).expect("it starts again"), &content);
    }
}

#[test]
fn a_wrong_hash_is_an_error_and_leaves_nothing() {
    let (cache, content) = (folder(), content());
    let server = Server::new(&content, &[Answer::Well]);
    let config = DownloadConfig { sha256: hash(b"something else"), ..config(&server.url, &content) };
    let error = fetched(&config, cache.path(), None).expect_err("the hash differs");
    match &error {
        DownloadError::WrongHash { place, expected, found } => {
            assert_eq!((place, expected, found), (&server.url, &config.sha256, &hash(&content)));
        }
        other => panic!("{other:?}"),
    }
    assert!(!part(cache.path(), &config).exists());
    assert_eq!(server.ranges().len(), 1);
}

#[test]
fn a_refusal_names_the_status_and_another_way() {
    let (cache, content) = (folder(), content());
    let server = Server::new(&content, &[Answer::Status(404)]);
    let config = config(&format!("{}/text.txt", server.url), &content);
    let error = fetched(&config, cache.path(), None).expect_err("there is no file");
    assert!(matches!(error, DownloadError::Status { status: 404, .. }), "{error:?}");
    assert!(error.to_string().contains("get the file text.txt by other means and set KILN_MIRROR"), "{error}");
}

#[test]
fn a_server_that_is_not_there_is_an_error() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port on this machine");
    let url = format!("http://{}/text.txt", listener.local_addr().expect("it is bound"));
    drop(listener);
    let cache = folder();
    let error = fetched(&config(&url, b""), cache.path(), None).expect_err("the connection is refused");
    assert!(matches!(error, DownloadError::Unreachable { .. }), "{error:?}");
    assert!(error.to_string().contains(&url), "{error}");
}

#[test]
fn a_connection_that_always_breaks_says_that_it_can_be_gone_on_with() {
    let (cache, content) = (folder(), content());
    let server = Server::new(&content, &[Answer::Truncated(1000), Answer::Truncated(0)]);
    let config = config(&server.url, &content);
    let error = fetched(&config, cache.path(), None).expect_err("nothing more comes");
    assert!(matches!(error, DownloadError::Interrupted { received: 1000, .. }), "{error:?}");
    assert!(error.to_string().contains("run the same command again"), "{error}");
    assert_eq!(std::fs::metadata(part(cache.path(), &config)).expect("it stays").len(), 1000);
}

#[test]
fn a_damaged_file_in_the_cache_is_fetched_again() {
    let (cache, content) = (folder(), content());
    let server = Server::new(&content, &[Answer::Well]);
    let config = config(&server.url, &content);
    let path = fetched(&config, cache.path(), None).expect("all is well");
    std::fs::write(&path, b"damaged").expect("the cache can be written");
    assert_content(&fetched(&config, cache.path(), None).expect("all is well"), &content);
    assert_eq!(server.ranges().len(), 2);
}

#[test]
fn a_mirror_can_be_a_folder_a_file_or_an_address() {
    let (mirror, content) = (folder(), content());
    write(mirror.path(), "text.txt", &content);
    let unreachable = config("http://127.0.0.1:1/text.txt", &content);
    let path = mirror.path().display().to_string();
    let server = Server::new(&content, &[Answer::Well]);
    for name in [path.clone(), format!("{path}/text.txt"), format!("file://{path}"), format!("{}/base/", server.url)] {
        let cache = folder();
        assert_content(&fetched(&unreachable, cache.path(), Some(&name)).expect("the mirror has it"), &content);
    }
}

#[test]
fn a_mirror_without_the_file_is_passed_over_and_one_that_is_not_there_is_an_error() {
    let (mirror, cache, content) = (folder(), folder(), content());
    write(mirror.path(), "other.txt", b"something else");
    let server = Server::new(&content, &[Answer::Well]);
    let config = config(&format!("{}/text.txt", server.url), &content);
    let path = mirror.path().display().to_string();
    for name in [path.clone(), format!("{path}/other.txt")] {
        assert_content(&fetched(&config, cache.path(), Some(&name)).expect("the server has it"), &content);
    }
    let refusing = Server::new(&content, &[Answer::Status(404)]);
    let cache = folder();
    assert_content(&fetched(&config, cache.path(), Some(&refusing.url)).expect("the server has it"), &content);
    let error = fetched(&config, folder().path(), Some("/no/such/mirror")).expect_err("it was named");
    assert!(matches!(error, DownloadError::Mirror { .. }), "{error:?}");
    write(mirror.path(), "text.txt", b"another text");
    let cache = folder();
    let error = fetched(&config, cache.path(), Some(&path)).expect_err("the hash differs");
    let left = std::fs::read_dir(cache.path().join("downloads")).expect("it can be listed").count();
    assert_eq!(left, 0, "an empty folder is left");
    assert!(matches!(&error, DownloadError::WrongHash { place, .. } if place.ends_with("text.txt")), "{error:?}");
}

#[test]
fn a_cache_that_cannot_be_written_is_an_error() {
    let folder = folder();
    write(folder.path(), "cache", b"a file");
    let error =
        fetched(&config("http://127.0.0.1:1/a", b""), &folder.path().join("cache"), None).expect_err("no folder");
    assert!(matches!(error, DownloadError::File { .. }), "{error:?}");
}

#[test]
fn a_download_is_a_corpus_like_any_file() {
    let (cache, content) = (folder(), content());
    let server = Server::new(&content, &[Answer::Well]);
    let data = |content: &[u8]| DataConfig { download: Some(config(&server.url, content)), ..DataConfig::default() };
    // Were a mirror named in the environment of the tests, it would be asked first, and have no such file.
    let corpus = data(&content).open(cache.path(), &mut |_| ()).expect("all is well");
    assert!((text(&corpus, Split::Train) + &text(&corpus, Split::Validation)).as_bytes() == content);
    let error = data(b"other").open(cache.path(), &mut |_| ()).expect_err("the hash differs");
    assert!(matches!(error, CorpusError::Download(DownloadError::WrongHash { .. })), "{error:?}");
}

/// Runs the test `fetch_in_this_environment` in a process of its own, whose environment can be set.
fn fetched_with(variables: &[(&str, &str)], url: &str) -> bool {
    let cache = folder();
    let mut child = std::process::Command::new(std::env::current_exe().expect("it is running"));
    for variable in ["ALL_PROXY", "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY", MIRROR_VARIABLE] {
        child.env_remove(variable).env_remove(variable.to_ascii_lowercase());
    }
    child.args(["--ignored", "--exact", "corpus::tests::download::fetch_in_this_environment"]);
    child.env("KILN_TEST_URL", url).env("KILN_TEST_CACHE", cache.path()).envs(variables.iter().copied());
    let output = child.output().expect("it can be started");
    let ran = String::from_utf8_lossy(&output.stdout).contains("running 1 test");
    assert!(ran, "the test is not there under that name");
    output.status.success()
}

#[test]
#[ignore = "run by the tests of the environment"]
fn fetch_in_this_environment() {
    let variable = |name| std::env::var(name).expect("the test that runs this one sets it");
    let data = DataConfig { download: Some(config(&variable("KILN_TEST_URL"), &content())), ..DataConfig::default() };
    data.open(Path::new(&variable("KILN_TEST_CACHE")), &mut |_| ()).expect("the environment leads to the file");
}

#[test]
fn proxies_of_the_environment_are_respected() {
    let server = Server::new(&content(), &[Answer::Well]);
    // There is no such host: only a proxy can know it.
    let url = "http://text.invalid/text.txt";
    assert!(fetched_with(&[("http_proxy", &server.url)], url));
    assert!(!fetched_with(&[("http_proxy", &server.url), ("no_proxy", "text.invalid")], url));
    assert!(!fetched_with(&[], url));
    // What is on this machine is fetched from it.
    assert!(fetched_with(&[("http_proxy", "http://127.0.0.1:1")], &server.url));
}

#[test]
fn the_environment_names_the_mirror() {
    let mirror = folder();
    write(mirror.path(), "text.txt", content());
    let path = mirror.path().display().to_string();
    assert!(fetched_with(&[(MIRROR_VARIABLE, &path)], "http://127.0.0.1:1/text.txt"));
    assert!(!fetched_with(&[(MIRROR_VARIABLE, "")], "http://127.0.0.1:1/text.txt"));
}
