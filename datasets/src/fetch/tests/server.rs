//! A local HTTP server with configurable faults.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Response of the server to one request.
#[derive(Clone)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<String>,
    pub body: Vec<u8>,
    /// Announced length of the body, and number of bytes that are really sent.
    pub announced: usize,
    pub sent: usize,
    /// Pause before each of eight pieces of the body.
    pub pause: Duration,
}

impl Reply {
    pub fn new(status: u16, body: &[u8]) -> Reply {
        Reply {
            status,
            headers: vec!["ETag: \"one\"".into()],
            body: body.into(),
            announced: body.len(),
            sent: body.len(),
            pause: Duration::ZERO,
        }
    }

    pub fn cut(self, sent: usize) -> Reply {
        Reply { sent, ..self }
    }

    /// The rest of a body, as the request's `Range` header asks.
    pub fn rest(body: &[u8], request: &Request) -> Reply {
        let start = request.get("range").map(|range| {
            let start = range.strip_prefix("bytes=").unwrap().trim_end_matches('-');
            start.parse::<usize>().unwrap()
        });
        match start {
            None => Reply::new(200, body),
            Some(start) if start >= body.len() => Reply::new(416, b""),
            Some(start) => {
                let mut reply = Reply::new(206, &body[start..]);
                let (last, all) = (body.len() - 1, body.len());
                let range = format!("Content-Range: bytes {start}-{last}/{all}");
                reply.headers.push(range);
                reply
            }
        }
    }

    fn send(&self, mut stream: TcpStream) -> std::io::Result<()> {
        let length = self.announced;
        write!(
            stream,
            "HTTP/1.1 {} X\r\nContent-Length: {length}\r\nConnection: close\r\n",
            self.status
        )?;
        for header in &self.headers {
            write!(stream, "{header}\r\n")?;
        }
        write!(stream, "\r\n")?;
        for piece in self.body[..self.sent].chunks(self.sent / 8 + 1) {
            std::thread::sleep(self.pause);
            stream.write_all(piece)?;
            stream.flush()?;
        }
        Ok(())
    }
}

pub type Request = HashMap<String, String>;

/// A server that answers the n-th request with `answer(n, request)`.
pub struct Server {
    pub url: String,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl Server {
    pub fn new(answer: impl Fn(usize, &Request) -> Reply + Send + 'static) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = requests.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let stream = stream.unwrap();
                let lines = BufReader::new(&stream).lines().map_while(|line| line.ok());
                let lines = lines.take_while(|line| !line.is_empty());
                let request: Request = lines
                    .filter_map(|line| {
                        let (name, value) = line.split_once(": ")?;
                        Some((name.to_lowercase(), value.to_string()))
                    })
                    .collect();
                let number = seen.lock().unwrap().len();
                let reply = answer(number, &request);
                seen.lock().unwrap().push(request);
                // The client may have closed the connection.
                let _ = reply.send(stream);
            }
        });
        Server { url, requests }
    }

    pub fn count(&self) -> usize {
        self.requests.lock().unwrap().len()
    }

    pub fn header(&self, request: usize, name: &str) -> Option<String> {
        self.requests.lock().unwrap()[request].get(name).cloned()
    }
}
