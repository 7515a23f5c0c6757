//! The binary at a real terminal: tables as wide as it is, questions that are answered, and Ctrl-C.

use crate::{output::SCENE, place::Place, process::Process, replays::give_up};
use rustix::{
    pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt},
    termios::{Winsize, tcsetwinsize},
};
use std::{
    fs::File,
    io::{Read, Write},
    process::{Child, Command, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, channel},
    time::{Duration, Instant},
};
use unicode_width::UnicodeWidthStr;

/// How long a test waits for a word.
const PATIENCE: Duration = Duration::from_mins(1);
const CTRL_C: &str = "\x03";

/// What stands between a person and the command: it tells the exit code, and in which state the terminal was left.
///
/// It stays until a key is pressed: the end of a session throws away what nobody has read yet.
const SHELL: &str = "trap : INT; \"$@\"; echo \"[exit $?]\"; stty -a; echo \"[end]\"; read -r key";

/// A terminal with a shell that runs one command.
pub(crate) struct Terminal {
    keyboard: File,
    screen: Receiver<Vec<u8>>,
    shown: Vec<u8>,
    shell: Child,
}

/// What was to be seen in the end.
pub(crate) struct Left {
    pub(crate) code: i32,
    /// Without colours and the movements of the cursor.
    pub(crate) text: String,
    raw: String,
    settings: String,
}

impl Terminal {
    pub(crate) fn start(place: &Place, columns: u16, arguments: &[&str]) -> Self {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let master = openpt(flags).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let size = Winsize {
            ws_row: 40,
            ws_col: columns,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        tcsetwinsize(&master, size).unwrap();
        let line = ioctl_tiocgptpeer(&master, flags).unwrap();
        let ours = place.command(arguments);
        let variables = ours.get_envs();
        let shell = Command::new("setsid")
            // Whoever runs the tests may ignore Ctrl-C, as what a script starts in the background does.
            .args(["--ctty", "env", "--default-signal"])
            .args(["sh", "-c", SHELL, "sh"])
            .arg(ours.get_program())
            .args(ours.get_args())
            .current_dir(ours.get_current_dir().unwrap())
            .env_clear()
            .envs(variables.filter_map(|(name, value)| Some((name, value?))))
            .env("TERM", "xterm-256color")
            .stdin(Stdio::from(line.try_clone().unwrap()))
            .stdout(Stdio::from(line.try_clone().unwrap()))
            .stderr(Stdio::from(line))
            .spawn()
            .unwrap();
        let keyboard = File::from(master);
        let mut reading = keyboard.try_clone().unwrap();
        let (sends, screen) = channel();
        std::thread::spawn(move || {
            let mut piece = [0; 4096];
            // Once nobody has the line open any more, reading fails.
            while let Ok(length @ 1..) = reading.read(&mut piece) {
                if sends.send(piece[..length].to_vec()).is_err() {
                    break;
                }
            }
        });
        Self {
            keyboard,
            screen,
            shown: Vec::new(),
            shell,
        }
    }

    /// Waits until this is to be seen.
    pub(crate) fn see(&mut self, words: &str) {
        let until = Instant::now() + PATIENCE;
        while !plain(&self.shown).contains(words) {
            let left = until.saturating_duration_since(Instant::now());
            let Ok(piece) = self.screen.recv_timeout(left) else {
                let shell = self.shell.try_wait();
                panic!(
                    "`{words}` is not seen, shell {shell:?}:\n{}",
                    plain(&self.shown)
                );
            };
            self.shown.extend(piece);
        }
    }

    pub(crate) fn press(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).unwrap();
    }

    /// Waits for the end of the command.
    pub(crate) fn end(mut self) -> Left {
        self.see("[end]");
        self.press("\n");
        loop {
            match self.screen.recv_timeout(PATIENCE) {
                Ok(piece) => self.shown.extend(piece),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => panic!("the shell does not end"),
            }
        }
        self.shell.wait().unwrap();
        let raw = String::from_utf8_lossy(&self.shown).into_owned();
        let text = plain(&self.shown);
        let (text, rest) = text.split_once("[exit ").unwrap();
        let (code, settings) = rest.split_once(']').unwrap();
        Left {
            code: code.parse().unwrap(),
            text: text.to_owned(),
            settings: settings.to_owned(),
            raw,
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.shell.kill();
        let _ = self.shell.wait();
    }
}

impl Left {
    /// Whoever types next sees it, and a line is a line.
    fn is_sane(&self) {
        let words: Vec<_> = self.settings.split([' ', ';', '\n', '\r']).collect();
        for setting in ["echo", "icanon", "isig", "opost"] {
            assert!(words.contains(&setting), "{setting}: {}", self.settings);
        }
        let (hidden, shown) = (self.raw.rfind("\x1b[?25l"), self.raw.rfind("\x1b[?25h"));
        assert!(hidden <= shown, "the cursor stays hidden: {:?}", self.raw);
    }

    /// Nothing drawn is wider than the terminal, also what was drawn over.
    fn fits(&self, columns: u16) {
        let faults: Vec<_> = self.too_wide(columns).collect();
        assert!(faults.is_empty(), "{}", faults.join("\n"));
    }

    fn too_wide(&self, columns: u16) -> impl Iterator<Item = String> {
        // What was typed is shown, too.
        let lines = self.text.split(['\n', '\r']);
        let lines = lines.map(|line| line.trim_end_matches("^C"));
        let too_wide = lines.filter(move |line| line.width() > columns.into());
        too_wide.map(move |line| format!("{} columns in {columns}: `{line}`", line.width()))
    }
}

/// The text without what moves the cursor and colours it.
fn plain(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let mut parts = text.split("\x1b[");
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let end = part.find(|c: char| ('@'..='~').contains(&c));
        plain.push_str(end.map_or("", |end| &part[end + 1..]));
    }
    plain
}

#[test]
fn tables_are_as_wide_as_the_terminal() {
    let mut faults = Vec::new();
    for columns in [60, 80, 120] {
        for command in [
            "webhooks list",
            "deliveries list",
            "dead list",
            "dead list --all",
            "dead groups",
            "keys list",
            "replays list",
            "profiles list",
        ] {
            let arguments: Vec<_> = command.split(' ').collect();
            let left = SCENE.at_terminal(columns, &arguments);
            assert_eq!(left.code, 0, "{command}: {}", left.text);
            assert!(left.text.lines().count() > 1, "{command}: {}", left.text);
            left.is_sane();
            faults.extend(
                left.too_wide(columns)
                    .map(|line| format!("{command}: {line}")),
            );
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_asked_is_done_when_the_answer_is_yes_and_only_then() {
    let place = Place::new();
    let letters = give_up(&place).await;
    let id = letters[0].id.as_str();
    let open = || {
        place.json(&["dead", "list"])["data"]
            .as_array()
            .unwrap()
            .len()
    };
    for answer in ["n\r", "\r", "nope\r", "\x04"] {
        let mut terminal = Terminal::start(&place, 80, &["dead", "discard", id]);
        terminal.see("Discard 1 dead letter? [y/N]");
        terminal.press(answer);
        let left = terminal.end();
        assert_eq!(left.code, 1, "{answer:?}: {}", left.text);
        assert!(left.text.contains("nothing was changed"), "{}", left.text);
        left.is_sane();
        assert_eq!(open(), 3, "{answer:?}");
    }
    let mut terminal = Terminal::start(&place, 80, &["dead", "discard", id]);
    terminal.see("[y/N]");
    terminal.press(CTRL_C);
    let left = terminal.end();
    assert_eq!(left.code, 130, "{}", left.text);
    left.is_sane();
    assert_eq!(open(), 3);

    let mut terminal = Terminal::start(&place, 80, &["dead", "discard", id]);
    terminal.see("[y/N]");
    terminal.press("y\r");
    let left = terminal.end();
    assert_eq!(left.code, 0, "{}", left.text);
    left.is_sane();
    assert_eq!(open(), 2);

    // Those that filters ask for are counted, shown by cause, and then asked about.
    let matching = [
        "dead",
        "discard",
        "--reason",
        "attempts_exhausted",
        "--note",
        "old",
    ];
    let mut terminal = Terminal::start(&place, 60, &matching);
    terminal.see("CAUSE");
    terminal.see("Discard 2 dead letters? [y/N]");
    terminal.press("yes\r");
    terminal.see("discarded 2 dead letters");
    let left = terminal.end();
    assert_eq!(left.code, 0, "{}", left.text);
    left.fits(60);
    left.is_sane();
    assert_eq!(open(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_progress_fits_and_ctrl_c_during_it_leaves_the_terminal_as_it_was() {
    for columns in [60, 80, 120] {
        let place = Place::new().with("RINGBACK_API__LISTEN", "127.0.0.1:0");
        give_up(&place).await;
        let plan = place.json(&["replays", "plan", "--reason", "a test"]);
        let id = plan["id"].as_str().unwrap();
        // Nobody runs plans: it would be watched for ever.
        let mut others = Process::start(&place, &["serve", "--roles", "api"]);
        others.wait_for("ready");
        let watch = ["replays", "start", id, "--yes", "--watch"];
        let mut terminal = Terminal::start(&place, columns, &watch);
        terminal.see("0/3");
        terminal.see("running");
        terminal.press(CTRL_C);
        let left = terminal.end();
        assert_eq!(left.code, 130, "{}", left.text);
        left.fits(columns);
        left.is_sane();
        let plan = place.json(&["replays", "show", id]);
        assert_eq!(
            plan["state"], "running",
            "the plan goes on without who watched it"
        );
    }
}
