//! Gets the programs that the tests need and Cargo does not bring.

use anyhow::{Context, Result, bail};
use ringback_testkit::servers::{
    AMQP_URL_VARIABLE, ChromeDriver, PrometheusServer, REDIS_URL_VARIABLE, RabbitServer,
    RedisServer,
};
use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Command, Stdio},
};

/// A program, how to tell whether it is there, and the packages of Debian-like systems that hold it.
struct Program {
    name: &'static str,
    is_there: fn() -> bool,
    packages: &'static [&'static str],
}

const PROGRAMS: [Program; 7] = [
    Program {
        name: "RabbitMQ 3.10 or later",
        is_there: || std::env::var_os(AMQP_URL_VARIABLE).is_some() || RabbitServer::is_installed(),
        packages: &["rabbitmq-server"],
    },
    Program {
        name: "Redis 7 or later",
        is_there: || std::env::var_os(REDIS_URL_VARIABLE).is_some() || RedisServer::is_installed(),
        packages: &["redis-server"],
    },
    Program {
        name: "Node.js 18 or later, with npm",
        is_there: || {
            let recent = "process.exit(parseInt(process.versions.node) >= 18 ? 0 : 1)";
            succeeds("node", &["-e", recent]) && succeeds("npm", &["--version"])
        },
        packages: &["nodejs", "npm"],
    },
    Program {
        name: "curl and jq",
        is_there: || succeeds("curl", &["--version"]) && succeeds("jq", &["--version"]),
        packages: &["curl", "jq"],
    },
    Program {
        name: "Python 3 with venv",
        is_there: || succeeds("python3", &["-c", "import ensurepip, venv"]),
        packages: &["python3", "python3-venv"],
    },
    Program {
        name: "Chromium and its driver",
        is_there: ChromeDriver::is_installed,
        packages: &["chromium", "chromium-driver"],
    },
    Program {
        name: "Prometheus",
        is_there: PrometheusServer::is_installed,
        packages: &["prometheus"],
    },
];

/// Installs what is missing where that is possible, else says what to do.
pub(crate) fn missing_programs() -> Result<()> {
    let missing = || PROGRAMS.iter().filter(|program| !(program.is_there)());
    let packages: Vec<_> = missing()
        .flat_map(|program| program.packages)
        .copied()
        .collect();
    if packages.is_empty() {
        return Ok(());
    }
    if is_root() && succeeds("apt-get", &["--version"]) {
        eprintln!("installing {packages:?}");
        let _hold = ServiceHold::take()?;
        apt_get(&["update", "-q"])?;
        let install = ["install", "-qy", "--no-install-recommends"];
        apt_get(&[&install, packages.as_slice()].concat())?;
    }
    let missing: Vec<_> = missing().map(|program| program.name).collect();
    if missing.is_empty() {
        return Ok(());
    }
    bail!(
        "the tests need {} (hint: install them, or, for the two servers, run `docker compose -f deploy/compose/test-servers.yml up -d` and set {AMQP_URL_VARIABLE} \
         and {REDIS_URL_VARIABLE} as that file says)",
        missing.join(", ")
    )
}

fn apt_get(args: &[&str]) -> Result<()> {
    let status = Command::new("apt-get")
        .args(args)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .stdin(Stdio::null())
        .status()
        .context("could not run apt-get")?;
    if !status.success() {
        bail!("apt-get ended with {status}");
    }
    Ok(())
}

fn succeeds(program: &str, args: &[&str]) -> bool {
    Command::new(program)
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// While it lives, packages do not start their services: Debian's `policy-rc.d`, unless the machine has one of its own.
struct ServiceHold {
    is_ours: bool,
}

const POLICY: &str = "/usr/sbin/policy-rc.d";

impl ServiceHold {
    fn take() -> Result<Self> {
        if Path::new(POLICY).exists() {
            return Ok(Self { is_ours: false });
        }
        let hold = Self { is_ours: true };
        fs::write(POLICY, "#!/bin/sh\nexit 101\n")
            .and_then(|()| fs::set_permissions(POLICY, fs::Permissions::from_mode(0o755)))
            .context("could not tell the package manager to leave services stopped")?;
        Ok(hold)
    }
}

impl Drop for ServiceHold {
    fn drop(&mut self) {
        if self.is_ours {
            let _ = fs::remove_file(POLICY);
        }
    }
}
