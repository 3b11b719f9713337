//! Downloads from a local test server.

mod archives;
mod server;

use std::net::TcpListener;
use std::time::Duration;

use md5::{Digest, Md5};
use tempfile::TempDir;

use super::*;
use archives::{cifar, gz, zip};
use server::{Reply, Request, Server};

/// Returns a download of one file with this content and its correct checksum.
fn download_of(file: &'static str, unpacked: &'static str, content: &[u8]) -> Download {
    let md5 = Md5::digest(content).iter().map(|b| format!("{b:02x}")).collect::<String>();
    let archive = Archive { file, md5: md5.leak(), unpacked };
    Download { name: "test", url: "http://nowhere.invalid", archives: vec![archive].leak() }
}

/// A target folder and the progress messages of downloads into it.
struct Fetcher {
    folder: TempDir,
    said: Vec<String>,
}

impl Fetcher {
    fn new() -> Fetcher {
        Fetcher { folder: tempfile::tempdir().unwrap(), said: Vec::new() }
    }

    fn try_fetch(&mut self, download: &Download, url: &str, tries: u32) -> Result<()> {
        let options = Options {
            url: Some(url.into()),
            patience: Patience {
                timeout: Duration::from_secs(1),
                pause: Duration::from_millis(1),
                tries,
            },
        };
        let said = &mut self.said;
        download.fetch(self.folder.path(), &options, &mut |p| said.push(format!("{p:?}")))
    }

    fn fetch_cifar(&mut self, server: &Server) {
        let content = cifar();
        let download = download_of("c.tar.gz", "cifar-10-batches-bin", &content);
        self.try_fetch(&download, &server.url, 3).unwrap();
        let path = self.folder.path().join("cifar-10-batches-bin/data_batch_1.bin");
        assert_eq!(std::fs::metadata(path).unwrap().len(), 300_000);
        assert_eq!(
            self.names(),
            ["c.tar.gz", "cifar-10-batches-bin", "cifar-10-batches-bin.fetched.json"]
        );
    }

    fn fails(&mut self, server: &str, content: &[u8], parts: &[&str]) {
        let download = download_of("c.tar.gz", "cifar-10-batches-bin", content);
        let error = self.try_fetch(&download, server, 2).unwrap_err().to_string();
        for part in [&["c.tar.gz"], parts].concat() {
            assert!(error.contains(part), "`{part}` is missing in: {error}");
        }
        assert!(!self.folder.path().join("c.tar.gz").exists());
    }

    fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.folder.path()).unwrap();
        let name = |entry: std::fs::DirEntry| entry.file_name().into_string().unwrap();
        let mut names: Vec<String> = entries.map(|entry| name(entry.unwrap())).collect();
        names.sort();
        names
    }
}

#[test]
fn slow_servers_are_waited_for_and_existing_files_are_kept() {
    let content = cifar();
    let slow = Server::new(move |_, _| Reply {
        // The whole response takes longer than the timeout, but no pause in it does.
        pause: Duration::from_millis(150),
        ..Reply::new(200, &content)
    });
    let mut fetcher = Fetcher::new();
    fetcher.fetch_cifar(&slow);
    assert!(fetcher.said.len() > 8 && fetcher.said[0].contains("done: 0, total: Some(3"));
    fetcher.said.clear();
    fetcher.fetch_cifar(&slow);
    assert_eq!((slow.count(), fetcher.said.len()), (1, 1), "{:?}", fetcher.said);
    assert!(fetcher.said[0].starts_with("Present"));

    // The archive suffices to unpack again; an incomplete folder is not overwritten.
    let unpacked = fetcher.folder.path().join("cifar-10-batches-bin");
    std::fs::remove_file(unpacked.join("readme.html")).unwrap();
    let download = download_of("c.tar.gz", "cifar-10-batches-bin", &cifar());
    let error = fetcher.try_fetch(&download, &slow.url, 1).unwrap_err().to_string();
    assert!(error.contains("readme.html of 6 bytes, found none"), "{error}");
    std::fs::remove_dir_all(&unpacked).unwrap();
    fetcher.fetch_cifar(&slow);
    assert_eq!(slow.count(), 1);
    std::fs::remove_file(fetcher.folder.path().join("cifar-10-batches-bin.fetched.json")).unwrap();
    let error = fetcher.try_fetch(&download, &slow.url, 1).unwrap_err().to_string();
    assert!(error.contains("not unpacked from c.tar.gz"), "{error}");
}

#[test]
fn an_interrupted_download_resumes() {
    let server = Server::new(|n, request| match n {
        0 => Reply::new(200, &cifar()).cut(100_000),
        1 => Reply::rest(&cifar(), request).cut(50_000),
        _ => Reply::rest(&cifar(), request),
    });
    let mut fetcher = Fetcher::new();
    fetcher.fetch_cifar(&server);
    assert_eq!(server.header(0, "range"), None);
    assert_eq!(server.header(1, "range").unwrap(), "bytes=100000-");
    assert_eq!(server.header(1, "if-range").unwrap(), "\"one\"");
    assert_eq!(server.header(2, "range").unwrap(), "bytes=150000-");
    assert!(fetcher.said.iter().any(|line| line.contains("Retrying")));
}

#[test]
fn a_later_call_resumes() {
    let server = Server::new(|n, request| match n {
        0 => Reply::new(200, &cifar()).cut(100_000),
        1 | 2 => Reply::new(503, b"later"),
        _ => Reply::rest(&cifar(), request),
    });
    let mut fetcher = Fetcher::new();
    fetcher.fails(&server.url, &cifar(), &["503", "2 times", "the received bytes are kept"]);
    assert_eq!(fetcher.names(), ["c.tar.gz.part", "c.tar.gz.part.json"]);
    fetcher.fetch_cifar(&server);
    assert_eq!(server.header(3, "range").unwrap(), "bytes=100000-");
}

#[test]
fn servers_that_ignore_ranges_or_changed_the_file_start_again() {
    // Cases: the server ignores the range; it has a new version and obeys `If-Range`; it has a new version and ignores
    // `If-Range`; it sends a wrong range; it has no bytes left to send.
    let renamed = |mut reply: Reply| {
        reply.headers[0] = "ETag: \"two\"".into();
        reply
    };
    let other = |length: usize| vec![7; length];
    let moved = |mut reply: Reply| {
        reply.headers[1] = "Content-Range: bytes 5-9/10".into();
        reply
    };
    type Answer = Box<dyn Fn(&Request) -> Reply + Send>;
    let answers: [Answer; 5] = [
        Box::new(|_| Reply::new(200, &cifar())),
        Box::new(move |_| renamed(Reply::new(200, &cifar()))),
        Box::new(move |request| renamed(Reply::rest(&cifar(), request))),
        Box::new(move |request| moved(Reply::rest(&cifar(), request))),
        Box::new(|_| Reply::new(416, b"")),
    ];
    for (case, answer) in answers.into_iter().enumerate() {
        let server = Server::new(move |n, request| match n {
            0 => Reply::new(200, &other(cifar().len())).cut(100_000),
            1 => answer(request),
            _ => Reply::rest(&cifar(), request),
        });
        Fetcher::new().fetch_cifar(&server);
        assert_eq!(server.count(), if case < 2 { 2 } else { 3 });
    }
    // A server that mixes two contents under one name: the checksum detects it, and the next attempt starts at the
    // beginning.
    let server = Server::new(move |n, request| match n {
        0 => Reply::new(200, &other(cifar().len())).cut(100_000),
        _ => Reply::rest(&cifar(), request),
    });
    Fetcher::new().fetch_cifar(&server);
    assert_eq!(server.header(2, "range"), None);
    // Parts never fit together: the download fails after the allowed number of attempts.
    let server = Server::new(move |n, request| match n % 2 {
        0 => Reply::new(200, &other(cifar().len())).cut(100_000),
        _ => Reply::rest(&cifar(), request),
    });
    Fetcher::new().fails(&server.url, &cifar(), &["2 times in a row", "try again later"]);
}

#[test]
fn a_complete_part_needs_no_server() {
    let mut fetcher = Fetcher::new();
    let (url, part) = ("http://127.0.0.1:9", fetcher.folder.path().join("c.tar.gz.part"));
    std::fs::write(&part, cifar()).unwrap();
    let version =
        format!("{{\"url\": \"{url}/c.tar.gz\", \"tag\": null, \"length\": {}}}", cifar().len());
    std::fs::write(fetcher.folder.path().join("c.tar.gz.part.json"), version).unwrap();
    let download = download_of("c.tar.gz", "cifar-10-batches-bin", &cifar());
    fetcher.try_fetch(&download, url, 1).unwrap();
    assert!(!part.exists());
}

#[test]
fn failed_and_wrong_downloads_are_errors() {
    let content = cifar();
    let wrong = Server::new(|_, _| Reply::new(200, b"an error page"));
    let mut fetcher = Fetcher::new();
    fetcher.fails(&wrong.url, &content, &["MD5", "--url"]);
    assert_eq!((wrong.count(), fetcher.names()), (1, vec![]));
    let missing = Server::new(|_, _| Reply::new(404, b"not here"));
    fetcher.fails(&missing.url, &content, &["404", &missing.url, "--url"]);
    assert_eq!(missing.count(), 1);
    let silent =
        Server::new(|_, _| Reply { pause: Duration::from_secs(3), ..Reply::new(200, b"12345678") });
    fetcher.fails(&silent.url, &content, &["2 times in a row", "try again later"]);
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    fetcher.fails(&format!("http://{port}"), &content, &["refused", "check the network"]);
    fetcher.fails("no address", &content, &["check the network and the address"]);
    let large = Server::new(|_, _| Reply { announced: 1 << 40, ..Reply::new(200, b"") });
    fetcher.fails(&large.url, &content, &["expected at most"]);
}

#[test]
fn archives_of_every_kind_are_unpacked() {
    let names = |file: &'static str, unpacked: &'static str, content: Vec<u8>| {
        let download = download_of(file, unpacked, &content);
        let server = Server::new(move |_, _| Reply::new(200, &content));
        let mut fetcher = Fetcher::new();
        fetcher.try_fetch(&download, &server.url, 1).unwrap();
        fetcher
    };
    let read =
        |fetcher: &Fetcher, path: &str| std::fs::read(fetcher.folder.path().join(path)).unwrap();
    let fetcher = names("i.gz", "i", gz(b"images"));
    assert_eq!(read(&fetcher, "i"), b"images");
    let fetcher =
        names("t.zip", "t", zip(&[("t/", b""), ("t/val/a.JPEG", b"jpeg"), ("t/words.txt", b"")]));
    assert_eq!(read(&fetcher, "t/val/a.JPEG"), b"jpeg");
    let manifest = String::from_utf8(read(&fetcher, "t.fetched.json")).unwrap();
    assert!(manifest.contains("\"t/val/a.JPEG\": 4"), "{manifest}");
}
