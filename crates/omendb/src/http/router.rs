//! From method and path to a row of the route table.

use hyper::Method;
use matchit::Match;

use crate::http::call::{PathParams, decode_percent};
use crate::http::error::ApiError;
use crate::routes::{ROUTES, Route};

/// The routes by path.
#[derive(Debug)]
pub struct Router {
    paths: matchit::Router<Vec<usize>>,
    /// Those with a parameter alone: a collection may be called `aliases`, which is a path of another method.
    templates: matchit::Router<Vec<usize>>,
}

/// Where a request belongs.
#[derive(Debug)]
pub enum Routed {
    /// To this row of [`ROUTES`].
    Found(usize, PathParams),
    /// The path exists, with other methods: any row of it, and what to put into `Allow`.
    WrongMethod(usize, String),
    /// Nowhere.
    Unmatched,
}

impl Router {
    /// The router of [`ROUTES`].
    ///
    /// # Panics
    /// When two rows contradict each other; a test builds it.
    pub fn new() -> Self {
        let mut by_path: Vec<(&'static str, Vec<usize>)> = Vec::new();
        for (index, route) in ROUTES.iter().enumerate() {
            match by_path.iter_mut().find(|(path, _)| *path == route.path) {
                Some((_, indices)) => indices.push(index),
                None => by_path.push((route.path, vec![index])),
            }
        }
        let (mut paths, mut templates) = (matchit::Router::new(), matchit::Router::new());
        let checked = "a test builds the router from the same table";
        for (path, indices) in by_path {
            if path.contains('{') {
                templates.insert(path, indices.clone()).expect(checked);
            }
            paths.insert(path, indices).expect(checked);
        }
        Self { paths, templates }
    }

    /// Finds the row for `method` and the undecoded `path`.
    ///
    /// # Errors
    /// 400 when a parameter's percent-encoding is malformed.
    pub fn route(&self, method: &Method, path: &str) -> Result<Routed, ApiError> {
        let wanted = if *method == Method::HEAD {
            &Method::GET
        } else {
            method
        };
        let of_method = |indices: &[usize]| {
            let mut indices = indices.iter().copied();
            indices.find(|index| ROUTES[*index].method == *wanted)
        };
        let Ok(mut found) = self.paths.at(path) else {
            return Ok(Routed::Unmatched);
        };
        if of_method(found.value).is_none()
            && let Ok(template) = self.templates.at(path)
        {
            found = template;
        }
        let Match {
            value: indices,
            params,
        } = found;
        let Some(index) = of_method(indices) else {
            let methods: Vec<_> = indices
                .iter()
                .map(|index| ROUTES[*index].method.as_str())
                .collect();
            return Ok(Routed::WrongMethod(indices[0], methods.join(", ")));
        };
        let mut decoded = PathParams::default();
        for (name, value) in params.iter() {
            decoded.insert(static_name(&ROUTES[index], name), decode_percent(value)?);
        }
        Ok(Routed::Found(index, decoded))
    }
}

impl Default for Router {
    fn default() -> Self {
        Self::new()
    }
}

/// The parameter's name as it stands in the table: the router hands out a copy that lives only as long as itself.
fn static_name(route: &Route, name: &str) -> &'static str {
    let parts = route
        .path
        .split('/')
        .map(|part| part.trim_start_matches('{').trim_end_matches('}'));
    parts.into_iter().find(|part| *part == name).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_lead_to_their_rows() {
        let router = Router::new();
        let check = |method: Method, path: &str, expected: &str| {
            let described = match router.route(&method, path) {
                Ok(Routed::Found(index, params)) => {
                    format!(
                        "{} {}",
                        ROUTES[index].endpoint(),
                        params.get("collection").unwrap_or("-")
                    )
                }
                Ok(Routed::WrongMethod(index, allow)) => {
                    format!("{} allows {allow}", ROUTES[index].endpoint())
                }
                Ok(Routed::Unmatched) => "unmatched".to_owned(),
                Err(error) => error.status().to_string(),
            };
            assert_eq!(described, expected, "{method} {path}");
        };
        check(Method::GET, "/health", "/health -");
        check(Method::HEAD, "/metrics", "/metrics -");
        check(
            Method::POST,
            "/collections/a%2Fb/points/query",
            "/collections/:collection/points/query a/b",
        );
        check(Method::PUT, "/query", "/query allows POST");
        check(Method::GET, "/auth/tokens/x", "/auth/tokens/:token allows DELETE");
        check(Method::POST, "/collections/aliases", "/collections/aliases -");
        check(
            Method::GET,
            "/collections/aliases",
            "/collections/:collection aliases",
        );
        check(Method::GET, "/collections/", "unmatched");
        check(Method::GET, "/nothing", "unmatched");
        check(Method::GET, "/collections/%zz", "400 Bad Request");
    }

    #[test]
    fn every_row_can_be_reached() {
        let router = Router::new();
        for (index, route) in ROUTES.iter().enumerate() {
            let found = router
                .route(&route.method, &route.path.replace(['{', '}'], ""))
                .unwrap();
            assert!(
                matches!(found, Routed::Found(row, _) if row == index),
                "{} {}",
                route.method,
                route.path
            );
        }
    }
}
