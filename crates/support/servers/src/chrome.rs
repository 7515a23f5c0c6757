//! A private `ChromeDriver`, which starts the Chromium that a test asks it for.

use crate::{ServerError, find_program, port::free_port, process::Group};
use std::{
    io::{Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};
use tempfile::TempDir;

const DRIVER: &str = "chromedriver";
const BROWSER: &str = "chromium";
const READY_WITHIN: Duration = Duration::from_secs(30);

/// A private `ChromeDriver`. The browsers it started end with it.
pub struct ChromeDriver {
    port: u16,
    browser: PathBuf,
    // Before the folder: the process ends first.
    _group: Group,
    folder: TempDir,
}

impl ChromeDriver {
    /// Whether the driver and the browser are there.
    pub fn is_installed() -> bool {
        find_program(DRIVER, []).is_some() && browser().is_some()
    }

    /// Starts one and waits until it answers.
    pub fn start() -> Result<Self, ServerError> {
        let programs = find_program(DRIVER, []).zip(browser());
        let (program, browser) = programs.ok_or(ServerError::Missing {
            program: DRIVER,
            hint: "`cargo xtask test` installs it on Debian-like systems; elsewhere install Chromium and its driver",
        })?;
        let folder = tempfile::Builder::new()
            .prefix("ringback-chrome-")
            .tempdir()
            .map_err(ServerError::io("make a folder for Chromium"))?;
        let port = free_port();
        let mut command = Command::new(program);
        command
            .arg(format!("--port={port}"))
            .current_dir(folder.path());
        let mut group = Group::start("ChromeDriver", command, folder.path())?;
        group.wait_until_ready(READY_WITHIN, || answers(port))?;
        Ok(Self {
            port,
            browser,
            _group: group,
            folder,
        })
    }

    /// Where it takes the commands of the `WebDriver` protocol.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The browser it is to start.
    pub fn browser(&self) -> &Path {
        &self.browser
    }

    /// A folder that is cleared away with it, for the browser's profile.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}

fn browser() -> Option<PathBuf> {
    find_program(BROWSER, [])
}

fn answers(port: u16) -> std::io::Result<bool> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_secs(1)))?;
    stream.write_all(b"GET /status HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut answer = [0; 12];
    stream.read_exact(&mut answer)?;
    Ok(&answer == b"HTTP/1.1 200")
}
