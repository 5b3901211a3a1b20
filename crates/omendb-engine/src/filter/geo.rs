//! Areas on the globe: boxes, circles, polygons with holes. What lies on an edge is outside.

use crate::Error;

/// The radius of the Earth in metres, the mean that the IUGG recommends.
const EARTH_RADIUS: f64 = 6_371_008.8;
/// Corners of a ring at least: a triangle that returns to its first corner.
const MIN_RING: usize = 4;

/// A place, in degrees.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GeoPoint {
    /// East of Greenwich, -180 to 180.
    pub lon: f64,
    /// North of the equator, -90 to 90.
    pub lat: f64,
}

/// A part of the globe.
#[derive(Clone, Debug, PartialEq)]
pub enum GeoArea {
    /// Between two parallels and two meridians. With a western edge east of the eastern one it crosses the
    /// antimeridian.
    Box {
        /// The north-western corner.
        top_left: GeoPoint,
        /// The south-eastern corner.
        bottom_right: GeoPoint,
    },
    /// Closer to a place than a distance.
    Radius {
        /// The middle.
        center: GeoPoint,
        /// In metres.
        radius: f64,
    },
    /// Inside a polygon on the plane of longitudes and latitudes.
    Polygon(GeoPolygon),
}

/// A ring and the holes in it.
#[derive(Clone, Debug, PartialEq)]
pub struct GeoPolygon {
    exterior: Vec<GeoPoint>,
    interiors: Vec<Vec<GeoPoint>>,
}

impl GeoPoint {
    /// A place on the globe.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) with the values when they are out of range.
    pub fn new(lon: f64, lat: f64) -> Result<Self, Error> {
        if !(-180.0..=180.0).contains(&lon) || !(-90.0..=90.0).contains(&lat) {
            return Err(Error::invalid(format!(
                "lon {lon}, lat {lat}: beyond 180 degrees of longitude or 90 of latitude"
            )));
        }
        Ok(Self { lon, lat })
    }
}

impl GeoPolygon {
    /// A polygon of closed rings.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) for a ring of fewer than four points, or whose last point is
    /// not its first.
    pub fn new(exterior: Vec<GeoPoint>, interiors: Vec<Vec<GeoPoint>>) -> Result<Self, Error> {
        for ring in std::iter::once(&exterior).chain(&interiors) {
            if ring.len() < MIN_RING {
                let points = ring.len();
                return Err(Error::invalid(format!(
                    "polygon: a ring of {points} points, fewer than {MIN_RING}"
                )));
            }
            if ring.first() != ring.last() {
                return Err(Error::invalid(
                    "polygon: a ring whose last point is not its first",
                ));
            }
        }
        Ok(Self { exterior, interiors })
    }

    /// Corners of all its rings.
    pub(super) fn corners(&self) -> usize {
        self.exterior.len() + self.interiors.iter().map(Vec::len).sum::<usize>()
    }

    fn contains(&self, point: GeoPoint) -> bool {
        side(point, &self.exterior) == Side::Inside
            && self
                .interiors
                .iter()
                .all(|hole| side(point, hole) == Side::Outside)
    }
}

/// The sides of a box that holds an area; west of its eastern side unless it crosses the antimeridian.
#[derive(Clone, Copy, Debug)]
pub(crate) struct GeoBounds {
    pub(crate) south: f64,
    pub(crate) north: f64,
    pub(crate) west: f64,
    pub(crate) east: f64,
}

impl GeoBounds {
    fn around(center: GeoPoint, radius: f64) -> Self {
        // A little more, for the rounding of both sides.
        let angle = radius.max(0.0) / EARTH_RADIUS * 1.000_001 + 1e-9;
        let (south, north) = (center.lat - angle.to_degrees(), center.lat + angle.to_degrees());
        let reach = (angle.sin() / center.lat.to_radians().cos()).asin().to_degrees() + 1e-6;
        let (mut west, mut east) = (center.lon - reach, center.lon + reach);
        // Over a pole, or farther around than a quarter of the globe, every meridian is reached.
        if south <= -90.0 || north >= 90.0 || reach.is_nan() || angle >= std::f64::consts::FRAC_PI_2 {
            (west, east) = (-180.0, 180.0);
        } else if west < -180.0 {
            west += 360.0;
        } else if east > 180.0 {
            east -= 360.0;
        }
        Self {
            south,
            north,
            west,
            east,
        }
    }

    fn of(ring: &[GeoPoint]) -> Self {
        let none = Self {
            south: f64::INFINITY,
            north: f64::NEG_INFINITY,
            west: f64::INFINITY,
            east: f64::NEG_INFINITY,
        };
        ring.iter().fold(none, |bounds, point| Self {
            south: bounds.south.min(point.lat),
            north: bounds.north.max(point.lat),
            west: bounds.west.min(point.lon),
            east: bounds.east.max(point.lon),
        })
    }
}

impl GeoArea {
    /// A box that holds it.
    pub(crate) fn bounds(&self) -> GeoBounds {
        match self {
            Self::Box {
                top_left,
                bottom_right,
            } => GeoBounds {
                south: bottom_right.lat,
                north: top_left.lat,
                west: top_left.lon,
                east: bottom_right.lon,
            },
            Self::Radius { center, radius } => GeoBounds::around(*center, *radius),
            Self::Polygon(polygon) => GeoBounds::of(&polygon.exterior),
        }
    }

    /// Whether `point` lies inside.
    pub fn contains(&self, point: GeoPoint) -> bool {
        match self {
            Self::Box {
                top_left,
                bottom_right,
            } => {
                let (west, east) = (top_left.lon, bottom_right.lon);
                let is_between = if west > east {
                    point.lon > west || point.lon < east
                } else {
                    west < point.lon && point.lon < east
                };
                is_between && bottom_right.lat < point.lat && point.lat < top_left.lat
            }
            Self::Radius { center, radius } => distance(*center, point) < *radius,
            Self::Polygon(polygon) => polygon.contains(point),
        }
    }
}

/// Metres between two places along a great circle, by the haversine formula.
pub(crate) fn distance(one: GeoPoint, other: GeoPoint) -> f64 {
    let (from, to) = (one.lat.to_radians(), other.lat.to_radians());
    let half_lat = ((to - from) / 2.0).sin();
    let half_lon = ((other.lon - one.lon).to_radians() / 2.0).sin();
    let haversine = half_lat * half_lat + from.cos() * to.cos() * half_lon * half_lon;
    2.0 * EARTH_RADIUS * haversine.sqrt().min(1.0).asin()
}

#[derive(PartialEq)]
enum Side {
    Inside,
    Edge,
    Outside,
}

/// Where `point` is relative to a closed ring: a ray to the east crosses the edges of what it is inside of an odd
/// number of times.
fn side(point: GeoPoint, ring: &[GeoPoint]) -> Side {
    let mut is_inside = false;
    for edge in ring.windows(2) {
        let (a, b) = (edge[0], edge[1]);
        let cross = (b.lon - a.lon) * (point.lat - a.lat) - (b.lat - a.lat) * (point.lon - a.lon);
        let is_within = |value: f64, one: f64, other: f64| one.min(other) <= value && value <= one.max(other);
        if cross == 0.0 && is_within(point.lon, a.lon, b.lon) && is_within(point.lat, a.lat, b.lat) {
            return Side::Edge;
        }
        // Half-open in latitude, so that a corner is crossed once.
        if (a.lat > point.lat) != (b.lat > point.lat) {
            let crossing = a.lon + (point.lat - a.lat) / (b.lat - a.lat) * (b.lon - a.lon);
            is_inside ^= point.lon < crossing;
        }
    }
    if is_inside { Side::Inside } else { Side::Outside }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(lon: f64, lat: f64) -> GeoPoint {
        GeoPoint::new(lon, lat).unwrap()
    }

    fn check(area: &GeoArea, inside: &[(f64, f64)], outside: &[(f64, f64)]) {
        for &(lon, lat) in inside {
            assert!(area.contains(point(lon, lat)), "{area:?} {lon} {lat}");
        }
        for &(lon, lat) in outside {
            assert!(!area.contains(point(lon, lat)), "{area:?} {lon} {lat}");
        }
    }

    fn ring(corners: &[(f64, f64)]) -> Vec<GeoPoint> {
        corners.iter().map(|&(lon, lat)| point(lon, lat)).collect()
    }

    #[test]
    fn a_box_excludes_its_edge_and_may_cross_the_antimeridian() {
        let area = |west, east| GeoArea::Box {
            top_left: point(west, 10.0),
            bottom_right: point(east, -10.0),
        };
        check(
            &area(-20.0, 20.0),
            &[(0.0, 0.0), (19.0, 9.0)],
            &[(20.0, 0.0), (0.0, 10.0), (30.0, 0.0), (0.0, -11.0)],
        );
        check(
            &area(170.0, -170.0),
            &[(175.0, 0.0), (-175.0, 0.0), (180.0, 0.0)],
            &[(0.0, 0.0), (170.0, 0.0), (-170.0, 0.0)],
        );
    }

    #[test]
    fn a_circle_is_measured_along_the_ground() {
        let (berlin, moscow) = (point(13.4050, 52.5200), point(37.6173, 55.7558));
        let metres = distance(berlin, moscow);
        assert!((1_608_000.0..1_609_000.0).contains(&metres), "{metres}");
        assert_eq!(distance(moscow, moscow), 0.0);
        let antipodes = distance(point(0.0, 0.0), point(180.0, 0.0));
        assert!(
            (antipodes - EARTH_RADIUS * std::f64::consts::PI).abs() < 1.0,
            "{antipodes}"
        );
        let circle = GeoArea::Radius {
            center: moscow,
            radius: 1_609_000.0,
        };
        check(&circle, &[(13.4050, 52.5200)], &[(13.0, 52.5200)]);
        check(
            &GeoArea::Radius {
                center: moscow,
                radius: 0.0,
            },
            &[],
            &[(37.6173, 55.7558)],
        );
    }

    #[test]
    fn bounds_hold_their_area() {
        for center in [
            point(0.0, 0.0),
            point(179.5, 60.0),
            point(-179.9, -85.0),
            point(10.0, 89.9),
        ] {
            for radius in [0.0, 10.0, 50_000.0, 3_000_000.0, 11_000_000.0] {
                let area = GeoArea::Radius { center, radius };
                let bounds = area.bounds();
                for step in 0..10_000_u32 {
                    let (lon, lat) = (
                        f64::from(step % 100) * 3.6 - 180.0,
                        f64::from(step / 100) * 1.8 - 90.0,
                    );
                    let near = point(
                        (center.lon + lon / 200.0).clamp(-180.0, 180.0),
                        (center.lat + lat / 200.0).clamp(-90.0, 90.0),
                    );
                    for place in [point(lon, lat), near] {
                        let is_between = if bounds.west <= bounds.east {
                            (bounds.west..=bounds.east).contains(&place.lon)
                        } else {
                            place.lon >= bounds.west || place.lon <= bounds.east
                        };
                        let is_held = is_between && (bounds.south..=bounds.north).contains(&place.lat);
                        assert!(is_held || !area.contains(place), "{area:?} {bounds:?} {place:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_polygon_has_holes_and_excludes_its_edges() {
        let square = ring(&[(0.0, 0.0), (10.0, 0.0), (10.0, 10.0), (0.0, 10.0), (0.0, 0.0)]);
        let hole = ring(&[(4.0, 4.0), (6.0, 4.0), (6.0, 6.0), (4.0, 4.0)]);
        let polygon = GeoPolygon::new(square, vec![hole]).unwrap();
        assert_eq!(polygon.corners(), 9);
        check(
            &GeoArea::Polygon(polygon),
            &[(1.0, 1.0), (4.5, 5.5), (9.9, 9.9)],
            &[
                (0.0, 5.0),
                (10.0, 10.0),
                (5.0, 0.0),
                (5.5, 4.5),
                (4.0, 4.0),
                (5.0, 4.0),
                (11.0, 5.0),
                (-1.0, 10.0),
            ],
        );
        // A ray through corners: the tips of two triangles that meet.
        let hourglass = ring(&[(0.0, 0.0), (4.0, 0.0), (0.0, 4.0), (4.0, 4.0), (0.0, 0.0)]);
        let hourglass = GeoArea::Polygon(GeoPolygon::new(hourglass, Vec::new()).unwrap());
        check(
            &hourglass,
            &[(2.0, 1.0), (2.0, 3.0)],
            &[(1.0, 2.0), (3.0, 2.0), (0.5, 1.0)],
        );
    }

    #[test]
    fn what_is_no_area_is_refused() {
        let refusal = |error: Error| error.to_string();
        assert_eq!(
            refusal(GeoPoint::new(181.0, 0.0).unwrap_err()),
            "lon 181, lat 0: beyond 180 degrees of longitude or 90 of latitude"
        );
        assert!(GeoPoint::new(0.0, f64::NAN).is_err());
        let open = ring(&[(0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)]);
        assert_eq!(
            refusal(GeoPolygon::new(open.clone(), Vec::new()).unwrap_err()),
            "polygon: a ring whose last point is not its first"
        );
        let short = [&open[..2], &open[..1]].concat();
        assert_eq!(
            refusal(GeoPolygon::new(short, Vec::new()).unwrap_err()),
            "polygon: a ring of 3 points, fewer than 4"
        );
    }
}
