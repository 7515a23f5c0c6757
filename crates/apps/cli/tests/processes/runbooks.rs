//! The commands of docs/operations.md, in the order they stand there, run against a real broker and store.

use crate::{
    desk::event,
    installation::{EVENT_HEADER, UNFORGIVING},
    secured::{PASSWORD, SIGNED, Secured, deploy},
};
use ringback_testkit::receiver::{Answer, Receiver};
use std::{
    collections::HashSet,
    ffi::OsString,
    fs,
    path::Path,
    process::{Output, Stdio},
    time::Duration,
};
use tempfile::TempDir;
use tokio::{io::AsyncWriteExt, process::Command, time::sleep};

/// What runs on other machines than ours, and is only read here.
const NOT_RUN: [&str; 2] = ["systemctl", "kubectl"];
/// Where the secrets are that these pages name.
const SECRETS: &str = "/etc/ringback/secrets";
/// Deliveries that die before the receiver is repaired.
const DEAD_LETTERS: usize = 4;
const POLL: Duration = Duration::from_millis(100);
/// How often a test looks before it gives up: a minute.
const LOOKS_MAX: usize = 600;
/// The first command of the nightly copy, before which there is something to copy.
const COPY: &str = "ringback webhooks export ";
/// The first command that restores, before which Redis is lost.
const RESTORE: &str = "ringback webhooks import ";
/// The event of a dead letter that is copied, lost and restored.
const COPIED: &str = "evt_copied";

#[tokio::test(flavor = "multi_thread")]
async fn every_command_of_the_runbooks_does_what_its_page_says() {
    let commands = commands();
    assert!(commands.len() > 50, "{} commands", commands.len());
    let mut operator = Operator::new().await;
    let (worker, api) = (
        operator.place.serve("worker", "dispatch,deliver,replay"),
        operator.place.serve("api", "api"),
    );
    let (worker, api) = (worker.await, api.await);
    operator.suffer_an_outage().await;

    let mut run_before = HashSet::new();
    for command in commands {
        let is_set = |word: &&str| word.contains('=');
        let program = command.split(' ').find(|word| !is_set(word));
        let is_blank = |word: &str| word.chars().all(|c| c.is_ascii_uppercase() || c == '_');
        let is_to_be_filled_in = command.split(' ').any(is_blank);
        if !run_before.insert(command.clone()) && !is_to_be_filled_in {
            // Looking twice at the same thing takes seconds and shows nothing new.
            continue;
        }
        match program.expect("a word") {
            "ringback" if command.starts_with("ringback serve ") => {
                let roles = command.rsplit(' ').next().expect("a word");
                operator.place.serve("worker", roles).await.stop().await;
            }
            "ringback" => {
                if command.starts_with(COPY) {
                    operator.suffer_once_more().await;
                } else if command.starts_with(RESTORE) {
                    operator.lose_redis().await;
                }
                operator.run(&command).await;
            }
            "rabbitmqctl" => operator.tell_rabbitmq(&command),
            "redis-cli" => operator.ask_redis(&command).await,
            other => assert!(NOT_RUN.contains(&other), "`{command}` is run by nobody"),
        }
    }
    operator.send_what_was_restored().await;
    for process in [worker, api] {
        process.stop().await;
    }
}

#[test]
fn every_alert_names_a_page_that_is_there() {
    let manual = manual();
    let pages: HashSet<_> = manual
        .lines()
        .filter_map(|line| line.strip_prefix("## "))
        .map(|title| title.to_lowercase().replace(' ', "-"))
        .collect();
    let rules = fs::read_to_string(deploy("prometheus/rules/ringback.yml")).unwrap();
    let named = rules
        .lines()
        .filter_map(|line| line.trim().strip_prefix("runbook: docs/operations.md#"));
    let named: Vec<_> = named.collect();
    assert_eq!(named.len(), rules.matches("- alert: ").count());
    for page in named {
        assert!(pages.contains(page), "there is no page `{page}`");
    }
    for alert in rules.split("- alert: ").skip(1) {
        let name = alert.lines().next().expect("a name");
        assert!(
            manual.contains(&format!("`{name}`")),
            "{name} leads nowhere"
        );
    }
}

fn manual() -> String {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../docs/operations.md");
    fs::read_to_string(file).unwrap()
}

/// The lines of all fenced blocks.
fn commands() -> Vec<String> {
    let mut commands = Vec::new();
    let mut inside = false;
    for line in manual().lines() {
        match line {
            "```sh" => inside = true,
            "```" => inside = false,
            command if inside => commands.push(command.to_owned()),
            _ => {}
        }
    }
    commands
}

/// Who is called at night.
struct Operator {
    place: Secured,
    /// Where they stand.
    folder: TempDir,
    receiver: Receiver,
    /// A webhook that works, and one whose receiver was down.
    webhook: String,
    broken: String,
}

impl Operator {
    async fn new() -> Self {
        let place = Secured::new().await;
        let made = place.run("topology", &["topology", "apply"]).await;
        assert!(made.is_success, "{}", made.said);
        let folder = tempfile::tempdir().unwrap();
        let topology = folder.path().join("broker-topology");
        fs::write(topology, place.broker("topology")).unwrap();
        let receiver = Receiver::start().await;
        receiver.script("/well", [Answer::status(200)]);
        let mut answers = vec![Answer::status(500); DEAD_LETTERS];
        answers.push(Answer::status(200));
        receiver.script("/down", answers);
        let mut operator = Self {
            place,
            folder,
            webhook: String::new(),
            broken: String::new(),
            receiver,
        };
        operator.webhook = operator.register(SIGNED, "/well").await;
        operator.broken = operator.register(UNFORGIVING, "/down").await;
        operator
    }

    async fn register(&self, project: &str, path: &str) -> String {
        let url = self.receiver.url(path);
        self.first_of(&format!("webhooks add {url} --project {project}"), "id")
            .await
    }

    async fn suffer_an_outage(&self) {
        let ids: Vec<_> = (0..DEAD_LETTERS)
            .map(|number| format!("evt_{number}"))
            .collect();
        self.publish(&ids).await;
        self.receiver.wait_for("/down", DEAD_LETTERS).await;
        self.place.wait_for_dead_letters(DEAD_LETTERS).await;
    }

    async fn publish(&self, ids: &[String]) {
        let mut lines = String::new();
        for id in ids {
            let event = event(UNFORGIVING, id, 20);
            lines.push_str(std::str::from_utf8(&event).unwrap());
            lines.push('\n');
        }
        fs::write(self.folder.path().join("events"), lines).unwrap();
        self.run("ringback publish events").await;
    }

    /// One more is given up, so that there is an open dead letter to copy.
    async fn suffer_once_more(&self) {
        self.receiver
            .script("/down", [Answer::status(500), Answer::status(200)]);
        self.publish(&[COPIED.to_owned()]).await;
        for _ in 0..LOOKS_MAX {
            if self.copied_letter().await.is_some() {
                return;
            }
            sleep(POLL).await;
        }
        panic!("{COPIED} was not given up");
    }

    async fn copied_letter(&self) -> Option<String> {
        let list = format!("ringback dead list --text {COPIED} -o json");
        let printed = told(&self.shell(&list).await);
        let (_, rest) = printed.split_once("\"id\": \"")?;
        rest.split('"').next().map(str::to_owned)
    }

    /// Redis comes back with nothing in it.
    async fn lose_redis(&mut self) {
        let redis = &mut self.place.redis;
        redis.stop();
        for entry in fs::read_dir(redis.folder()).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                fs::remove_dir_all(path).unwrap();
            } else {
                fs::remove_file(path).unwrap();
            }
        }
        redis.restart().unwrap();
        let listed = self.shell("ringback webhooks list").await;
        let listed = told(&listed);
        assert!(!listed.contains(&self.broken), "{listed}");
        assert_eq!(self.copied_letter().await, None);
    }

    /// What came back from the copies is delivered, to the webhook that it was for.
    async fn send_what_was_restored(&self) {
        let letter = self.copied_letter().await.expect("it was imported");
        let before = self.receiver.received("/down").len();
        self.run(&format!("ringback dead replay {letter}")).await;
        let received = self.receiver.wait_for("/down", before + 1).await;
        let last = received.last().expect("it was waited for");
        assert_eq!(last.header(EVENT_HEADER), Some(COPIED));
    }

    /// Runs a command as the shell does, with what is to be filled in.
    async fn run(&self, command: &str) {
        let filled = self.fill_in(command).await;
        let output = self.shell(&format!("{filled} --yes")).await;
        // It finds fault with the networks that are opened here.
        let is_fine = output.status.success()
            || command == "ringback doctor" && output.status.code() == Some(1);
        assert!(is_fine, "{filled}: {}", told(&output));
    }

    async fn fill_in(&self, command: &str) -> String {
        let mut filled = command.to_owned();
        let dead = format!("dead list --all --destination {}", self.broken);
        for (word, list, member) in [
            ("CAUSE", dead.as_str(), "fingerprint"),
            ("DEAD_LETTER", &dead.replace(" --all", ""), "id"),
            ("DELIVERY", &dead, "delivery"),
            ("PLAN", "replays list", "id"),
            ("KEY", "keys list", "id"),
        ] {
            if filled.split(' ').any(|part| part == word) {
                filled = filled.replace(word, &self.first_of(list, member).await);
            }
        }
        filled
            .replace("DATE", "$(date +%F)")
            .replace("WEBHOOK", &self.webhook)
            .replace("PROJECT", SIGNED)
    }

    /// The first value of this member in what a command prints.
    async fn first_of(&self, command: &str, member: &str) -> String {
        let output = self.shell(&format!("ringback {command} -o json")).await;
        let printed = told(&output);
        let value = printed
            .split_once(&format!("\"{member}\": \""))
            .and_then(|(_, rest)| rest.split('"').next());
        value
            .unwrap_or_else(|| panic!("{command}: no {member} in {printed}"))
            .to_owned()
    }

    async fn shell(&self, line: &str) -> Output {
        let folder = self.folder.path();
        let line = line.replace(SECRETS, folder.to_str().unwrap());
        let mut variables: Vec<_> = self.place.variables("api").into();
        variables.retain(|(name, _)| !line.starts_with(&format!("{name}_FILE=")));
        let program = Path::new(env!("CARGO_BIN_EXE_ringback"));
        let programs = [
            program.parent().expect("it is in a folder").as_os_str(),
            ":".as_ref(),
            &std::env::var_os("PATH").unwrap_or_default(),
        ];
        let mut shell = Command::new("sh");
        shell
            .args(["-c", &line])
            .env_clear()
            .env("PATH", OsString::from_iter(programs))
            .envs(variables)
            .current_dir(folder);
        shell.output().await.unwrap()
    }

    fn tell_rabbitmq(&self, command: &str) {
        let definitions = deploy("rabbitmq").display().to_string();
        let command = command
            .replace("deploy/rabbitmq", &definitions)
            .replace("NEW_PASSWORD", PASSWORD);
        let words: Vec<_> = command.split(' ').skip(1).collect();
        self.place.rabbitmq.rabbitmqctl(&words).unwrap();
    }

    async fn ask_redis(&self, command: &str) {
        let ca = self.place.ca();
        let command = command.replace("/etc/redis/tls/ca.pem", ca.to_str().unwrap());
        let mut asked = Command::new("redis-cli")
            .args(["-p", &self.place.redis_port().to_string()])
            .args(command.split(' ').skip(1))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut input = asked.stdin.take().expect("a pipe");
        let password = format!("{PASSWORD}\n");
        input.write_all(password.as_bytes()).await.unwrap();
        drop(input);
        let printed = told(&asked.wait_with_output().await.unwrap());
        let is_answered = ["PONG", "loading:0", "OK"];
        assert!(
            is_answered.iter().any(|answer| printed.contains(answer)),
            "{command}: {printed}"
        );
    }
}

fn told(output: &Output) -> String {
    let all = [&output.stdout[..], &output.stderr].concat();
    String::from_utf8(all).unwrap()
}
