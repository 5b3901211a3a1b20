//! `omendb health`: a health check for containers without curl.

use std::fmt::Write as _;
use std::io::{self, Read as _, Write as _};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::time::Duration;

use clap::{Arg, ArgAction, ArgMatches, Command};
use serde_json::Value;

use crate::cli::{FAILED, OK, USAGE, complain, configuration, environment, say};

/// How long each step may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// Longest answer read, bytes.
const LONGEST_ANSWER: u64 = 1 << 20;

pub(super) fn command() -> Command {
    let url = Arg::new("url").long("url").value_name("URL");
    Command::new("health")
        .about("Exit with 0 if the server is healthy, with 1 if not")
        .arg(url.help("The server [OMENDB_URL] [default: http:// and the configured listen address]"))
        .arg(
            Arg::new("config")
                .long("config")
                .value_name("FILE")
                .help("The server's configuration file"),
        )
        .arg(Arg::new("token-file").long("token-file").value_name("FILE").help(
            "File with a token that may read metrics: prints every component, with what is wrong with it",
        ))
        .arg(
            Arg::new("json")
                .long("json")
                .action(ArgAction::SetTrue)
                .help("Print the answer as it came"),
        )
}

pub(super) fn run(matches: &ArgMatches) -> u8 {
    let by_variable = || {
        environment()
            .into_iter()
            .find(|(name, _)| name == "OMENDB_URL")
            .map(|(_, url)| url)
    };
    let url = match matches.get_one::<String>("url").cloned().or_else(by_variable) {
        Some(url) => url,
        None => match configuration(matches, Vec::new()) {
            Ok(config) => format!("http://{}", reachable(config.listen)),
            Err(error) => {
                complain(format!("configuration: {error}"));
                return USAGE;
            }
        },
    };
    let Some(authority) = authority(&url) else {
        complain(format!("--url = \"{url}\": expected http://HOST:PORT"));
        return USAGE;
    };
    let token = match matches
        .get_one::<String>("token-file")
        .map(std::fs::read_to_string)
    {
        Some(Err(error)) => {
            complain(format!("--token-file: {error}"));
            return USAGE;
        }
        Some(Ok(text)) => Some(text.trim().to_owned()),
        None => None,
    };
    if token
        .as_ref()
        .is_some_and(|token| !token.bytes().all(|byte| byte.is_ascii_graphic()))
    {
        complain("--token-file: expected a token on one line");
        return USAGE;
    }
    match ask(&authority, token.as_deref()) {
        Ok((status, body)) => {
            let for_people = (!matches.get_flag("json")).then(|| for_people(&body)).flatten();
            say(for_people.as_ref().unwrap_or(&body));
            if status == 200 { OK } else { FAILED }
        }
        Err(error) => {
            complain(format!("{url}: {error}"));
            FAILED
        }
    }
}

/// A server that listens on every address is asked on loopback.
fn reachable(listen: std::net::SocketAddr) -> std::net::SocketAddr {
    use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip @ (IpAddr::V4(_) | IpAddr::V6(_)) => ip,
    };
    SocketAddr::new(ip, listen.port())
}

/// Host and port of `http://HOST[:PORT][/]`.
fn authority(url: &str) -> Option<String> {
    let rest = url.strip_prefix("http://")?;
    let authority = rest.split('/').next().filter(|authority| !authority.is_empty())?;
    let has_port = authority
        .rsplit_once(':')
        .is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    Some(if has_port {
        authority.to_owned()
    } else {
        format!("{authority}:80")
    })
}

/// Status and body of `GET /health`.
fn ask(authority: &str, token: Option<&str>) -> io::Result<(u16, String)> {
    let unreachable = || io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    let address = authority.to_socket_addrs()?.next().ok_or_else(unreachable)?;
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let credential = token.map_or_else(String::new, |token| format!("authorization: Bearer {token}\r\n"));
    write!(
        stream,
        "GET /health HTTP/1.1\r\nhost: {authority}\r\n{credential}connection: close\r\n\r\n"
    )?;
    let mut answer = String::new();
    stream.take(LONGEST_ANSWER).read_to_string(&mut answer)?;
    let malformed = || io::Error::new(io::ErrorKind::InvalidData, "the answer is not HTTP");
    let (head, body) = answer.split_once("\r\n\r\n").ok_or_else(malformed)?;
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok())
        .ok_or_else(malformed)?;
    Ok((status, body.to_owned()))
}

/// The answer for people: the status of the whole, then a line for each component that it tells of.
fn for_people(body: &str) -> Option<String> {
    let body: Value = serde_json::from_str(body).ok()?;
    let mut text = body["status"].as_str()?.to_owned();
    for component in body["components"].as_array().into_iter().flatten() {
        let (name, status) = (component["name"].as_str()?, component["status"].as_str()?);
        let since = component["since"].as_str()?;
        // Writing to a string does not fail.
        let _ = write!(text, "\n{name:12} {status:9}  since {since}");
        if let Some(reason) = component["reason"].as_str() {
            let _ = write!(text, "  {reason}");
        }
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_is_optional_and_https_is_not_ours() {
        let check =
            |url: &str, expected: Option<&str>| assert_eq!(authority(url).as_deref(), expected, "{url}");
        check("http://localhost:8080/", Some("localhost:8080"));
        check("http://localhost", Some("localhost:80"));
        check("http://[::1]:8080", Some("[::1]:8080"));
        check("https://localhost", None);
        check("http://", None);
        check("localhost:8080", None);
    }
}
