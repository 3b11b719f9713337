//! Fetching from a server of our own.

mod archives;
mod server;

use std::net::TcpListener;
use std::time::Duration;

use md5::{Digest, Md5};
use tempfile::TempDir;

use super::*;
use archives::{cifar, gz, zip};
use server::{Reply, Request, Server};

/// A source of one file that has this content, by its true checksum.
fn source_of(file: &'static str, unpacked: &'static str, content: &[u8]) -> Source {
    let md5 = Md5::digest(content)
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect::<String>();
    let archive = Archive {
        file,
        md5: md5.leak(),
        unpacked,
    };
    Source {
        name: "test",
        url: "http://nowhere.invalid",
        archives: vec![archive].leak(),
    }
}

/// A folder, and what was said while fetching into it.
struct Place {
    folder: TempDir,
    said: Vec<String>,
}

impl Place {
    fn new() -> Place {
        Place {
            folder: tempfile::tempdir().unwrap(),
            said: Vec::new(),
        }
    }

    fn try_fetch(&mut self, source: &Source, url: &str, tries: u32) -> Result<()> {
        let options = Options {
            url: Some(url.into()),
            patience: Patience {
                timeout: Duration::from_secs(1),
                pause: Duration::from_millis(1),
                tries,
            },
        };
        let said = &mut self.said;
        source.fetch(self.folder.path(), &options, &mut |p| {
            said.push(format!("{p:?}"))
        })
    }

    fn fetch_cifar(&mut self, server: &Server) {
        let content = cifar();
        let source = source_of("c.tar.gz", "cifar-10-batches-bin", &content);
        self.try_fetch(&source, &server.url, 3).unwrap();
        let path = self
            .folder
            .path()
            .join("cifar-10-batches-bin/data_batch_1.bin");
        assert_eq!(std::fs::metadata(path).unwrap().len(), 300_000);
        assert_eq!(
            self.names(),
            [
                "c.tar.gz",
                "cifar-10-batches-bin",
                "cifar-10-batches-bin.fetched.json"
            ]
        );
    }

    fn fails(&mut self, server: &str, content: &[u8], parts: &[&str]) {
        let source = source_of("c.tar.gz", "cifar-10-batches-bin", content);
        let error = self.try_fetch(&source, server, 2).unwrap_err().to_string();
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
fn a_slow_server_is_waited_for_and_what_is_there_stays() {
    let content = cifar();
    let slow = Server::new(move |_, _| Reply {
        // Longer than the timeout in all, but never silent as long.
        pause: Duration::from_millis(150),
        ..Reply::new(200, &content)
    });
    let mut place = Place::new();
    place.fetch_cifar(&slow);
    assert!(place.said.len() > 8 && place.said[0].contains("done: 0, total: Some(3"));
    place.said.clear();
    place.fetch_cifar(&slow);
    assert_eq!((slow.count(), place.said.len()), (1, 1), "{:?}", place.said);
    assert!(place.said[0].starts_with("Present"));

    // The archive is enough; a folder that lacks something is not overwritten.
    let unpacked = place.folder.path().join("cifar-10-batches-bin");
    std::fs::remove_file(unpacked.join("readme.html")).unwrap();
    let source = source_of("c.tar.gz", "cifar-10-batches-bin", &cifar());
    let error = place
        .try_fetch(&source, &slow.url, 1)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("readme.html of 6 bytes, found none"),
        "{error}"
    );
    std::fs::remove_dir_all(&unpacked).unwrap();
    place.fetch_cifar(&slow);
    assert_eq!(slow.count(), 1);
    std::fs::remove_file(
        place
            .folder
            .path()
            .join("cifar-10-batches-bin.fetched.json"),
    )
    .unwrap();
    let error = place
        .try_fetch(&source, &slow.url, 1)
        .unwrap_err()
        .to_string();
    assert!(error.contains("not unpacked from c.tar.gz"), "{error}");
}

#[test]
fn a_download_that_is_cut_off_goes_on_where_it_was() {
    let server = Server::new(|n, request| match n {
        0 => Reply::new(200, &cifar()).cut(100_000),
        1 => Reply::rest(&cifar(), request).cut(50_000),
        _ => Reply::rest(&cifar(), request),
    });
    let mut place = Place::new();
    place.fetch_cifar(&server);
    assert_eq!(server.header(0, "range"), None);
    assert_eq!(server.header(1, "range").unwrap(), "bytes=100000-");
    assert_eq!(server.header(1, "if-range").unwrap(), "\"one\"");
    assert_eq!(server.header(2, "range").unwrap(), "bytes=150000-");
    assert!(place.said.iter().any(|line| line.contains("Retrying")));
}

#[test]
fn a_later_call_goes_on_too() {
    let server = Server::new(|n, request| match n {
        0 => Reply::new(200, &cifar()).cut(100_000),
        1 | 2 => Reply::new(503, b"later"),
        _ => Reply::rest(&cifar(), request),
    });
    let mut place = Place::new();
    place.fails(
        &server.url,
        &cifar(),
        &["503", "2 times", "what has come is kept"],
    );
    assert_eq!(place.names(), ["c.tar.gz.part", "c.tar.gz.part.json"]);
    place.fetch_cifar(&server);
    assert_eq!(server.header(3, "range").unwrap(), "bytes=100000-");
}

#[test]
fn servers_that_ignore_ranges_or_changed_the_file_start_again() {
    // Ignored; a new version by `If-Range`; a new version whose server ignores `If-Range`; a wrong place; all there.
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
        Place::new().fetch_cifar(&server);
        assert_eq!(server.count(), if case < 2 { 2 } else { 3 });
    }
    // The same name for another content: the checksum finds out, and the next try is whole.
    let server = Server::new(move |n, request| match n {
        0 => Reply::new(200, &other(cifar().len())).cut(100_000),
        _ => Reply::rest(&cifar(), request),
    });
    Place::new().fetch_cifar(&server);
    assert_eq!(server.header(2, "range"), None);
    // Parts that never fit come to an end.
    let server = Server::new(move |n, request| match n % 2 {
        0 => Reply::new(200, &other(cifar().len())).cut(100_000),
        _ => Reply::rest(&cifar(), request),
    });
    Place::new().fails(
        &server.url,
        &cifar(),
        &["2 times in a row", "try again later"],
    );
}

#[test]
fn a_part_that_is_whole_needs_no_server() {
    let mut place = Place::new();
    let (url, part) = (
        "http://127.0.0.1:9",
        place.folder.path().join("c.tar.gz.part"),
    );
    std::fs::write(&part, cifar()).unwrap();
    let version = format!(
        "{{\"url\": \"{url}/c.tar.gz\", \"tag\": null, \"length\": {}}}",
        cifar().len()
    );
    std::fs::write(place.folder.path().join("c.tar.gz.part.json"), version).unwrap();
    let source = source_of("c.tar.gz", "cifar-10-batches-bin", &cifar());
    place.try_fetch(&source, url, 1).unwrap();
    assert!(!part.exists());
}

#[test]
fn what_does_not_come_or_is_wrong_is_named() {
    let content = cifar();
    let wrong = Server::new(|_, _| Reply::new(200, b"an error page"));
    let mut place = Place::new();
    place.fails(&wrong.url, &content, &["MD5", "--url"]);
    assert_eq!((wrong.count(), place.names()), (1, vec![]));
    let missing = Server::new(|_, _| Reply::new(404, b"not here"));
    place.fails(&missing.url, &content, &["404", &missing.url, "--url"]);
    assert_eq!(missing.count(), 1);
    let silent = Server::new(|_, _| Reply {
        pause: Duration::from_secs(3),
        ..Reply::new(200, b"12345678")
    });
    place.fails(
        &silent.url,
        &content,
        &["2 times in a row", "try again later"],
    );
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    place.fails(
        &format!("http://{port}"),
        &content,
        &["refused", "check the network"],
    );
    place.fails(
        "no address",
        &content,
        &["check the network and the address"],
    );
    let large = Server::new(|_, _| Reply {
        announced: 1 << 40,
        ..Reply::new(200, b"")
    });
    place.fails(&large.url, &content, &["expected at most"]);
}

#[test]
fn archives_of_every_kind_are_unpacked() {
    let names = |file: &'static str, unpacked: &'static str, content: Vec<u8>| {
        let source = source_of(file, unpacked, &content);
        let server = Server::new(move |_, _| Reply::new(200, &content));
        let mut place = Place::new();
        place.try_fetch(&source, &server.url, 1).unwrap();
        place
    };
    let read = |place: &Place, path: &str| std::fs::read(place.folder.path().join(path)).unwrap();
    let place = names("i.gz", "i", gz(b"images"));
    assert_eq!(read(&place, "i"), b"images");
    let place = names(
        "t.zip",
        "t",
        zip(&[("t/", b""), ("t/val/a.JPEG", b"jpeg"), ("t/words.txt", b"")]),
    );
    assert_eq!(read(&place, "t/val/a.JPEG"), b"jpeg");
    let manifest = String::from_utf8(read(&place, "t.fetched.json")).unwrap();
    assert!(manifest.contains("\"t/val/a.JPEG\": 4"), "{manifest}");
}

#[test]
fn sources_are_complete_and_others_have_advice() {
    for source in SOURCES {
        for archive in source.archives {
            assert!(archive.md5.len() == 32 && archive.md5.bytes().all(|b| b.is_ascii_hexdigit()));
            assert!(source.url.starts_with("http") && archive.file != archive.unpacked);
        }
    }
    let message = |name| super::source(name).unwrap_err().to_string();
    assert!(message("imagenet").contains("https://image-net.org"));
    assert!(message("phc-c2dh-u373").contains("man_seg"));
    assert!(message("mnits").contains("fashion-mnist"));
    assert_eq!(super::source("kmnist").unwrap().archives.len(), 4);
}
