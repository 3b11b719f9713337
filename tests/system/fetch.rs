//! `prospr data fetch`, started as by a user. Unit tests of the download code cover faults of servers.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;

use crate::sandbox::{Sandbox, has};

/// Starts a server that gives the same answer to every request; returns its address.
fn server(status: &'static str, body: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let lines = BufReader::new(&stream).lines();
            assert!(lines.map_while(Result::ok).any(|line| line.is_empty()));
            let length = body.len();
            write!(
                stream,
                "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
            )
            .unwrap();
        }
    });
    url
}

#[test]
fn failed_downloads_are_errors_with_names() {
    let sandbox = Sandbox::new();
    let fetch = |name: &str, url: &str| format!("data fetch {name} --data-dir d --url {url}");
    let wrong = server("200 OK", "a page that asks to log in");
    sandbox.bad(
        &fetch("cifar-10", &wrong),
        &["cifar-10-binary.tar.gz", &wrong, "c32a1d4ab5d03f1284b67883e8d87530", "--url"],
    );
    let missing = server("404 Not Found", "");
    sandbox.bad(&fetch("tiny-imagenet", &missing), &["tiny-imagenet-200.zip", "404"]);
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    sandbox.bad(
        &fetch("mnist", &format!("http://{port}")),
        &["train-images-idx3-ubyte.gz", "check the network"],
    );
    assert_eq!(std::fs::read_dir(sandbox.path("d")).unwrap().count(), 0);
    sandbox.bad(&fetch("imagenet", &missing), &["https://image-net.org", "train/CLASS"]);
    sandbox.bad(&fetch("mnits", &missing), &["mnits", "fashion-mnist, kmnist, cifar-10"]);
    has(&sandbox.good("data fetch --help").0, &["--data-dir", "tiny-imagenet"]);
}

/// The files that the user has put into the folder do not change, and no server is contacted.
#[test]
fn existing_files_are_not_overwritten() {
    let sandbox = Sandbox::new();
    let nowhere = "data fetch mnist --data-dir . --url http://127.0.0.1:9";
    sandbox.bad(
        nowhere,
        &[
            "train-images-idx3-ubyte",
            "not unpacked from train-images-idx3-ubyte.gz here",
            "move it away",
        ],
    );
}
