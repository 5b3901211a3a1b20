//! `cargo x clients`: existing clients, unmodified and from PyPI, run their basic flow against the built server.

use std::path::PathBuf;

use crate::command::{Command, root};
use crate::python::{self, Packages};
use crate::test::Tally;

mod congruence;
mod server;

use server::{Access, Server};

/// One client: what to install, and the script in `clients/` that uses it.
pub(crate) struct Client {
    pub(crate) name: &'static str,
    /// Clients of one environment agree on the versions of what they share.
    environment: &'static str,
    packages: Packages,
    flow: &'static str,
    access: Access,
}

/// qdrant-client and LangChain in one environment, small enough for every run of the tests.
const SMALL: Packages = Packages {
    whole: &[
        "qdrant-client==1.20.0",
        "langchain-qdrant==1.1.0",
        "langchain-core==1.8.3",
    ],
    alone: &[],
};

const CLIENTS: &[Client] = &[
    Client {
        name: "qdrant-client",
        environment: "clients",
        packages: SMALL,
        flow: "qdrant_rest.py",
        access: Access::Credential,
    },
    Client {
        name: "langchain",
        environment: "clients",
        packages: SMALL,
        flow: "langchain_store.py",
        access: Access::Credential,
    },
    Client {
        name: "llama-index",
        environment: "clients-llama-index",
        packages: Packages {
            whole: &[
                "qdrant-client==1.20.0",
                "llama-index-vector-stores-qdrant==0.10.4",
                "llama-index-core==0.14.25",
            ],
            alone: &[],
        },
        flow: "llama_index_store.py",
        access: Access::Credential,
    },
    Client {
        name: "haystack",
        environment: "clients-haystack",
        packages: Packages {
            whole: &[
                "qdrant-client==1.20.0",
                "qdrant-haystack==13.1.0",
                "haystack-ai==3.4.1",
            ],
            alone: &[],
        },
        flow: "haystack_store.py",
        access: Access::Credential,
    },
    Client {
        name: "mem0",
        environment: "clients-mem0",
        packages: Packages {
            whole: &["qdrant-client==1.20.0", "mem0ai==2.2.1"],
            alone: &[],
        },
        flow: "mem0_store.py",
        access: Access::Credential,
    },
    Client {
        name: "vectordbbench",
        environment: "clients-vectordbbench",
        // Whole it is 1.2 GB; its client of Qdrant needs none of that.
        packages: Packages {
            whole: &["qdrant-client==1.20.0", "environs==15.2.0"],
            alone: &["vectordb-bench==2.0.0"],
        },
        flow: "vectordbbench_client.py",
        access: Access::Open,
    },
];

/// Those that every run of the tests includes.
const IN_TESTS: &[&str] = &["qdrant-client", "langchain"];

/// A client whose packages are there.
pub(crate) struct Ready {
    client: &'static Client,
    python: PathBuf,
}

/// Runs the flows of the clients named, or of all; a part of a name will do. `congruence` is a command of its own.
///
/// # Errors
/// When a flow fails. A client that cannot be installed is named with the reason.
pub(crate) fn run(arguments: &[String]) -> Result<(), String> {
    if let Some((name, rest)) = arguments.split_first()
        && name == "congruence"
    {
        return congruence::run(rest);
    }
    let chosen = choose(arguments)?;
    server::build()?;
    let mut report = Vec::new();
    let mut all = Tally::default();
    for client in chosen {
        println!("\n{}:", client.name);
        let line = match ready(client) {
            Ok(ready) => {
                let mut tally = Tally::default();
                ready.run(&mut tally)?;
                all.add(&tally);
                tally.closing_line()
            }
            Err(reason) => format!("cannot be installed: {reason}"),
        };
        report.push(format!("{:<15} {line}", client.name));
    }
    println!("\n{}", report.join("\n"));
    println!("{:<15} {}", "all", all.closing_line());
    all.outcome()
}

/// The clients that every run of the tests includes, or why one of them cannot be had.
pub(crate) fn ready_for_tests() -> Vec<Result<Ready, String>> {
    let included = CLIENTS.iter().filter(|client| IN_TESTS.contains(&client.name));
    included
        .map(|client| ready(client).map_err(|reason| format!("{} not run: {reason}", client.name)))
        .collect()
}

fn ready(client: &'static Client) -> Result<Ready, String> {
    let python = python::environment(client.environment, client.packages)?;
    Ok(Ready { client, python })
}

fn choose(names: &[String]) -> Result<Vec<&'static Client>, String> {
    let is_known = |name: &&String| CLIENTS.iter().any(|client| client.name.contains(name.as_str()));
    if let Some(unknown) = names.iter().find(|name| !is_known(name)) {
        let known: Vec<_> = CLIENTS.iter().map(|client| client.name).collect();
        return Err(format!("no client '{unknown}' among {}", known.join(", ")));
    }
    let is_chosen =
        |client: &&Client| names.is_empty() || names.iter().any(|name| client.name.contains(name.as_str()));
    Ok(CLIENTS.iter().filter(is_chosen).collect())
}

impl Ready {
    /// Runs the flow against a server of its own and counts its steps.
    pub(crate) fn run(&self, tally: &mut Tally) -> Result<(), String> {
        let Client {
            name,
            environment: _,
            packages: _,
            flow,
            access,
        } = self.client;
        let server = Server::start(name, *access)?;
        let before = tally.count();
        let flow = Command::new(&self.python)
            .args(&[root().join("clients").join(flow)])
            // Some clients leave files where they run.
            .current_dir(&server.directory)
            .env("OMENDB_URL", &server.url)
            .env("OMENDB_TOKEN", &server.token)
            .env("PYTHONDONTWRITEBYTECODE", "1");
        let is_ok = flow.watch(|line| tally.read(line))?;
        if tally.count() == before || !is_ok && tally.failed == 0 {
            println!("{name}: the flow ended without a result");
            tally.failed += 1;
        }
        Ok(())
    }
}
