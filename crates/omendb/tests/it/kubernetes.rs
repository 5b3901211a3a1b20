//! The manifests of deploy/kubernetes are valid, fit together, and their credentials do what they say.

use std::fmt::Write as _;
use std::process::Command;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::consumers::{Monitor, provided};
use crate::server::{Directory, Server};
use crate::shipped::{root, succeeds};

/// Prints the documents of a YAML file as one JSON list.
const TO_JSON: &str = "
import json, sys, yaml
print(json.dumps(list(yaml.safe_load_all(open(sys.argv[1])))))
";

/// The documents of a file of deploy/kubernetes; none without the reader.
fn documents(file: &str) -> Option<Vec<Value>> {
    let python = provided("OMENDB_TEST_PYTHON")?;
    let path = root().join("deploy/kubernetes").join(file);
    let output = Command::new(python).args(["-c", TO_JSON]).arg(path).output();
    let output = output.expect("python starts");
    assert!(output.status.success(), "{file}: {output:?}");
    Some(serde_json::from_slice(&output.stdout).expect("the documents are JSON"))
}

fn named<'a>(documents: &'a [Value], kind: &str, name: &str) -> &'a Value {
    let is_it = |document: &&Value| document["kind"] == kind && document["metadata"]["name"] == name;
    let found = documents.iter().find(is_it);
    found.unwrap_or_else(|| unreachable!("no {kind} {name}"))
}

/// Whether all of `wanted` is among `labels`.
fn selects(wanted: &Value, labels: &Value) -> bool {
    let wanted = wanted.as_object().expect("a selector is an object");
    !wanted.is_empty() && wanted.iter().all(|(key, value)| labels[key] == *value)
}

#[test]
fn kubernetes_accepts_the_manifests_strictly() {
    let Some(python) = provided("OMENDB_TEST_PYTHON") else {
        return;
    };
    let mut command = Command::new(python.with_file_name("kubernetes-validate"));
    command
        .args(["--strict", "omendb.yaml", "secrets.example.yaml"])
        .current_dir(root().join("deploy/kubernetes"));
    succeeds(command);
}

#[test]
fn the_pod_is_locked_down_and_probed_on_routes_that_answer() {
    let Some(documents) = documents("omendb.yaml") else {
        return;
    };
    let set = named(&documents, "StatefulSet", "omendb");
    let pod = &set["spec"]["template"]["spec"];
    let container = &pod["containers"][0];
    assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
    assert_eq!(container["securityContext"]["readOnlyRootFilesystem"], true);
    assert_eq!(container["securityContext"]["allowPrivilegeEscalation"], false);
    let server = Server::start();
    for (probe, path) in [("livenessProbe", "/livez"), ("readinessProbe", "/health")] {
        assert_eq!(container[probe]["httpGet"]["path"], path);
        assert_eq!(server.client().get(path).status, 200);
    }
    let labels = &set["spec"]["template"]["metadata"]["labels"];
    assert!(selects(&set["spec"]["selector"]["matchLabels"], labels));
    for name in ["omendb", "omendb-metrics"] {
        let service = named(&documents, "Service", name);
        assert!(selects(&service["spec"]["selector"], labels), "{name}");
        let port = &service["spec"]["ports"][0]["targetPort"];
        assert_eq!(port, &container["ports"][0]["name"], "{name}");
    }
}

#[test]
fn the_service_monitor_finds_the_service_and_the_token() {
    let (Some(documents), Some(monitors), Some(secrets)) = (
        documents("omendb.yaml"),
        documents("servicemonitor.yaml"),
        documents("secrets.example.yaml"),
    ) else {
        return;
    };
    let service = named(&documents, "Service", "omendb-metrics");
    let metadata = &service["metadata"];
    assert_eq!(metadata["labels"]["app"], "omendb");
    for (key, value) in [("scrape", "true"), ("port", "8080"), ("path", "/metrics")] {
        assert_eq!(metadata["annotations"][format!("prometheus.io/{key}")], value);
    }
    let secret = named(&secrets, "Secret", "omendb-metrics-token");

    let monitor = named(&monitors, "ServiceMonitor", "omendb");
    let wanted = &monitor["spec"]["selector"]["matchLabels"];
    assert!(selects(wanted, &metadata["labels"]));
    // The other Service leads to the same pods, and would have every figure twice.
    assert!(!selects(
        wanted,
        &named(&documents, "Service", "omendb")["metadata"]["labels"]
    ));
    // The rules ask for job="omendb".
    let job = monitor["spec"]["jobLabel"].as_str().expect("a label for the job");
    assert_eq!(metadata["labels"][job], "omendb");
    let endpoint = &monitor["spec"]["endpoints"][0];
    assert_eq!(endpoint["port"], service["spec"]["ports"][0]["name"]);
    let credentials = &endpoint["authorization"]["credentials"];
    assert_eq!(credentials["name"], secret["metadata"]["name"]);
    let key = credentials["key"].as_str().expect("a key of the secret");
    assert!(secret["stringData"][key].is_string(), "{key}");
}

#[test]
fn the_scrape_job_finds_the_annotated_service_alone() {
    let (Some(prometheus), Some(documents), Some(mut jobs), Some(secrets)) = (
        provided("OMENDB_TEST_PROMETHEUS"),
        documents("omendb.yaml"),
        documents("scrape.yml"),
        documents("secrets.example.yaml"),
    ) else {
        return;
    };
    let job = &mut jobs[0]["scrape_configs"][0];
    let file = job["authorization"]["credentials_file"].as_str().expect("a file");
    let (_, key) = file.rsplit_once('/').expect("a path");
    let secret = named(&secrets, "Secret", "omendb-metrics-token");
    assert!(secret["stringData"][key].is_string(), "{key}");

    let directory = Directory::new();
    let token = directory.token("prometheus", &["--permission", "metrics:read"]);
    let server = Server::start_in(&directory, &[]);
    let token_file = directory.path().join("token");
    std::fs::write(&token_file, token).expect("the token can be written");
    job["authorization"]["credentials_file"] = token_file.display().to_string().into();
    // No Kubernetes here, and Debian's Prometheus knows none: these are the labels by which it describes our Services.
    let fields = job.as_object_mut().expect("a job is an object");
    assert!(fields.remove("kubernetes_sd_configs").is_some());
    let targets: Vec<Value> = ["omendb", "omendb-metrics"]
        .map(|name| target(named(&documents, "Service", name), &server))
        .into();
    job["static_configs"] = targets.into();
    job["scrape_interval"] = "1s".into();
    let file = directory.path().join("kubernetes.yml");
    std::fs::write(&file, jobs[0].to_string()).expect("the job can be written");
    let mut monitor = Monitor::prometheus_with(prometheus, &file, directory.path(), &[]);
    assert_eq!(
        monitor.value(r#"up{job="omendb",namespace="data",pod="omendb-0"}"#),
        1.0
    );
    assert_eq!(monitor.value("count(up)"), 1.0, "the other Service is no target");
}

/// The server as a target of Kubernetes' discovery, behind `service`.
fn target(service: &Value, server: &Server) -> Value {
    let mut labels = json!({
        "__meta_kubernetes_namespace": "data",
        "__meta_kubernetes_pod_name": "omendb-0",
        "__meta_kubernetes_service_name": service["metadata"]["name"],
    });
    let annotations = service["metadata"]["annotations"].as_object();
    for (key, value) in annotations.into_iter().flatten() {
        let label = key.replace(|c: char| !c.is_ascii_alphanumeric(), "_");
        labels[format!("__meta_kubernetes_service_annotation_{label}")] = value.clone();
    }
    let port = "__meta_kubernetes_service_annotation_prometheus_io_port";
    if labels[port].is_string() {
        labels[port] = server.address().port().to_string().into();
    }
    json!({"targets": [format!("127.0.0.1:{}", server.address().port())], "labels": labels})
}

#[test]
fn the_secret_lets_the_scraper_read_metrics_and_nothing_else() {
    let (Some(documents), Some(secrets)) = (documents("omendb.yaml"), documents("secrets.example.yaml"))
    else {
        return;
    };
    let tokens = &named(&secrets, "Secret", "omendb-tokens")["stringData"]["tokens.json"];
    let mut tokens: Value = serde_json::from_str(tokens.as_str().expect("a file")).expect("the file is JSON");
    for token in tokens["tokens"].as_array_mut().expect("a list") {
        assert_eq!(token["hash"], "sha256:REPLACE");
        let mut hash = "sha256:".to_owned();
        for byte in Sha256::digest(secret_of(&token["name"])) {
            write!(hash, "{byte:02x}").expect("writing to a string cannot fail");
        }
        token["hash"] = hash.into();
    }
    let directory = Directory::new();
    let file = directory.path().join("tokens.json");
    std::fs::write(&file, tokens.to_string()).expect("the tokens can be written");
    // The container's own settings, except where it lies and listens.
    let set = named(&documents, "StatefulSet", "omendb");
    let mut arguments = vec!["--auth-tokens-file".to_owned(), file.display().to_string()];
    let variables = &set["spec"]["template"]["spec"]["containers"][0]["env"];
    for variable in variables.as_array().expect("a list") {
        let name = variable["name"]
            .as_str()
            .and_then(|name| name.strip_prefix("OMENDB_"));
        let name = name.expect("a setting of ours");
        if !["LISTEN", "DATA_DIR", "AUTH_TOKENS_FILE"].contains(&name) {
            arguments.push(format!("--{}", name.to_lowercase().replace('_', "-")));
            arguments.push(variable["value"].as_str().expect("a value").to_owned());
        }
    }
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let server = Server::start_in(&directory, &arguments);
    let mut scraper = server.client_with(&secret_of(&"prometheus".into()));
    assert_eq!(scraper.get("/metrics").status, 200);
    assert_eq!(scraper.get("/collections").status, 403);
    let mut application = server.client_with(&secret_of(&"application".into()));
    assert_eq!(application.get("/collections").status, 200);
    assert_eq!(application.get("/metrics").status, 403);
    assert_eq!(server.client().get("/collections").status, 401);
}

/// The secret that this test gives to the token `name`.
fn secret_of(name: &Value) -> String {
    format!(
        "a-secret-of-forty-letters-or-more-for-{}",
        name.as_str().expect("a name")
    )
}
