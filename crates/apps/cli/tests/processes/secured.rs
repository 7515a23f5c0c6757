//! An installation set up as `deploy/` says: everything over TLS, each role as a user of its own.

use crate::{
    installation::{Ground, Installation},
    process::Process,
};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use ringback_testkit::servers::{
    RabbitOptions, RabbitServer, RedisOptions, RedisServer, free_port,
};
use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::sleep,
};

/// Of every user.
pub(crate) const PASSWORD: &str = "PasswordOfATest";
/// A project with a webhook's secrets and retries by the standard profile.
pub(crate) const SIGNED: &str = "signed";
const USERS: [&str; 4] = ["topology", "worker", "api", "producer"];
const POLL: Duration = Duration::from_millis(100);
/// How often a test looks before it gives up: a minute.
const LOOKS_MAX: usize = 600;

/// Servers of its own, set up with the files of `deploy/`.
pub(crate) struct Secured {
    installation: Installation,
    rabbitmq_port: u16,
    redis_port: u16,
    pub(crate) rabbitmq: RabbitServer,
    pub(crate) redis: RedisServer,
    files: TempDir,
}

/// What a command came to.
pub(crate) struct Ran {
    pub(crate) is_success: bool,
    pub(crate) said: String,
}

impl Secured {
    pub(crate) async fn new() -> Self {
        let files = tempfile::tempdir().unwrap();
        certify(files.path());
        let (rabbitmq_port, redis_port) = (free_port(), free_port());
        let folder = files.path().to_owned();
        let starting = tokio::task::spawn_blocking(move || {
            (
                start_rabbitmq(&folder, rabbitmq_port),
                start_redis(&folder, redis_port),
            )
        });
        let (rabbitmq, redis) = starting.await.unwrap();
        let ca = files.path().join("ca.pem");
        let more = format!(
            "rabbitmq.declare = false\nrabbitmq.ca_file = \"{0}\"\nredis.ca_file = \"{0}\"\n[projects.{SIGNED}]\nprofile = \"standard\"\n",
            ca.display()
        );
        Self {
            installation: Installation::with(Ground::Embedded, &more),
            rabbitmq_port,
            redis_port,
            rabbitmq,
            redis,
            files,
        }
    }

    pub(crate) fn ca(&self) -> PathBuf {
        self.files.path().join("ca.pem")
    }

    /// Where Redis is spoken to by TLS.
    pub(crate) fn redis_port(&self) -> u16 {
        self.redis_port
    }

    pub(crate) fn broker(&self, user: &str) -> String {
        let port = self.rabbitmq_port;
        format!("amqps://ringback-{user}:{PASSWORD}@127.0.0.1:{port}/ringback")
    }

    pub(crate) fn command(&self, user: &str, arguments: &[&str]) -> tokio::process::Command {
        let mut command = self.installation.command(arguments);
        command.envs(self.variables(user));
        command
    }

    /// What makes every command one of this installation, by this user.
    pub(crate) fn variables(&self, user: &str) -> [(&'static str, String); 4] {
        let port = self.redis_port;
        let store = format!("rediss://ringback:{PASSWORD}@127.0.0.1:{port}/");
        let config = self.installation.config_path().display().to_string();
        [
            ("RINGBACK_CONFIG", config),
            ("RINGBACK_PREFIX", "ringback".to_owned()),
            ("RINGBACK_BROKER", self.broker(user)),
            ("RINGBACK_STORE", store),
        ]
    }

    pub(crate) async fn run(&self, user: &str, arguments: &[&str]) -> Ran {
        let output = self.command(user, arguments).output().await.unwrap();
        let said = [output.stdout, output.stderr].concat();
        Ran {
            is_success: output.status.success(),
            said: String::from_utf8(said).unwrap(),
        }
    }

    pub(crate) async fn serve(&self, user: &str, roles: &str) -> Process {
        let mut process = Process::start(self.command(user, &["serve", "--roles", roles]));
        process.says(": ready ").await;
        process
    }

    /// Waits until so many deliveries were given up; the newest of their dead letters.
    pub(crate) async fn wait_for_dead_letters(&self, count: usize) -> String {
        for _ in 0..LOOKS_MAX {
            let listed = self.run("api", &["dead", "list", "-o", "json"]).await;
            let mut ids = listed.said.split("\"id\": \"").skip(1);
            if listed.said.matches("\"died_at\"").count() >= count
                && let Some(id) = ids.next()
            {
                return id.split('"').next().expect("a piece").to_owned();
            }
            sleep(POLL).await;
        }
        panic!("no {count} dead letters came");
    }

    /// Says this as a user of Redis; the answer.
    pub(crate) async fn tell_redis(&self, user: &str, command: &str) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.redis.port()))
            .await
            .unwrap();
        let mut answer = String::new();
        for line in [&format!("AUTH {user} {PASSWORD}"), command] {
            stream
                .write_all(format!("{line}\r\n").as_bytes())
                .await
                .unwrap();
            let mut bytes = [0; 512];
            let length = stream.read(&mut bytes).await.unwrap();
            answer = String::from_utf8_lossy(&bytes[..length]).into_owned();
        }
        answer
    }
}

/// An authority of our own, and a certificate for this machine.
fn certify(folder: &Path) {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
    // With the authority's own name, as by default, OpenSSL takes it for one that signed itself.
    params
        .distinguished_name
        .push(DnType::CommonName, "a server of a test");
    let certificate = params.signed_by(&key, &authority).unwrap();
    fs::write(folder.join("ca.pem"), authority.pem()).unwrap();
    fs::write(folder.join("server.pem"), certificate.pem()).unwrap();
    fs::write(folder.join("server.key"), key.serialize_pem()).unwrap();
}

pub(crate) fn deploy(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../../deploy")
        .join(name)
}

fn start_rabbitmq(tls: &Path, port: u16) -> RabbitServer {
    let file = |name| tls.join(name).display().to_string();
    let conf = format!(
        "listeners.ssl.default = 127.0.0.1:{port}\n\
         ssl_options.cacertfile = {}\nssl_options.certfile = {}\nssl_options.keyfile = {}\n",
        file("ca.pem"),
        file("server.pem"),
        file("server.key"),
    );
    let server = RabbitServer::start(&RabbitOptions { conf }).unwrap();
    let definitions = deploy("rabbitmq/definitions.json");
    let definitions = definitions.to_str().unwrap();
    server
        .rabbitmqctl(&["import_definitions", definitions])
        .unwrap();
    for user in USERS {
        let user = format!("ringback-{user}");
        server
            .rabbitmqctl(&["change_password", &user, PASSWORD])
            .unwrap();
    }
    server
}

fn start_redis(tls: &Path, port: u16) -> RedisServer {
    let users = fs::read_to_string(deploy("redis/users.acl")).unwrap();
    let password = format!(">{PASSWORD}");
    let users = users.replace("#REPLACE-WITH-SHA256-OF-THE-PASSWORD", &password);
    assert!(users.contains(&password));
    let acl = tls.join("users.acl");
    fs::write(&acl, users).unwrap();
    // Where the files lie is all that is changed of what is shipped.
    let config = fs::read_to_string(deploy("redis/server.conf")).unwrap();
    let shipped = deploy("redis/redis.conf").display().to_string();
    let config = config
        .replace("/etc/redis/ringback/redis.conf", &shipped)
        .replace("/etc/redis/ringback", &tls.display().to_string())
        .replace("/etc/redis/tls", &tls.display().to_string());
    assert!(!config.contains("/etc/"), "{config}");
    let file = tls.join("server.conf");
    fs::write(&file, config).unwrap();
    let options = RedisOptions {
        config: Some(file),
        args: ["--tls-port", &port.to_string()].map(String::from).into(),
        ..RedisOptions::default()
    };
    RedisServer::start(options).unwrap()
}
