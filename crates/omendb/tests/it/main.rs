//! The server as its users meet it: the real binary on a free port, spoken to over HTTP, finished by a scrape.
#![expect(
    clippy::disallowed_methods,
    reason = "tests wait in real time and read their own environment"
)]

// What the tests are written with.
mod client; // a blocking HTTP client small enough to misbehave on purpose
// The messages of protocol buffers, declared for a library that is not ours: those the metrics core is tested with.
#[path = "../../../omendb-metrics/tests/it/client_model.rs"]
mod client_model;
mod collector; // a trace collector that reads the real messages
mod exactly; // what one operation moves, and that it moves nothing else
mod page; // a scraped page as numbers, and what moved between two of them
mod server; // the binary on port 0 with a directory of its own

// What the server promises.
mod access; // credentials, permissions, and who may speak to an open server
mod alerts; // every alert of deploy/ is tested both ways and explained
mod aliases; // other names of collections: every route takes one, credentials and figures go by the collection
mod audit; // acts and refusals have a line that says who, from where, and what came of it
mod bad_input; // every mistake gets its code and a message that names it, and changes nothing
mod boards; // no panel of deploy/grafana is empty after traffic
mod cardinality; // open labels have a bound, a filter, and no series for what is gone
mod catalogue; // the catalogue and the page name the same families, and something moves each of them
mod chaos; // counters never go back, and what is gone leaves nothing, while everything comes and goes
mod collections; // the dialect: what is written is what is read, searched, counted and scrolled
mod configuration; // what may change of a collection is kept, told again, and there after kill -9
mod connections; // pools that fill up, heads that are refused, clients that hang up, and what is counted
mod consumers; // promtool, Prometheus, VictoriaMetrics and prometheus-client accept what we export
mod datadog; // the Datadog Agent's check reads every documented name
mod debug; // records of single operations, for administrators and without the data of anybody
mod demo; // what the demo prints works when pasted, and nothing is left behind
mod durability; // kill -9 under writers loses nothing that was acknowledged
mod filters; // what passes is found, counted, scrolled, changed and deleted
mod formats; // one snapshot in every format, chosen by content negotiation
mod formulas; // queries that read more than vectors: formulas, lookups, facets, distance matrices
mod groups; // hits in groups, with what other collections know of the groups
mod health; // each component does badly for a real reason, says which, and recovers
mod kubernetes; // the manifests of deploy/ are valid, fit together, and their credentials do what they say
mod lamp; // what a query did is explained with it, and can be looked up afterwards
mod lifecycle; // readiness, health, draining, and what is refused at start
mod logs; // lines name their request, show no secrets, and their level is changed live
mod movement; // each operation moves exactly the figures it is about
mod orders; // points in order of a payload key, and points drawn by chance
mod queries; // queries by examples, by fusion and in batches find what their formulas say
mod readiness; // /readyz says how far loading is, and what waits meanwhile
mod real_data; // 50,000 real points: exact answers equal the given neighbours
mod secrets; // what is planted in every input is in no output
mod shipped; // what deploy/ ships names only what is exported; the image
mod sparse; // vectors of a few terms: kept, found through their index, and refused by name
mod stages; // the stages of requests add up to the whole of them, and each is moved by what it names
mod traces; // sampled requests become spans at a collector, and nobody waits for it
mod vector_changes; // vectors replaced and taken away, and upserts with a rule
mod vector_names; // vectors added to a collection and deleted from it
